"""What a corpus holds, split by split, and whether its splits can be trusted."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from fullband.corpora.download import file_digest
from fullband.corpora.splits import JUDGED
from fullband.corpora.table import Row, read_rows
from fullband.errors import AudioFileError, MissingFileError

__all__ = ["SplitSummary", "check_content", "check_disjoint", "summarise"]


@dataclass(frozen=True)
class SplitSummary:
    """One split in numbers.

    Attributes:
        hours: None where not every file is measured, as `bandwidth_hz` is.
        speakers: that are named.
        bandwidth_hz: the median over the files.
    """

    split: str
    files: int
    hours: float | None
    speakers: int
    bandwidth_hz: float | None


def summarise(rows: list[Row]) -> list[SplitSummary]:
    """One summary per split: train, valid, test, then the others by name."""
    names = {row["split"] for row in rows}
    order = [name for name in JUDGED if name in names]
    return [
        _summary(name, [row for row in rows if row["split"] == name])
        for name in [*order, *sorted(names - set(order))]
    ]


def check_disjoint(folder: Path, rows: list[Row] | None = None) -> None:
    """Refuse a corpus that is judged on what it is trained on.

    No file, speaker or piece may be in two of train, valid and test. A corpus of a single speaker
    cannot help it; in a combined corpus, that is decided for each part.

    Args:
        rows: of the corpus; None reads them.

    Raises:
        AudioFileError: one is, with its name and the splits.
    """
    rows = read_rows(folder) if rows is None else rows
    judged = [row for row in rows if row["split"] in JUDGED]
    for part in sorted({row.get("corpus", "") for row in judged}):
        own = [row for row in judged if row.get("corpus", "") == part]
        for column in ("file", "speaker", "piece"):
            splits: dict[str, set[str]] = {}
            for row in own:
                if row.get(column):
                    splits.setdefault(row[column], set()).add(row["split"])
            shared = sorted(name for name, found in splits.items() if len(found) > 1)
            if shared and not (column == "speaker" and len(splits) == 1):
                found = ", ".join(split for split in JUDGED if split in splits[shared[0]])
                more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
                raise AudioFileError(f"{folder}: {column} '{shared[0]}'{more} is in {found}")


def check_content(folder: Path, rows: list[Row]) -> None:
    """Refuse a corpus in which one recording lies under two names in two of train, valid and test.

    That is: files of the same content. Only files of the same length are read.

    Raises:
        AudioFileError: there is one, with both names.
        MissingFileError: a file is not there.
    """
    by_size: dict[int, dict[str, str]] = {}
    for row in rows:
        if row["split"] in JUDGED:
            path = folder / row["file"]
            if not path.is_file():
                raise MissingFileError(f"{path}: named by the corpus, not there")
            by_size.setdefault(path.stat().st_size, {})[row["file"]] = row["split"]
    first: dict[str, str] = {}
    shared: list[tuple[str, str]] = []
    splits = {file: split for files in by_size.values() for file, split in files.items()}
    for files in by_size.values():
        if len(set(files.values())) > 1:
            for file, split in files.items():
                other = first.setdefault(file_digest(folder / file, "sha256"), file)
                if splits[other] != split:
                    shared.append((other, file))
    if shared:
        found = " and ".join(f"'{file}' ({splits[file]})" for file in shared[0])
        more = f" ({len(shared) - 1} more like that)" if len(shared) > 1 else ""
        raise AudioFileError(f"{folder}: {found} are the same recording{more}; leave one out")


def _summary(split: str, rows: list[Row]) -> SplitSummary:
    try:
        seconds = [float(row["seconds"]) for row in rows]
        bandwidths = [float(row["bandwidth_hz"]) for row in rows]
    except (KeyError, ValueError):  # not measured, or not all
        seconds = bandwidths = []
    return SplitSummary(
        split=split,
        files=len(rows),
        hours=sum(seconds) / 3600 if seconds else None,
        speakers=len({row["speaker"] for row in rows if row.get("speaker")}),
        bandwidth_hz=statistics.median(bandwidths) if bandwidths else None,
    )
