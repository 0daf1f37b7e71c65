"""Lower the sample rate of audio in each of the ways that the field's data was made.

Every method turns wide audio at one rate into narrow audio at a lower one. Which filter was used
decides what a published figure means, so each has a name:

- `chebyshev`: order-8 Chebyshev I low-pass (0.05 dB ripple, passband edge at 0.8 of the new
  Nyquist), forwards and backwards, then every r-th sample. `scipy.signal.decimate` today; the
  protocol of Kuleshov et al. (2017).
- `chebyshev-causal`: the same filter forwards only, as `decimate` did before scipy 0.18: about
  half its strength, with a delay of some samples.
- `subsample`: every r-th sample without a filter, so that treble folds down (aliasing).
- `fir`: a Hamming-windowed sinc of 20 r + 1 taps, zero phase (`decimate(ftype="fir")`), then every
  r-th sample.
- `kaiser`: the Kaiser-windowed (beta 5) polyphase filter of `scipy.signal.resample_poly`.
- `sinc-hann`: the Hann-windowed sinc, 6 zero crossings, roll-off 0.99, of torchaudio's `resample`,
  used by most published 48 kHz test sets.
- `soxr`: the VHQ linear-phase resampler that fullband itself uses.
- `spectral-cut`: every frequency from the new Nyquist up set to zero, nothing else touched.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.signal

from fullband.audio.resample import resample
from fullband.audio.samples import Audio, Rate
from fullband.errors import SettingsError

__all__ = ["METHODS", "degrade", "ideal_lowpass", "lower_rate", "sinc_hann_kernel"]

METHODS = (
    "chebyshev",
    "chebyshev-causal",
    "subsample",
    "fir",
    "kaiser",
    "sinc-hann",
    "soxr",
    "spectral-cut",
)

_WHOLE_RATIO_ONLY = ("chebyshev", "chebyshev-causal", "subsample", "fir", "spectral-cut")


def lower_rate(sample_rate: int, ratio: int) -> Rate:
    """The rate that is `ratio` times lower; a fraction where it is not a whole number of hertz.

    >>> lower_rate(16_000, 4), lower_rate(16_000, 6)
    (4000, Fraction(8000, 3))
    """
    rate = Fraction(sample_rate, ratio)
    return int(rate) if rate.denominator == 1 else rate


def degrade(wide: Audio, sample_rate: int, narrow_rate: Rate, method: str) -> Audio:
    """Make narrow audio at `narrow_rate` out of wide audio at `sample_rate`.

    Sample 0 stays where it is; every method but `chebyshev-causal` keeps alignment.

    Shape:
        wide `[*, T]`; result `[*, ceil(T * narrow_rate / sample_rate)]`, for `soxr` rounded.

    Raises:
        SettingsError: the method is unknown, the rate does not fall, or the method needs a whole
            ratio and the rates have none.
    """
    if method not in METHODS:
        raise SettingsError(f"unknown degradation '{method}'; one of {', '.join(METHODS)}")
    if not 0 < narrow_rate < sample_rate:
        raise SettingsError(f"the narrow rate must lie below {sample_rate} Hz, got {narrow_rate}")
    if method in _WHOLE_RATIO_ONLY and sample_rate % narrow_rate:
        raise SettingsError(f"'{method}' needs a whole ratio, not {sample_rate} to {narrow_rate}")
    ratio = sample_rate // narrow_rate
    if method == "subsample":
        return np.ascontiguousarray(wide[..., ::ratio])
    if method == "spectral-cut":
        return np.ascontiguousarray(
            ideal_lowpass(wide, sample_rate, float(narrow_rate / 2))[..., ::ratio]
        )
    if method == "soxr":
        return resample(wide, sample_rate, narrow_rate)
    if method == "sinc-hann":
        return _polyphase(wide, sample_rate, narrow_rate, "sinc-hann")
    if method == "kaiser":
        return _polyphase(wide, sample_rate, narrow_rate, "kaiser")
    samples = wide.astype(np.float64)
    if method == "fir":
        taps = scipy.signal.firwin(20 * ratio + 1, 1 / ratio, window="hamming")
        filtered = scipy.signal.fftconvolve(samples, _broadcast(taps, samples), "same", axes=-1)
    else:
        sections = scipy.signal.cheby1(8, 0.05, 0.8 / ratio, output="sos")
        if method == "chebyshev":
            padding = min(samples.shape[-1] - 1, 3 * (2 * len(sections) + 1))
            filtered = scipy.signal.sosfiltfilt(sections, samples, axis=-1, padlen=padding)
        else:
            filtered = scipy.signal.sosfilt(sections, samples, axis=-1)
    return np.ascontiguousarray(filtered[..., ::ratio].astype(np.float32))


def ideal_lowpass(wide: Audio, sample_rate: int, cutoff_hz: float) -> Audio:
    """Remove everything from a frequency up and touch nothing below it, at the same rate.

    By the cosine transform: the signal is continued by its mirror image at both ends, and that has
    no jump anywhere, so that nothing rings.

    Shape:
        wide `[*, T]`; result the same.
    """
    spectrum = scipy.fft.dct(wide.astype(np.float64), axis=-1)
    frames = wide.shape[-1]
    spectrum[..., np.arange(frames) * sample_rate / (2 * frames) >= cutoff_hz] = 0
    result: Audio = scipy.fft.idct(spectrum, axis=-1).astype(np.float32)
    return result


def _polyphase(wide: Audio, sample_rate: int, narrow_rate: Rate, design: str) -> Audio:
    up, down = (Fraction(narrow_rate) / sample_rate).as_integer_ratio()
    window: Any = ("kaiser", 5.0) if design == "kaiser" else sinc_hann_kernel(up, down)
    result = scipy.signal.resample_poly(wide.astype(np.float64), up, down, axis=-1, window=window)
    return np.ascontiguousarray(result.astype(np.float32))


@lru_cache(maxsize=16)
def sinc_hann_kernel(up: int, down: int) -> np.ndarray:
    """torchaudio's default kernel at the rate `up` times the source's, with unit gain at 0 Hz.

    A sinc whose cutoff is 0.99 of the narrow Nyquist, under a Hann window that ends at its sixth
    zero crossing.
    """
    zero_crossings, rolloff = 6, 0.99
    step = rolloff / max(up, down)  # in zero crossings, per tap
    half = math.ceil(zero_crossings / step)
    t = np.clip(np.arange(-half, half + 1) * step, -zero_crossings, zero_crossings)
    taps = np.sinc(t) * np.cos(t * np.pi / zero_crossings / 2) ** 2
    normalised: np.ndarray = taps / taps.sum()
    return normalised


def _broadcast(taps: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return taps.reshape((1,) * (samples.ndim - 1) + (-1,))
