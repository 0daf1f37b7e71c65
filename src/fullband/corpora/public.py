"""What fullband knows about a public corpus: where it is, its licence, and how it is split.

Each corpus has a file of its own beside this one; `fullband.corpora.registry` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fullband.corpora.table import Row

__all__ = ["Archive", "Packages", "PublicCorpus", "Repositories", "folder_with"]


@dataclass(frozen=True)
class Archive:
    """A zip or tar file behind a URL.

    Attributes:
        file_name: under which it is kept.
        digest: its checksum in hexadecimal, by the hash that `algorithm` names.
    """

    file_name: str
    url: str
    size_bytes: int
    algorithm: str
    digest: str


@dataclass(frozen=True)
class Packages:
    """Debian packages that carry the recordings.

    Attributes:
        listing: the list of recordings in `fullband/corpora/lists`.
        room_bytes: needed on the disk while they are unpacked.
        release: of Debian, in which the list was made.
    """

    names: tuple[str, ...]
    listing: str
    size_bytes: int
    room_bytes: int
    release: str = "Debian 12 (bookworm)"


@dataclass(frozen=True)
class Repositories:
    """Public git repositories that carry the recordings.

    Attributes:
        addresses: of each repository, by the name of its folder in the corpus.
        listing: the list of recordings in `fullband/corpora/lists`.
        size_bytes: of all downloads, without history.
        room_bytes: needed on the disk, the largest download included.
    """

    addresses: Mapping[str, str]
    listing: str
    size_bytes: int
    room_bytes: int


@dataclass(frozen=True)
class PublicCorpus:
    """A public corpus.

    Attributes:
        kind: language or kind of music, and how many voices.
        splits: what is in which split, in words.
        rows: the rows of `files.csv` for the unpacked folder.
        wanted: which members of the archive are unpacked, by name.
        note: what one has to know before one uses it.
    """

    name: str
    summary: str
    kind: str
    licence: str
    source: Archive | Packages | Repositories
    splits: str
    rows: Callable[[Path], list[Row]]
    wanted: Callable[[str], bool]
    note: str = ""


def folder_with(folder: Path, name: str) -> Path | None:
    """The folder itself or the sub-folder of it that holds `name`: archives differ in this."""
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    return next((path for path in candidates if (path / name).exists()), None)
