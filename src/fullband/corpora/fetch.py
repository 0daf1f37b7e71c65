"""Bring a public corpus here, ready for `fullband train`: download, unpack, split.

An archive is kept beside the folder, since several corpora may come from one, and is not
downloaded again. Unpacking goes to a folder of its own that gets its name when everything is in it,
so what was interrupted is simply done again.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from fullband.corpora.debian import fetch_packages
from fullband.corpora.download import Report, check_room, download
from fullband.corpora.public import Archive, Packages
from fullband.corpora.registry import find_corpus
from fullband.corpora.repositories import fetch_repositories
from fullband.corpora.splits import carve_valid
from fullband.corpora.table import TABLE, read_rows, write_rows
from fullband.corpora.unpack import unpack
from fullband.errors import OutputError

__all__ = ["Fetched", "fetch"]


@dataclass(frozen=True)
class Fetched:
    """What `fetch` has done.

    Attributes:
        files: recordings in the corpus.
        was_there: nothing had to be done.
        archive: the download that was kept, if any.
        missing: listed recordings that the packages at hand, or the newest commits, do not have.
    """

    folder: Path
    files: int
    was_there: bool = False
    archive: Path | None = None
    missing: tuple[str, ...] = ()


def fetch(
    name: str, folder: Path, valid: float | None = None, report: Report | None = None
) -> Fetched:
    """Download a public corpus into a folder, with its `files.csv`.

    Args:
        valid: share of the recordings for training to take for a `valid` split; None takes none.

    Raises:
        SettingsError: no corpus of that name; `valid` where it has a valid split.
        DownloadError: it cannot be had, or is not what it should be.
        OutputError: the folder has something else in it, cannot be written, or the disk is full.
    """
    corpus = find_corpus(name)
    source = corpus.source
    if (folder / TABLE).is_file():
        return Fetched(folder, len({row["file"] for row in read_rows(folder)}), was_there=True)
    if not isinstance(source, Archive):
        if isinstance(source, Packages):
            missing = fetch_packages(source, folder, report)
        else:
            missing = fetch_repositories(source, folder, report)
        rows = corpus.rows(folder)
        write_rows(folder, rows if valid is None else carve_valid(rows, valid))
        return Fetched(folder, len({row["file"] for row in rows}), missing=tuple(missing))

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"{folder}: has something else in it; name an empty folder with --to, or, if it is "
            f"{name} already, use 'fullband corpora prepare {folder} --name {name}'"
        )
    archive = folder.parent / source.file_name
    scratch = folder.with_name(f".{folder.name}.part")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        download(
            source.url,
            archive,
            source.size_bytes,
            source.algorithm,
            source.digest,
            room_bytes=source.size_bytes,
            report=report,
        )
        scratch.mkdir()
        check_room(scratch, source.size_bytes, "unpacking")
        unpack(archive, scratch, corpus.wanted, report=report)
        rows = corpus.rows(scratch)
        write_rows(scratch, rows if valid is None else carve_valid(rows, valid))
        if folder.is_dir():
            folder.rmdir()
        os.replace(scratch, folder)
    except OSError as error:
        if not error.strerror:  # one of ours, which says it all
            raise
        raise OutputError(f"{folder}: cannot be written ({error.strerror.lower()})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Fetched(folder, len({row["file"] for row in rows}), archive=archive)
