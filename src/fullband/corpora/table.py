"""`files.csv` as rows: one per recording and split, in the order in which they were made.

`fullband.corpora.manifest` reads from it what training and scoring need (file and split, sorted).
Here are all the columns, for the commands that make, measure, combine and show corpora.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from fullband.corpora.manifest import read_corpus
from fullband.errors import OutputError

__all__ = ["TABLE", "Row", "read_rows", "write_rows"]

Row = dict[str, str]

TABLE = "files.csv"
_FIRST = ("file", "split", "speaker", "licence")  # every table has these, in this order
_LAST = ("seconds", "sample_rate", "channels", "bandwidth_hz", "holes", "bytes")  # what is measured


def read_rows(folder: Path) -> list[Row]:
    """The rows of a corpus; without a `files.csv`, those that its folders amount to.

    Raises:
        MissingFileError, AudioFileError: see `fullband.corpora.manifest.read_corpus`.
    """
    corpus = read_corpus(folder)
    table = folder / TABLE
    if not table.is_file():
        return [
            {"file": name, "split": split} for split in corpus.files for name in corpus.files[split]
        ]
    text = table.read_text(encoding="utf-8-sig")
    rows = csv.DictReader(text.splitlines())
    # A line with more fields than the header leaves them under None: they belong to nothing.
    return [{key: value or "" for key, value in row.items() if key} for row in rows]


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write `files.csv`, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    rows = list(rows)
    found = dict.fromkeys(column for row in rows for column in row)
    between = [column for column in found if column not in (*_FIRST, *_LAST)]
    columns = [*_FIRST, *between, *(column for column in _LAST if column in found)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    table = folder / TABLE
    part = table.with_name(f".{TABLE}.part")
    try:
        part.write_text(text.getvalue(), encoding="utf-8")
        os.replace(part, table)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = (error.strerror or "failed").lower()
        raise OutputError(f"{table}: cannot be written ({reason})") from None
