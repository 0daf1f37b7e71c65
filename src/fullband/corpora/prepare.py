"""Make a folder of audio ready for training: splits, measurements, decoded samples.

Each of the three steps is done once and found done the next time. Where a `files.csv` is there, its
splits stay as they are; where none is, they come from a public corpus's rule, from the folder's own
sub-folders, or, only when asked for, from a hash.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullband.audio.bandwidth import BandwidthMeter
from fullband.audio.file import AudioReader
from fullband.audio.holes import hole_share
from fullband.audio.samples import Audio
from fullband.corpora.dataset import decode
from fullband.corpora.download import Report
from fullband.corpora.manifest import read_corpus
from fullband.corpora.registry import find_corpus
from fullband.corpora.splits import carve_valid, share_out
from fullband.corpora.table import TABLE, Row, read_rows, write_rows
from fullband.errors import AudioFileError, MissingFileError, SettingsError

__all__ = ["Shares", "measure", "prepare", "split_folder"]

_HOLES_S = 2.0  # holes are looked for in the middle of a recording
_SAVE_EVERY_S = 20.0  # of measuring, which takes minutes to hours


@dataclass(frozen=True)
class Shares:
    """How a folder without splits is to be shared out.

    Attributes:
        by: `speaker` (the first sub-folder; none is in two splits) or `file`.
    """

    valid: float = 0.06
    test: float = 0.06
    by: str = "speaker"


def prepare(
    folder: Path,
    sample_rate: int,
    splits: tuple[str, ...] = (),
    name: str | None = None,
    valid: float | None = None,
    shares: Shares | None = None,
    report: Report | None = None,
) -> list[Row]:
    """Split, measure and decode a corpus; gives its rows.

    Args:
        splits: to decode; none named means all.
        name: the public corpus that the folder holds.
        valid: share of a public corpus's recordings for training to take for a `valid` split.
        shares: how to share out what has no splits; None leaves it as its folders say.

    Raises:
        MissingFileError, AudioFileError: a file or split is missing, or is not audio.
        SettingsError: the folder has other splits already, or cannot be shared out like that.
        OutputError: `files.csv` cannot be written.
    """
    tell = report or (lambda *_: None)
    rows = split_folder(folder, name, valid, shares)
    rows = measure(folder, rows, tell)
    corpus = read_corpus(folder)
    chosen = splits or tuple(corpus.files)
    for split in chosen:
        corpus.split(split)  # all of them exist, before hours are spent on the first
    for number, split in enumerate(chosen):
        tell(f"decoding {split}", number, len(chosen))
        decode(corpus, split, sample_rate)
    tell("decoding", len(chosen), len(chosen))
    return rows


def split_folder(
    folder: Path,
    name: str | None = None,
    valid: float | None = None,
    shares: Shares | None = None,
) -> list[Row]:
    """The rows of a corpus, written to its `files.csv` if it had none.

    Asked for splits that differ from those it has, it refuses: numbers measured on the one are
    worth nothing on the other.

    Args:
        name, valid, shares: see `prepare`.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder")
    there = read_rows(folder) if (folder / TABLE).is_file() else None
    if name is None and shares is None and there is not None:
        return there
    if name is not None:
        made = find_corpus(name).rows(folder)
        made = made if valid is None else carve_valid(made, valid)
    elif shares is not None:
        made = _shared_out(folder, shares)
    else:
        made = read_rows(folder)
    if there is None:
        write_rows(folder, made)
        return read_rows(folder)
    if _splits_of(made) != _splits_of(there):
        raise SettingsError(
            f"{folder / TABLE}: has other splits than those asked for; delete it to split anew"
        )
    return there


