"""Cubic spline interpolation: the baseline of the 2017 paper, and what its networks start from.

Interpolates samples at any rate to any other with the cubic spline through them (Kuleshov et al.
2017 use scipy's `splrep` and `splev`, order 3). Away from the ends of the signal this is a linear
filter, the cardinal spline, whose taps fall by a factor 0.27 per sample, so it can run in blocks.
At the ends the signal is continued by its mirror image (Unser 1999, "Splines: a perfect fit for
signal and image processing") where scipy bends the last pieces of the curve (not-a-knot).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fullband.audio.samples import Audio, Rate, output_length

__all__ = ["SplineInterpolator", "interpolate"]

_REACH = 20  # samples to each side; the next tap would be 0.268**21 = 1e-12
_CHUNK = 1 << 16


def interpolate(audio: Audio, source_rate: Rate, target_rate: Rate) -> Audio:
    """Draw the cubic spline through all samples and read it at another rate.

    Shape:
        audio `[*, T]`; result `[*, round(T * target_rate / source_rate)]`.
    """
    channels = audio.reshape(-1, audio.shape[-1])
    stream = SplineInterpolator(source_rate, target_rate, channels.shape[0])
    result = np.concatenate([stream.push(channels), stream.flush()], axis=-1)
    return result.reshape(*audio.shape[:-1], -1)


class SplineInterpolator:
    """The same in pieces: `push` blocks as they come, then `flush` once.

    Shape:
        push: block `[C, T]`, result `[C, T']`; together `round(T * target_rate / source_rate)`.
    """

    def __init__(self, source_rate: Rate, target_rate: Rate, channels: int) -> None:
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._up, self._down = (Fraction(target_rate) / Fraction(source_rate)).as_integer_ratio()
        self._held = np.zeros((channels, 0), np.float32)  # starts at input sample `_first`
        self._first = -_REACH
        self._started = False
        self._consumed = 0
        self._produced = 0

    def push(self, block: Audio) -> Audio:
        self._consumed += block.shape[-1]
        self._held = np.concatenate([self._held, block], axis=-1)
        if not self._started:
            if self._held.shape[-1] <= _REACH:
                return self._held[:, :0]
            self._held = np.concatenate([self._held[:, _REACH:0:-1], self._held], axis=-1)
            self._started = True
        # Output n lies between inputs m = n * down // up and m + 1, and needs m - 20 to m + 21.
        last_input = self._first + self._held.shape[-1] - 2 - _REACH
        ready = (last_input + 1) * self._up // self._down + (
            1 if (last_input + 1) * self._up % self._down else 0
        )
        return self._read(max(self._produced, ready))

    def flush(self) -> Audio:
        total = output_length(self._consumed, self.source_rate, self.target_rate)
        if not self._consumed:
            return self._held[:, :0]
        tail = 2 * _REACH + 2
        if not self._started:
            self._held = np.pad(self._held, ((0, 0), (_REACH, tail)), mode="reflect")
        else:
            self._held = np.pad(self._held, ((0, 0), (0, tail)), mode="reflect")
        return self._read(total)

    def _read(self, end: int) -> Audio:
        """Outputs from `_produced` up to `end`; then forget the input that no later one needs."""
        table = _cardinal_table(self._up, self._down)
        taps = np.arange(2 * _REACH + 2) - _REACH
        pieces = []
        for start in range(self._produced, end, _CHUNK):
            n = np.arange(start, min(start + _CHUNK, end))
            index = (n * self._down // self._up - self._first)[:, None] + taps
            weights = table[n * self._down % self._up]
            pieces.append(np.einsum("cnk,nk->cn", self._held[:, index], weights))
        self._produced = max(self._produced, end)
        needed = self._produced * self._down // self._up - _REACH
        spare = self._held.shape[-1] - (_REACH + 2)  # the last ones may have to be mirrored
        forget = min(needed - self._first, spare)
        if self._started and forget > 0:
            self._held = self._held[:, forget:]
            self._first += forget
        if not pieces:
            return self._held[:, :0]
        return np.concatenate(pieces, axis=-1).astype(np.float32, copy=False)


@lru_cache(maxsize=8)
def _cardinal_table(up: int, down: int) -> np.ndarray:
    """Weights of inputs m - 20 ... m + 21 for each position m + phase / up between two inputs.

    The cubic B-spline coefficients of a signal are the signal filtered by sqrt(3) z^|k| with
    z = sqrt(3) - 2; the spline is their sum weighted by the B-spline at four neighbours.
    """
    phases = np.arange(up)
    fraction = phases[:, None] / up
    neighbours = np.arange(-1, 3)
    distance = np.abs(fraction - neighbours)
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    bspline = np.where(distance < 1, inner, outer)  # [up, 4]
    taps = np.arange(2 * _REACH + 2) - _REACH
    z = math.sqrt(3) - 2
    prefilter = math.sqrt(3) * z ** np.abs(taps[None, :] - neighbours[:, None])  # [4, taps]
    table = bspline @ prefilter
    # The tail that was cut off would make constants drift by 1e-11; give it back.
    normalised: np.ndarray = table / table.sum(axis=1, keepdims=True)
    return normalised.astype(np.float32)
