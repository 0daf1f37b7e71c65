"""Change of sample rate for streams, with little delay: linear-phase filters as short as can be.

`fullband.audio.resample` waits for its long filter to fill, which a call cannot. Here the filter
looks ahead by a given number of milliseconds, and what that costs is its slope: the shorter, the
gentler. What it keeps between two blocks is handed in and out, so that many streams can be brought
to another rate at once.

The filter is Kaiser's (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5), cut into
phases (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983): of a filter at the least
common multiple of both rates, one output sample needs only the taps that meet an input sample.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["Polyphase"]

_STOP_DB = 70.0
_STOPS_BEYOND = 1.03  # times the lower Nyquist frequency: where the slope ends
_MOST_PHASES = 1 << 12


class Polyphase:
    """The filter from one rate to another; it holds no state of its own.

    Args:
        delay_s: how far it looks ahead.

    Attributes:
        ahead: the same in samples at the source's rate.
        history: how many samples of the past `push` is given, all zero at a stream's start.
        passed_hz: where it has fallen by 3 dB.
    """

    def __init__(self, source_rate: int, target_rate: int, delay_s: float) -> None:
        ratio = Fraction(target_rate, source_rate)
        self._up, self._down = ratio.numerator, ratio.denominator
        if source_rate == target_rate:
            self.ahead = self.history = 0
            self.passed_hz = source_rate / 2
            return
        if self._up > _MOST_PHASES:
            raise ValueError(f"{source_rate} to {target_rate} Hz has too many phases")
        half = max(1, round(delay_s * source_rate))
        self.ahead, self.history = half, 2 * half
        # Tap k of phase p lies (k - half + 1) - p / up source samples from the output's instant.
        offset = np.arange(2 * half)[:, None] - (half - 1) - np.arange(self._up) / self._up
        slope_hz = (_STOP_DB - 8) / (2.285 * 2 * math.pi) * source_rate / (2 * half)
        lowest = min(source_rate, target_rate) / 2
        middle_hz = _STOPS_BEYOND * lowest - slope_hz / 2
        beta = 0.1102 * (_STOP_DB - 8.7)
        window = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (offset / half) ** 2))) / np.i0(beta)
        cutoff = 2 * middle_hz / source_rate
        taps = cutoff * np.sinc(cutoff * offset) * window
        taps /= taps.sum(axis=0)  # each phase passes 0 Hz as it is
        self._taps = taps.astype(np.float32)
        self.passed_hz = self._passed_hz(source_rate)

    def push(self, history: Audio, block: Audio, position: int) -> tuple[Audio, Audio, int]:
        """As many samples as the filter has looked far enough ahead for.

        Args:
            position: where the next output sample lies, in parts of a source sample, of which one
                has as many as there are phases, from the first sample of the history; `start` at a
                stream's start.

        Shape:
            history `[B, history]`, block `[B, T]`; result `[B, T']`, the new history and position.
        """
        if not self.history:
            return block, history, 0
        held = np.concatenate([history, block], axis=-1)
        last = (held.shape[-1] - self.ahead) * self._up - 1  # the last position that is complete
        count = max(0, (last - position) // self._down + 1)
        at = position + self._down * np.arange(count)
        after = position + self._down * count - block.shape[-1] * self._up
        result = self._at(held, at)
        return result, held[:, held.shape[-1] - self.history :], after

    @property
    def start(self) -> int:
        """The position of sample 0 of a stream."""
        return self.history * self._up if self.history else 0

    def _at(self, held: Audio, at: np.ndarray) -> Audio:
        if not len(at):
            return held[:, :0]
        centre, phase = at // self._up, at % self._up
        windows = np.lib.stride_tricks.sliding_window_view(held, self.history, axis=-1)
        first = centre - self.ahead + 1
        if self._down == 1 and phase[0] == 0 and len(at) % self._up == 0:
            # Every source sample gives all phases: one matrix.
            rows = windows[:, first[0] : first[-1] + 1]
            return (np.ascontiguousarray(rows) @ self._taps).reshape(len(held), -1)
        if self._up == 1:
            return np.ascontiguousarray(windows[:, first]) @ self._taps[:, 0]
        taken: Audio = np.einsum("btk,tk->bt", windows[:, first], self._taps.T[phase])
        return taken

    def _passed_hz(self, source_rate: int) -> float:
        """Where the whole filter has fallen by 3 dB, by its spectrum."""
        whole = self._taps[:, ::-1].reshape(-1) / self._up  # at `up` times the source's rate
        turns = -2j * np.pi / (source_rate * self._up) * np.arange(len(whole))
        low, high = 0.0, min(source_rate, source_rate * self._up / self._down) / 2 * _STOPS_BEYOND
        while high - low > 1.0:
            middle = (low + high) / 2
            level = abs(np.sum(whole * np.exp(middle * turns)))
            low, high = (middle, high) if level > 10 ** (-3 / 20) else (low, middle)
        return low
