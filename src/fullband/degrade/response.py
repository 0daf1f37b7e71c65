"""Ways of losing the treble as frequency responses, drawn at random, for training on all of them.

`fullband.degrade.bandlimit` makes narrow audio exactly as the field's data was made, a rate at a
time. Here any cutoff is possible and a whole draw costs one multiplication in the frequency domain:
each family's magnitude as a function of frequency relative to the narrow Nyquist frequency, what
folds back below it (aliasing), and what resampling back leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.signal

from fullband.audio.resample import resample
from fullband.degrade.bandlimit import sinc_hann_kernel

__all__ = ["FAMILIES", "NarrowDraw", "bandlimit_spectrum", "draw_response", "family_response"]

FAMILIES = (
    "chebyshev",
    "sinc-hann",
    "kaiser",
    "fir",
    "soxr",
    "spectral-cut",
    "butterworth",
    "chebyshev-ripple",
    "subsample",
)
"""Those of `fullband.degrade.METHODS`, without phase, and two that vary in steepness and ripple."""

GENTLE = ("sinc-hann", "kaiser")
"""Those of them that are also used to bring narrow audio back, by other software."""

_GENTLY = 0.3
_CHANCES = (0.14, 0.2, 0.1, 0.1, 0.14, 0.12, 0.1, 0.07, 0.03)
_STEPS = 2048  # points of a table between 0 and twice the narrow Nyquist frequency
_END_DB = -4.0  # content ends where the response has fallen so far, as the detector has it


@dataclass(frozen=True)
class NarrowDraw:
    """One way of losing the treble.

    Attributes:
        nyquist_hz: half the narrow rate.
        response: amplitude at `[_STEPS]` frequencies from 0 to twice `nyquist_hz`.
        aliased: whether what passes above `nyquist_hz` folds back below it. What lies above twice
            that is lost either way.
        raised_by: how it was brought back to the wide rate: `soxr`, or a gentle filter (one of
            `GENTLE`) that leaves mirror images above `nyquist_hz`.
    """

    family: str
    nyquist_hz: float
    response: np.ndarray
    aliased: bool
    raised_by: str = "soxr"

    @property
    def bandwidth_hz(self) -> float:
        """Where content ends: 4 dB down, once resampled back."""
        passed = self.response * _fixed_response(self.raised_by)
        below = np.flatnonzero(passed >= 10 ** (_END_DB / 20))
        return float((below[-1] + 1) * 2 * self.nyquist_hz / _STEPS)


def draw_response(generator: np.random.Generator, nyquist_hz: float) -> NarrowDraw:
    """A family at random, and its steepness, edge and ripple where it has them."""
    family = str(generator.choice(FAMILIES, p=_CHANCES))
    response = family_response(
        family,
        order=int(generator.integers(3, 13)),
        edge=float(generator.uniform(0.75, 0.98)),
        ripple_db=float(generator.uniform(0.05, 1.0)),
    )
    aliased = generator.random() < 0.8
    raised_by = str(generator.choice(GENTLE)) if generator.random() < _GENTLY else "soxr"
    return NarrowDraw(family, nyquist_hz, response, aliased, raised_by)


@lru_cache(maxsize=64)
def _fixed_response(family: str) -> np.ndarray:
    frequency = np.arange(_STEPS) * 2 / _STEPS
    if family == "spectral-cut":
        return np.where(frequency < 1, 1.0, 0.0)
    if family == "subsample":
        return np.ones(_STEPS)
    if family == "soxr":
        return _brought_back()
    if family == "chebyshev":  # order 8 with 0.05 dB of ripple at 0.8, forwards and backwards
        return np.asarray(_chebyshev(frequency / 0.8, 8, 0.05) ** 2)
    ratio = 32
    if family == "fir":
        taps = scipy.signal.firwin(20 * ratio + 1, 1 / ratio, window="hamming")
    elif family == "kaiser":
        taps = scipy.signal.firwin(20 * ratio + 1, 1 / ratio, window=("kaiser", 5.0))
    else:
        taps = sinc_hann_kernel(1, ratio)
    # Twice the narrow Nyquist frequency lies at 2 / ratio of the wide one.
    _, response = scipy.signal.freqz(taps / taps.sum(), worN=np.pi / ratio * frequency)
    return np.abs(response)


def family_response(family: str, order: int, edge: float, ripple_db: float) -> np.ndarray:
    """Amplitude at `[_STEPS]` frequencies from 0 to twice the narrow Nyquist frequency.

    Args:
        order, edge, ripple_db: of the families that vary; the edge is relative to Nyquist.
    """
    frequency = np.arange(_STEPS) * 2 / _STEPS
    if family == "butterworth":
        return np.asarray(1 / np.sqrt(1 + (frequency / edge) ** (2 * order)))
    if family == "chebyshev-ripple":
        return _chebyshev(frequency / edge, order, ripple_db)
    return _fixed_response(family)


def bandlimit_spectrum(spectrum: np.ndarray, bin_hz: float, drawn: NarrowDraw) -> np.ndarray:
    """The spectrum `[F]` of wide audio as it is once narrowed and brought back to the wide rate."""
    bins = np.arange(len(spectrum))
    relative = bins * bin_hz / drawn.nyquist_hz
    passed: np.ndarray = spectrum * _interpolated(relative, drawn.response)
    top = round(2 * drawn.nyquist_hz / bin_hz)
    first = int(np.ceil(drawn.nyquist_hz / bin_hz))
    last = min(top, len(spectrum))
    if drawn.aliased:
        folded = passed[first:last]
        passed[top - np.arange(first, last)] += np.conj(folded)
        passed[first:last] = 0
    if drawn.raised_by != "soxr":  # sampled at the narrow rate, what is below stands above again
        passed[first:last] = np.conj(passed[top - np.arange(first, last)])
    passed *= _interpolated(relative, _fixed_response(drawn.raised_by))
    return passed


def _interpolated(relative: np.ndarray, response: np.ndarray) -> np.ndarray:
    table = np.arange(_STEPS) * 2 / _STEPS
    gain: np.ndarray = np.interp(relative, table, response, right=0.0).astype(np.float32)
    return gain


def _chebyshev(frequency: np.ndarray, order: int, ripple_db: float) -> np.ndarray:
    """Amplitude of a Chebyshev filter of the first kind, with its edge at 1."""
    epsilon = 10 ** (ripple_db / 10) - 1
    inside = np.cos(order * np.arccos(np.clip(frequency, 0, 1)))
    outside = np.cosh(np.minimum(order * np.arccosh(np.maximum(frequency, 1)), 300.0))
    polynomial = np.where(frequency <= 1, inside, outside)
    return np.asarray(1 / np.sqrt(1 + epsilon * polynomial**2))


@lru_cache(maxsize=1)
def _brought_back() -> np.ndarray:
    """What the resampler passes on the way up, measured on an impulse."""
    ratio, length = 4, 1024
    impulse = np.zeros(length, np.float32)
    impulse[length // 2] = 1.0
    kernel = resample(impulse, 1000, 1000 * ratio).astype(np.float64)
    # Frequency 1 is the narrow Nyquist frequency, 1 / ratio of the wide one.
    frequency = np.arange(_STEPS) * 2 / _STEPS
    _, response = scipy.signal.freqz(kernel / ratio, worN=np.pi / ratio * frequency)
    amplitude: np.ndarray = np.abs(response)
    return amplitude
