"""How much of a spectrum a codec left empty.

Codecs drop what they judge inaudible, bin by bin, so what they return has holes where the original
had noise. Measures and losses on logarithms see little else.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["HOLES_FROM_HZ", "LOOKED_AT_HZ", "RIDDLED", "HoleMeter", "hole_share"]

HOLES_FROM_HZ = 1000.0
"""Codecs leave no holes below."""

LOOKED_AT_HZ = (2000.0, 12_000.0)
"""Where a recording's holes are counted, as far as it has content."""

RIDDLED = 0.1
"""The share there from which on a recording is taken for one with holes to fill."""

_FRAME, _HOP = 1024, 512
_AROUND = (9, 5)  # frequencies and frames of a neighbourhood
_DEEP_DB = 25.0  # noise lies so far below its mean in 0.3 % of its bins
_LEAST_DB = -90.0  # what lies below is silence, and not looked at
_AT_ONCE = 64  # frames
_TOP_HZ = 12_500.0  # what lies higher is not looked at


class HoleMeter:
    """Listens to a recording that arrives in blocks, in memory that does not grow with it."""

    def __init__(self, sample_rate: int) -> None:
        self._bin_hz = sample_rate / _FRAME
        bins = min(_FRAME // 2 + 1, math.ceil(_TOP_HZ / self._bin_hz))
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
        self._window = window.astype(np.float32)
        self._samples = np.zeros(0, np.float32)
        self._power = np.zeros((0, bins), np.float32)
        self._deep = np.zeros(bins, np.int64)
        self._heard = np.zeros(bins, np.int64)

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples; channels are averaged."""
        mono = block[0] if len(block) == 1 else block.mean(axis=0)
        self._samples = np.concatenate([self._samples, mono])
        while len(self._samples) >= _FRAME:
            count = min(1 + (len(self._samples) - _FRAME) // _HOP, _AT_ONCE)
            frames = np.lib.stride_tricks.sliding_window_view(self._samples, _FRAME)[::_HOP]
            spectrum = np.fft.rfft(frames[:count] * self._window)[:, : len(self._deep)]
            self._count((spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False))
            self._samples = self._samples[count * _HOP :]

    def share(self, from_hz: float, to_hz: float) -> float:
        """The share of holes among the bins that are heard; 0 where there are none."""
        inside = slice(*(max(0, round(hz / self._bin_hz)) for hz in (from_hz, to_hz)))
        heard = int(self._heard[inside].sum())
        return float(self._deep[inside].sum() / heard) if heard else 0.0

    def _count(self, power: np.ndarray) -> None:
        """Look at frames that have neighbours to both sides; the last ones wait for theirs.

        Shape: `[frames, F]`.
        """
        power = np.concatenate([self._power, power])
        around = _AROUND[1] // 2
        self._power = power[-2 * around :]
        if len(power) <= 2 * around:
            return
        half = _AROUND[0] // 2
        total = _sum(_sum(power, _AROUND[1], 0), _AROUND[0], 1)
        mean = total / np.float32(_AROUND[0] * _AROUND[1])
        # The ends of the spectrum are looked at beside their neighbours' neighbourhood.
        mean = np.pad(mean, ((0, 0), (half, half)), mode="edge")
        heard = mean > np.float32(10 ** (_LEAST_DB / 10) * (_FRAME * 3 / 8))
        deep = power[around:-around] < mean * np.float32(10 ** (-_DEEP_DB / 10))
        self._deep += (deep & heard).sum(axis=0)
        self._heard += heard.sum(axis=0)


def hole_share(
    audio: Audio, sample_rate: int, from_hz: float = 4000.0, to_hz: float = 12_000.0
) -> float:
    """The share of bins that lie 25 dB or more below the mean power of their neighbourhood.

    About 0.003 for noise, 0.01 to 0.02 for speech as a microphone gives it, 0.05 and more after a
    codec at a low rate. 0 where there is nothing but silence.

    Args:
        to_hz: at most 12.5 kHz.

    Shape:
        audio `[T]`.
    """
    meter = HoleMeter(sample_rate)
    meter.push(audio[None])
    return meter.share(from_hz, to_hz)


def _sum(values: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Of every `width` neighbours along an axis, so many fewer of them."""
    count = values.shape[axis] - width + 1
    parts = (np.take(values, range(start, start + count), axis) for start in range(width))
    return functools.reduce(np.add, parts)