def measure(folder: Path, rows: list[Row], report: Report | None = None) -> list[Row]:
    """Add length, rate, channels, bandwidth and holes to the rows, and write them to `files.csv`.

    What is measured already is not measured again unless the file's size has changed. A bandwidth
    that a list brought with it stays: it goes with the list's `wall_hz`, and the loss of a training
    is masked by both.

    Raises:
        MissingFileError, AudioFileError: a file is missing or is not audio.
    """
    tell = report or (lambda *_: None)
    known = {row["file"]: row for row in rows if row.get("seconds") and row.get("bytes")}
    listed = {row["file"]: row.get("bandwidth_hz", "") for row in rows if not row.get("bytes")}
    files = list(dict.fromkeys(row["file"] for row in rows))
    measured: dict[str, Row] = {}
    saved = time.monotonic()
    try:
        for number, file in enumerate(files, start=1):
            path = folder / file
            if not path.is_file():
                raise MissingFileError(f"{path}: named by the corpus, not there")
            size = str(path.stat().st_size)
            if file not in known or known[file]["bytes"] != size:
                measured[file] = {**_measured(path, listed.get(file, "")), "bytes": size}
            tell("measuring", number, len(files))
            if time.monotonic() - saved > _SAVE_EVERY_S:
                rows = _with(folder, rows, measured)
                saved = time.monotonic()
    finally:
        rows = _with(folder, rows, measured)
    return rows


def _with(folder: Path, rows: list[Row], measured: dict[str, Row]) -> list[Row]:
    if not measured:
        return rows
    rows = [{**row, **measured.get(row["file"], {})} for row in rows]
    write_rows(folder, rows)
    return rows


def _measured(path: Path, bandwidth_hz: str = "") -> Row:
    """What is in a file; its bandwidth only where that is not known."""
    with AudioReader(path) as reader:
        info = reader.info
        meter, frames = BandwidthMeter(info.sample_rate), 0
        looked_at = round(_HOLES_S * info.sample_rate)
        first = max(0, (info.frames - looked_at) // 2)
        middle: list[Audio] = []
        for block in reader.blocks():
            if not bandwidth_hz:
                meter.push(block)
            inside = slice(max(0, first - frames), max(0, first + looked_at - frames))
            middle.append(block[:, inside].mean(axis=0))
            frames += block.shape[-1]
    return {
        "holes": f"{hole_share(np.concatenate(middle), info.sample_rate):.4f}" if middle else "0",
        "seconds": f"{frames / info.sample_rate:.3f}",
        "sample_rate": str(info.sample_rate),
        "channels": str(info.channels),
        "bandwidth_hz": bandwidth_hz or f"{meter.bandwidth_hz():.0f}",
    }


def _shared_out(folder: Path, shares: Shares) -> list[Row]:
    """Rows for a folder without splits of its own, by the hash of its speakers or files."""
    if shares.valid < 0 or shares.test < 0 or shares.valid + shares.test >= 1:
        raise SettingsError("--valid and --test are shares of the whole: together less than 1")
    names = sorted({row["file"] for row in read_rows(folder)})
    if (folder / TABLE).is_file():
        speakers = {row["file"]: row.get("speaker", "") for row in read_rows(folder)}
    else:
        corpus = read_corpus(folder)
        if set(corpus.files) != {"test"} or all(
            "/" in name and name.startswith("test") for name in names
        ):
            has = ", ".join(corpus.files)
            raise SettingsError(f"{folder}: has splits of its own ({has}); leave the shares out")
        speakers = {}
    groups: dict[str, float] = {}
    for name in names:
        if shares.by == "speaker":
            first, _, rest = name.partition("/")
            if not speakers.get(name) and not rest:
                raise AudioFileError(f"{folder / name}: lies in no speaker's folder; use --by file")
            speakers.setdefault(name, first)
        group = speakers[name] if shares.by == "speaker" else name
        groups[group] = groups.get(group, 0) + 1
    given = share_out(groups, {"test": shares.test, "valid": shares.valid})
    return [
        {
            "file": name,
            "split": given[speakers[name] if shares.by == "speaker" else name],
            "speaker": speakers.get(name, ""),
        }
        for name in names
    ]


def _splits_of(rows: list[Row]) -> set[tuple[str, str]]:
    return {(row["file"], row["split"]) for row in rows}
