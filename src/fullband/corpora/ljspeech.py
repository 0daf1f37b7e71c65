"""LJ Speech: one reader, 24 hours of books, in the public domain.

It has no split of its own. The one here is ESPnet's: of the utterances sorted by name, the last 250
are for testing, the 250 before them for validation, the rest for training. All of these come from
the last book, so a chapter can lie in two splits; the reader is the same in all of them anyway.
"""

from __future__ import annotations

from pathlib import Path

from fullband.corpora.public import Archive, PublicCorpus, folder_with
from fullband.corpora.table import Row
from fullband.errors import MissingFileError

__all__ = ["LJSPEECH"]

_HELD_OUT = 250


def _rows(folder: Path) -> list[Row]:
    base = folder_with(folder, "wavs")
    if base is None:
        raise MissingFileError(f"{folder}: is not LJ Speech, it has no folder 'wavs'")
    names = sorted(path.relative_to(folder).as_posix() for path in (base / "wavs").glob("*.wav"))
    if len(names) <= 2 * _HELD_OUT:
        raise MissingFileError(
            f"{folder}: has only {len(names)} utterances, of which the last {2 * _HELD_OUT} are "
            "held out"
        )
    valid, test = len(names) - 2 * _HELD_OUT, len(names) - _HELD_OUT
    return [
        {
            "file": name,
            "split": "train" if index < valid else "valid" if index < test else "test",
            "speaker": "LJ",
            "language": "en",
            "licence": "public domain",
        }
        for index, name in enumerate(names)
    ]


LJSPEECH = PublicCorpus(
    name="ljspeech",
    summary="LJ Speech 1.1, one reader of books, 22.05 kHz",
    kind="English, 1 speaker",
    licence="public domain",
    # The SHA-256 is the one that torchaudio checks; the size is that of the same file.
    source=Archive(
        file_name="LJSpeech-1.1.tar.bz2",
        url="https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
        size_bytes=2_748_572_632,
        algorithm="sha256",
        digest="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
    ),
    splits="ESPnet's: sorted by name, the last 250 test, the 250 before them valid",
    rows=_rows,
    wanted=lambda member: True,
)
