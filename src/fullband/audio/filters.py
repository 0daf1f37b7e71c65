"""The crossover between the band that is kept and the band that is added."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["Fir", "SwitchedFir", "crossover_width_hz", "highpass_kernel", "lowpass_kernel"]

_STOP_DB = 80.0
_MARGIN_DB = 1.0  # Kaiser's formulas are fits, and fall short by up to 0.6 dB


def crossover_width_hz(cutoff_hz: float) -> float:
    """How wide the crossover above a cutoff is: 8 % of it, within 100 to 400 Hz.

    Narrow enough that no hole is left above the kept band, wide enough that the filter rings for
    no more than a few tens of milliseconds.
    """
    return float(np.clip(0.08 * cutoff_hz, 100.0, 400.0))


def highpass_kernel(sample_rate: int, stop_hz: float, width_hz: float) -> np.ndarray:
    """A linear-phase high-pass that is 80 dB down at `stop_hz` and open `width_hz` above it.

    Kaiser's design (Kaiser 1974; Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5): the
    window's beta follows from the attenuation, the length from attenuation and width.

    Shape:
        result `[N]`, N odd, symmetric.
    """
    design_db = _STOP_DB + _MARGIN_DB
    beta = 0.1102 * (design_db - 8.7)
    width = 2 * math.pi * width_hz / sample_rate
    half = math.ceil((design_db - 8) / (2.285 * width) / 2) + 1
    t = np.arange(-half, half + 1)
    middle = 2 * (stop_hz + width_hz / 2) / sample_rate
    lowpass = middle * np.sinc(middle * t) * np.kaiser(2 * half + 1, beta)
    lowpass /= lowpass.sum()  # exactly 1 at 0 Hz, so the high-pass is exactly 0 there
    kernel: np.ndarray = -lowpass
    kernel[half] += 1.0
    return kernel


def lowpass_kernel(sample_rate: int, pass_hz: float, width_hz: float) -> np.ndarray:
    """What `highpass_kernel` holds back: open up to `pass_hz`, 80 dB down `width_hz` above it.

    Shape:
        result `[N]`, N odd, symmetric.
    """
    kernel = -highpass_kernel(sample_rate, pass_hz, width_hz)
    kernel[len(kernel) // 2] += 1.0
    return kernel


class Fir:
    """A linear-phase filter over a stream, with its delay taken out: nothing moves in time.

    By overlap-save in float32, whose rounding lies 130 dB below the loudest in reach.

    Args:
        kernel: `[N]`, N odd.
        start: the position of the first sample that will be pushed. Transforms lie on one grid, so
            that a part of a recording rounds as the whole does, `reach` from the part's ends.

    Shape:
        push: block `[C, T]`, result `[C, T']`; with what `flush` gives, as many as went in.
    """

    def __init__(self, kernel: np.ndarray, channels: int, start: int = 0) -> None:
        self._half = len(kernel) // 2
        self._length = 1 << max(14, (8 * len(kernel)).bit_length())
        self._response = self._transform(kernel)
        # `half` zeros before the first sample, then 2 * half of history.
        self._early = start % (self._length - 2 * self._half)  # results of before the start
        self._held = np.zeros((channels, self._half + self._early), np.float32)
        self._position = start - self._early - self._half  # of the first sample that is held

    @property
    def reach(self) -> int:
        """Samples to each side that can change a sample of the result, be it by rounding."""
        return self._length

    def push(self, block: Audio) -> Audio:
        self._held = np.concatenate([self._held, block], axis=-1)
        step = self._length - 2 * self._half
        pieces = []
        start = 0
        while self._held.shape[-1] - start >= self._length:
            pieces.append(self._filter(self._held[:, start : start + self._length]))
            self._position += step
            start += step
        self._held = self._held[:, start:]
        result = np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]
        early = min(self._early, result.shape[-1])
        self._early -= early
        return result[:, early:]

    def flush(self) -> Audio:
        remaining = self._held.shape[-1] - self._half - self._early
        tail = np.zeros((self._held.shape[0], self._length + self._half), np.float32)
        return self.push(tail)[:, : max(0, remaining)]

    def _transform(self, kernel: np.ndarray) -> np.ndarray:
        return np.fft.rfft(kernel, self._length).astype(np.complex64)

    def _filter(self, window: Audio) -> Audio:
        if not window.any():
            return np.zeros_like(window[:, 2 * self._half :])
        result = np.fft.irfft(self._spectrum(window), self._length, axis=-1)
        return result[:, 2 * self._half :].astype(np.float32, copy=False)

    def _spectrum(self, window: Audio) -> np.ndarray:
        spectrum: np.ndarray = np.fft.rfft(window, axis=-1)
        spectrum *= self._response
        return spectrum


class SwitchedFir(Fir):
    """Linear-phase filters that follow one another in time, each faded into the next.

    What goes in is faded, not what comes out: a fade spreads what it fades by some tens of hertz,
    and so the filter after it still stops all that it should stop.

    Args:
        kernels: `[N]`, N odd, each; None lets nothing through.
        starts: the sample at which each takes over; the first is 0.
        fade: over how many samples, half of them before that; no two fades may overlap.
        start: as for `Fir`.

    Shape:
        push: as `Fir`.
    """

    def __init__(
        self,
        kernels: Sequence[np.ndarray | None],
        starts: Sequence[int],
        fade: int,
        channels: int,
        start: int = 0,
    ) -> None:
        longest = max((len(kernel) for kernel in kernels if kernel is not None), default=1)
        super().__init__(np.zeros(longest), channels, start)
        self._starts = np.asarray(starts)
        self._fade = max(1, fade)
        known: dict[bytes, np.ndarray] = {}  # a recording may come back to the same one often
        self._responses = [self._known(kernel, longest, known) for kernel in kernels]

    def _known(
        self, kernel: np.ndarray | None, longest: int, known: dict[bytes, np.ndarray]
    ) -> np.ndarray | None:
        if kernel is None:
            return None
        padded = np.pad(kernel, (longest - len(kernel)) // 2)
        return known.setdefault(padded.tobytes(), self._transform(padded))

    def _spectrum(self, window: Audio) -> np.ndarray:
        first, last = self._position, self._position + window.shape[-1]
        reach = self._fade // 2 + 1
        begun = max(0, int(np.searchsorted(self._starts, first - reach, side="right")) - 1)
        ended = int(np.searchsorted(self._starts, last + reach, side="left"))
        total = np.zeros((window.shape[0], self._length // 2 + 1), np.complex64)
        for index in range(begun, ended):
            response = self._responses[index]
            if response is not None:
                faded = window if ended - begun == 1 else window * self._weight(index, first, last)
                total += np.fft.rfft(faded, axis=-1) * response
        return total

    def _weight(self, index: int, first: int, last: int) -> Audio:
        """How much of each sample belongs to one filter: all of them together have 1."""
        t = np.arange(first, last)
        weight = np.ones(last - first)
        if index > 0:
            weight *= self._rise(t - self._starts[index])
        if index + 1 < len(self._starts):
            weight *= 1 - self._rise(t - self._starts[index + 1])
        return weight.astype(np.float32)

    def _rise(self, since: np.ndarray) -> np.ndarray:
        """Half a period of a cosine, from 0 to 1, centred on 0."""
        raised: np.ndarray = 0.5 - 0.5 * np.cos(np.pi * np.clip(since / self._fade + 0.5, 0, 1))
        return raised
