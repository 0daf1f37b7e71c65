"""What is known of each recording beside its samples: who speaks, and how far up it is true."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fullband.corpora.dataset import Decoded
from fullband.corpora.table import Row
from fullband.errors import AudioFileError

__all__ = ["Notes", "notes_of", "true_hz_of"]

_WALL_MARGIN_HZ = 400.0


@dataclass(frozen=True)
class Notes:
    """One entry per recording of a `Decoded`.

    Attributes:
        speakers: names; recordings of one speaker stand next to each other.
        true_hz: up to where its content is its own; above it a codec or a resampler has been.
        holes: the share of its spectrum between 4 and 12 kHz that a codec left empty; see
            `fullband.audio.holes`. 0 where it was not measured.
    """

    speakers: tuple[str, ...]
    true_hz: np.ndarray
    holes: np.ndarray


def true_hz_of(row: Mapping[str, str], nyquist_hz: float) -> float:
    """Up to where a recording is to be believed: its rate, its codec's wall, where content ends.

    From the columns `sample_rate` or `rate`, `wall_hz` (0 or empty for none) and `bandwidth_hz` of
    `files.csv`; a column that is not there, or is empty, says nothing.

    Raises:
        AudioFileError: a column holds what is no number.
    """
    limits = [0.98 * nyquist_hz]
    rate = row.get("sample_rate") or row.get("rate")
    if rate:
        limits.append(0.98 * _number(row, "sample_rate" if row.get("sample_rate") else "rate") / 2)
    wall_hz = _number(row, "wall_hz")
    if wall_hz:
        limits.append(wall_hz - _WALL_MARGIN_HZ)
    if row.get("bandwidth_hz"):
        limits.append(_number(row, "bandwidth_hz"))
    return min(limits)


def notes_of(decoded: Decoded, rows: Mapping[str, Row]) -> Notes:
    """The notes on each recording, from the rows of its corpus by file name."""
    nyquist_hz = decoded.sample_rate / 2
    found = [rows.get(name, {}) for name in decoded.names]
    return Notes(
        tuple(row.get("speaker") or "" for row in found),
        np.array([true_hz_of(row, nyquist_hz) for row in found]),
        np.array([_number(row, "holes") for row in found]),
    )


def _number(row: Mapping[str, str], column: str) -> float:
    """What a column says, 0 where it is empty."""
    try:
        value = float(row.get(column) or 0)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        said = f"'{row.get(column)}' in the column '{column}'"
        raise AudioFileError(f"files.csv: {row.get('file', '?')}: {said} is not a number")
    return value
