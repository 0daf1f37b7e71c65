"""An excerpt of a corpus that is small enough to travel: to a machine that is lent for minutes.

Recordings are taken by turns, one of each speaker, then another of each, and of each the middle; as
mono Opus, or as FLAC where a recording is true further up than Opus reaches. The `files.csv` of the
pack says of each what the corpus's says, and up to where it is true as its `bandwidth_hz`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from fullband.audio.file import read, write
from fullband.audio.resample import resample
from fullband.corpora.download import Report
from fullband.corpora.manifest import read_corpus
from fullband.corpora.notes import true_hz_of
from fullband.corpora.splits import by_turns
from fullband.corpora.table import Row, read_rows, write_rows
from fullband.errors import OutputError, SettingsError
from fullband.folders import new_folder

__all__ = ["Codec", "pack"]

Codec = Literal["auto", "flac", "opus"]

_OPUS_RATE = 48_000
_OPUS_REACHES_HZ = 19_600  # its widest band ends at 20 kHz (RFC 6716, section 2)


def pack(
    folder: Path,
    target: Path,
    sizes_mib: Mapping[str, float],
    longest_s: float = 45.0,
    kbps: float = 96.0,
    codec: Codec = "auto",
    report: Report | None = None,
) -> list[Row]:
    """Copy so much of a corpus into a new folder; gives the rows of the copy.

    Args:
        target: made if it is not there; must be empty.
        sizes_mib: for each split to take, how large its files may be together.
        longest_s: of each recording, at most so much out of its middle.
        kbps: of the Opus files.
        codec: `flac` keeps all recordings at their own rate in 16 bits, without loss; `opus` none.

    Raises:
        MissingFileError, AudioFileError: the corpus or a file of it is missing, or is not audio.
        SettingsError: nothing of a split fits, or a length or rate makes no sense.
        OutputError: the target is not empty, or cannot be written.
    """
    if longest_s <= 0 or not all(size > 0 for size in sizes_mib.values()):
        raise SettingsError("a pack needs lengths and sizes above 0")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{target}: is there already; give a new folder")
    corpus = read_corpus(folder)
    rows = {(row["split"], row["file"]): row for row in read_rows(folder)}
    packed: list[Row] = []
    with new_folder(target) as part:
        for split, size_mib in sizes_mib.items():
            left, taken = size_mib * 2**20, 0
            names = _by_turns([rows[split, name] for name in corpus.split(split)])
            for number, row in enumerate(names):
                if report is not None:
                    report(f"packing {split}", number, len(names))
                made = _excerpt(folder, part, row, longest_s, codec, kbps, left)
                if made is None:
                    break
                packed.append(made)
                left -= int(made["bytes"])
                taken += 1
            if not taken:
                raise SettingsError(
                    f"{folder}: nothing of its split '{split}' fits {size_mib:g} MiB"
                )
        write_rows(part, packed)
    return packed


def _excerpt(
    folder: Path,
    target: Path,
    row: Row,
    longest_s: float,
    codec: Codec,
    kbps: float,
    room: float,
) -> Row | None:
    """Write the middle of a recording; None, and no file, if there is no room for it."""
    audio, rate = read(folder / row["file"])
    mono = audio if audio.ndim == 1 else audio.mean(axis=0)
    frames = min(len(mono), round(longest_s * rate))
    first = (len(mono) - frames) // 2
    mono = mono[first : first + frames]
    true_hz = true_hz_of(row, rate / 2)
    coded = codec == "opus" or (codec == "auto" and true_hz <= _OPUS_REACHES_HZ)
    if coded:
        mono, rate = resample(mono, rate, _OPUS_RATE), _OPUS_RATE
    # Split first: a recording that stands in two splits is two files here.
    name = f"{row['split']}/{row['file']}" + (".opus" if coded else ".flac")
    peak = float(np.max(np.abs(mono), initial=0.0))
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, mono / max(1.0, peak), rate, bitrate_kbps=kbps if coded else None)
    size = path.stat().st_size
    if size > room:
        path.unlink()
        return None
    return {
        **row,
        "file": name,
        "wall_hz": "",
        "bandwidth_hz": f"{min(true_hz, _OPUS_REACHES_HZ) if coded else true_hz:.0f}",
        "sample_rate": str(rate),
        "channels": "1",
        "seconds": f"{len(mono) / rate:.3f}",
        "bytes": str(size),
    }


def _by_turns(rows: list[Row]) -> list[Row]:
    """One of each speaker, then another of each, in an order that goes by no name."""
    shuffled = sorted(rows, key=lambda row: hashlib.sha256(row["file"].encode()).digest())
    return [shuffled[i] for i in by_turns([row.get("speaker") or row["file"] for row in shuffled])]
