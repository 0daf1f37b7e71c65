"""The crossover between the band that is kept and the band that is added."""

from __future__ import annotations

import math

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["Fir", "crossover_width_hz", "highpass_kernel"]

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


class Fir:
    """A linear-phase filter over a stream, with its delay taken out: nothing moves in time.

    Args:
        kernel: `[N]`, N odd.

    Shape:
        push: block `[C, T]`, result `[C, T']`; with what `flush` gives, as many as went in.
    """

    def __init__(self, kernel: np.ndarray, channels: int) -> None:
        self._half = len(kernel) // 2
        self._length = 1 << max(14, (8 * len(kernel)).bit_length())
        self._response = np.fft.rfft(kernel, self._length)
        # Overlap-save: `half` zeros before the first sample, then 2 * half of history.
        self._held = np.zeros((channels, self._half), np.float32)

    def push(self, block: Audio) -> Audio:
        self._held = np.concatenate([self._held, block], axis=-1)
        step = self._length - 2 * self._half
        pieces = []
        while self._held.shape[-1] >= self._length:
            pieces.append(self._filter(self._held[:, : self._length]))
            self._held = self._held[:, step:]
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def flush(self) -> Audio:
        channels, held = self._held.shape
        remaining = held - self._half
        if remaining <= 0:
            return np.zeros((channels, 0), np.float32)
        tail = np.pad(self._held, ((0, 0), (0, self._length - held)))
        if remaining + 2 * self._half <= self._length:
            return self._filter(tail)[:, :remaining]
        first = self._filter(self._held[:, : self._length])
        self._held = self._held[:, first.shape[-1] :]
        return np.concatenate([first, self.flush()], axis=-1)

    def _filter(self, window: Audio) -> Audio:
        spectrum = np.fft.rfft(window, self._length, axis=-1) * self._response
        result = np.fft.irfft(spectrum, self._length, axis=-1)
        return result[:, 2 * self._half :].astype(np.float32)
