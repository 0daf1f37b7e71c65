"""How much of a spectrum a codec left empty.

Codecs drop what they judge inaudible, bin by bin, so what they return has holes where the original
had noise. Measures and losses on logarithms see little else.
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["RIDDLED", "HoleMeter", "hole_share"]

RIDDLED = 0.1
"""The share between 2 and 12 kHz from which on a recording is taken for one with holes to fill."""

_FRAME, _HOP = 1024, 512
_AROUND = (9, 5)  # frequencies and frames of a neighbourhood
_DEEP_DB = 25.0  # noise lies so far below its mean in 0.3 % of its bins
_LEAST_DB = -90.0  # what lies below is silence, and not looked at
_AT_ONCE = 512  # frames


class HoleMeter:
    """Listens to a recording that arrives in blocks, in memory that does not grow with it."""

    def __init__(self, sample_rate: int) -> None:
        self._bin_hz = sample_rate / _FRAME
        self._window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
        self._samples = np.zeros(0)
        self._power = np.zeros((_FRAME // 2 + 1, 0))
        self._deep = np.zeros(_FRAME // 2 + 1, np.int64)
        self._heard = np.zeros(_FRAME // 2 + 1, np.int64)

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples; channels are averaged."""
        mono = block[0] if len(block) == 1 else block.mean(axis=0)
        self._samples = np.concatenate([self._samples, mono])
        while len(self._samples) >= _FRAME:
            count = min(1 + (len(self._samples) - _FRAME) // _HOP, _AT_ONCE)
            frames = np.lib.stride_tricks.sliding_window_view(self._samples, _FRAME)[::_HOP]
            spectrum = np.fft.rfft(frames[:count] * self._window)
            self._count((spectrum.real**2 + spectrum.imag**2).T)
            self._samples = self._samples[count * _HOP :]

    def share(self, from_hz: float, to_hz: float) -> float:
        """The share of holes among the bins that are heard; 0 where there are none."""
        inside = slice(*(max(0, round(hz / self._bin_hz)) for hz in (from_hz, to_hz)))
        heard = int(self._heard[inside].sum())
        return float(self._deep[inside].sum() / heard) if heard else 0.0

    def _count(self, power: np.ndarray) -> None:
        """Look at frames that have neighbours to both sides; the last ones wait for theirs."""
        power = np.concatenate([self._power, power], axis=1)
        around = _AROUND[1] // 2
        self._power = power[:, max(0, power.shape[1] - 2 * around) :]
        if power.shape[1] <= 2 * around:
            return
        mean = _box(_box(power, _AROUND[0], 0), _AROUND[1], 1)[:, around:-around]
        heard = mean > 10 ** (_LEAST_DB / 10) * (_FRAME * 3 / 8)
        deep = power[:, around:-around] < mean * 10 ** (-_DEEP_DB / 10)
        self._deep += (deep & heard).sum(axis=1)
        self._heard += heard.sum(axis=1)


def hole_share(
    audio: Audio, sample_rate: int, from_hz: float = 4000.0, to_hz: float = 12_000.0
) -> float:
    """The share of bins that lie 25 dB or more below the mean power of their neighbourhood.

    About 0.003 for noise, 0.01 to 0.02 for speech as a microphone gives it, 0.05 and more after a
    codec at a low rate. 0 where there is nothing but silence.

    Shape:
        audio `[T]`.
    """
    meter = HoleMeter(sample_rate)
    meter.push(audio[None])
    return meter.share(from_hz, to_hz)


def _box(values: np.ndarray, width: int, axis: int) -> np.ndarray:
    """The mean over `width` neighbours along an axis, the ends repeated."""
    half = width // 2
    edges = [(0, 0), (0, 0)]
    edges[axis] = (half, half)
    sums = np.cumsum(np.pad(values, edges, mode="edge"), axis=axis)
    first = np.take(sums, [0], axis=axis) * 0.0
    sums = np.concatenate([first, sums], axis=axis)
    count = values.shape[axis]
    upper, lower = (np.take(sums, np.arange(start, start + count), axis) for start in (width, 0))
    mean: np.ndarray = (upper - lower) / width
    return mean
