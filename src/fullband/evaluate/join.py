"""The join between the band that was there and the band that was added, in the average spectrum.

A line, a hole or a bump at the cutoff is what listeners notice first. It is measured where it would
be seen: the long-term average spectrum of everything a system made of a set of recordings beside
that of the originals, in bands around the cutoff, in dB, with no level or slope taken out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fullband.audio.level import active_level_db, model_gain
from fullband.audio.samples import Audio
from fullband.audio.spectrum import power_spectrogram

__all__ = ["ABOVE_HZ", "BELOW_HZ", "WIDTH_HZ", "JoinMeter", "join_edges_hz"]

WIDTH_HZ, BELOW_HZ, ABOVE_HZ = 200.0, 1000.0, 1600.0
"""Bands so wide, from so far below the cutoff to so far above it."""

_FRAME = 4096


def join_edges_hz(cutoff_hz: float) -> np.ndarray:
    """Where the bands around a cutoff begin, and where the last one ends.

    >>> join_edges_hz(4000.0)[[0, 1, -1]].tolist()
    [3000.0, 3200.0, 5600.0]
    """
    edges: np.ndarray = cutoff_hz + np.arange(-BELOW_HZ, ABOVE_HZ + 1, WIDTH_HZ)
    return edges


@dataclass
class JoinMeter:
    """The average spectra of predicted and wide audio around a cutoff.

    Every recording counts with its own length and at one active level, that of the wide audio; a
    band counts only those whose wide audio reaches its upper edge.
    """

    sample_rate: int
    cutoff_hz: float
    _power: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._power = np.zeros((2, len(join_edges_hz(self.cutoff_hz)) - 1))

    def add(self, predicted: Audio, wide: Audio, limit_hz: float = np.inf) -> None:
        """Take in one recording.

        Args:
            limit_hz: where the wide audio truly ends.

        Shape:
            both `[T]`.
        """
        gain = model_gain(active_level_db(wide, self.sample_rate)) ** 2
        edges = join_edges_hz(self.cutoff_hz)
        reached = edges[1:] <= limit_hz
        for row, audio in enumerate((predicted, wide)):
            power = power_spectrogram(audio, _FRAME, _FRAME // 4).sum(axis=1) * gain
            hz = np.linspace(0, self.sample_rate / 2, len(power))
            bands = np.array(
                [power[(hz >= low) & (hz < high)].sum() for low, high in _pairs(edges)]
            )
            self._power[row] += np.where(reached, bands, 0.0)

    def rows(self) -> list[dict[str, float]]:
        """A row per band that any recording reached: its edges, both levels and the deviation."""
        edges = join_edges_hz(self.cutoff_hz)
        return [
            {
                "from_hz": float(low),
                "to_hz": float(high),
                "wide_db": _db(wide),
                "predicted_db": _db(predicted),
                "deviation_db": _db(predicted) - _db(wide),
            }
            for (low, high), predicted, wide in zip(_pairs(edges), *self._power, strict=True)
            if wide > 0
        ]


def _pairs(edges: np.ndarray) -> list[tuple[float, float]]:
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _db(power: float) -> float:
    return float(10 * np.log10(power + 1e-20))
