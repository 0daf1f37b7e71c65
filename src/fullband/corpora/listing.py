"""Lists of recordings that ship with fullband, for corpora that lie scattered in other projects.

A list (`lists/*.csv.gz`) has the columns of `files.csv`, and in its order: the short splits, and so
the stored scores, rest on it. Where it has them, `wall_hz` is where a codec's own low-pass ends the
content (0 for none) and `bandwidth_hz` where the spectrum has fallen by 60 dB, noise included.
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

from fullband.corpora.splits import with_short_splits
from fullband.corpora.table import Row
from fullband.errors import MissingFileError

__all__ = ["LISTS", "listed_rows", "read_list"]

LISTS = Path(__file__).parent / "lists"


def read_list(listing: str) -> list[Row]:
    """The rows of a list, in its order."""
    text = gzip.decompress((LISTS / listing).read_bytes()).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def listed_rows(listing: str, folder: Path, short: bool = False) -> list[Row]:
    """The rows of a list whose recordings are in the folder.

    Args:
        short: add the splits `valid-short` and `test-short`.

    Raises:
        MissingFileError: there is none of them.
    """
    rows = [row for row in read_list(listing) if (folder / row["file"]).is_file()]
    if not rows:
        raise MissingFileError(f"{folder}: holds none of the recordings in {listing}")
    return with_short_splits(rows) if short else rows
