"""How far predicted audio is from the wide original. Pure functions of two aligned arrays.

Two definitions of log-spectral distance are in use and differ by a factor of about two: `lsd_2017`
is that of the code of Kuleshov et al. (2017), `lsd` that of AP-BWE, AERO and most systems since.
Both are given under their own names and are never to be mixed.
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio
from fullband.audio.spectrum import power_spectrogram
from fullband.errors import AudioError

__all__ = ["lsd", "lsd_2017", "score", "segmental_snr_db", "si_sdr_db", "snr_db"]

MOST_DB = 120.0
"""What an error of zero scores, so that tables and means stay finite."""


def snr_db(predicted: Audio, wide: Audio) -> float:
    """Signal-to-noise ratio: 10 log10(|wide|^2 / |predicted - wide|^2), at most 120 dB.

    Shape:
        both `[T]`.
    """
    x, y = _pair(predicted, wide)
    return _ratio_db(np.sum(y**2), np.sum((x - y) ** 2))


def segmental_snr_db(predicted: Audio, wide: Audio, patch: int = 8192) -> float:
    """Mean of the SNR over consecutive patches, as the code of Kuleshov et al. computes it.

    Each patch's mean squared error has 1e-6 added, as there, so that patches of silence count as
    what the constant makes of them; the last incomplete patch is left out (a shorter recording is
    one patch).

    Shape:
        both `[T]`.
    """
    x, y = _pair(predicted, wide)
    patch = min(patch, len(y))
    count = len(y) // patch * patch
    error = np.mean((x - y)[:count].reshape(-1, patch) ** 2, axis=1) + 1e-6
    power = np.mean(y[:count].reshape(-1, patch) ** 2, axis=1)
    return float(np.mean(10 * np.log10(np.maximum(power, 1e-12) / error)))


def si_sdr_db(predicted: Audio, wide: Audio) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), at most 120 dB.

    Shape:
        both `[T]`.
    """
    x, y = _pair(predicted, wide)
    if not np.any(x) and np.any(y):
        return -MOST_DB  # silence is no scaled copy of anything
    target = np.dot(x, y) / (np.dot(y, y) + 1e-20) * y
    return _ratio_db(np.sum(target**2), np.sum((x - target) ** 2))


def lsd_2017(predicted: Audio, wide: Audio) -> float:
    """Log-spectral distance as in the 2017 authors' code.

    D = ln(|Y|^2 + 1e-8) - ln(|X|^2 + 1e-8), frames of 2048 at a hop of 512; the root of the mean of
    D^2 over time, then the mean over frequency, at most 10.

    Shape:
        both `[T]`.
    """
    x, y = _pair(predicted, wide)
    return _lsd_2017(_power(x), _power(y))


def lsd(
    predicted: Audio,
    wide: Audio,
    sample_rate: int | None = None,
    from_hz: float = 0.0,
    to_hz: float = np.inf,
) -> float:
    """Log-spectral distance as in AP-BWE and most systems since 2021, over all or part of the band.

    D = log10(max(|Y|^2, 1e-8)) - log10(max(|X|^2, 1e-8)), frames of 2048 at a hop of 512; the root
    of the mean of D^2 over frequency, then the mean over frames.

    Args:
        sample_rate: needed where a band is given.
        from_hz, to_hz: the band: bins at or above the first and below the second.

    Shape:
        both `[T]`.
    """
    x, y = _pair(predicted, wide)
    squared = _squared_distance(_power(x), _power(y))
    if sample_rate is not None:
        squared = _band(squared, sample_rate, from_hz, to_hz)
    return _mean_distance(squared)


def score(
    predicted: Audio, wide: Audio, sample_rate: int, cutoff_hz: float, limit_hz: float = np.inf
) -> dict[str, float]:
    """Every metric of one file by name; `lsd_low` and `lsd_high` are below and above the cutoff.

    Args:
        limit_hz: where the wide audio truly ends: the log-spectral distances leave out what lies
            above. The others hear everything, so both must have been cut there.
    """
    power_x, power_y = (_power(audio) for audio in _pair(predicted, wide))
    bins = np.linspace(0, sample_rate / 2, len(power_x)) < limit_hz
    squared = _squared_distance(power_x, power_y)
    return {
        "snr_db": snr_db(predicted, wide),
        "segmental_snr_db": segmental_snr_db(predicted, wide),
        "si_sdr_db": si_sdr_db(predicted, wide),
        "lsd_2017": _lsd_2017(power_x[bins], power_y[bins]),
        "lsd": _mean_distance(squared[bins]),
        "lsd_low": _mean_distance(_band(squared, sample_rate, 0.0, cutoff_hz)),
        "lsd_high": _mean_distance(_band(squared, sample_rate, cutoff_hz, limit_hz)),
    }


def _pair(predicted: Audio, wide: Audio) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(predicted, np.float64), np.asarray(wide, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise AudioError(f"metrics compare two arrays [T] of one length, got {x.shape}, {y.shape}")
    return x, y


def _power(audio: Audio) -> np.ndarray:
    return power_spectrogram(audio, 2048, 512)


def _lsd_2017(power_x: np.ndarray, power_y: np.ndarray) -> float:
    difference = np.log((power_y + 1e-8) / (power_x + 1e-8))
    return min(float(np.mean(np.sqrt(np.mean(difference**2, axis=1)))), 10.0)


def _squared_distance(power_x: np.ndarray, power_y: np.ndarray) -> np.ndarray:
    ratio = np.maximum(power_y, 1e-8) / np.maximum(power_x, 1e-8)
    squared: np.ndarray = np.log10(ratio) ** 2
    return squared


def _band(squared: np.ndarray, sample_rate: int, from_hz: float, to_hz: float) -> np.ndarray:
    frequencies = np.linspace(0, sample_rate / 2, len(squared))
    return squared[(frequencies >= from_hz) & (frequencies < to_hz)]


def _mean_distance(squared: np.ndarray) -> float:
    if not len(squared):
        return float("nan")
    return float(np.mean(np.sqrt(np.mean(squared, axis=0))))


def _ratio_db(signal: float, error: float) -> float:
    if signal <= 0:
        return MOST_DB if error <= 0 else -MOST_DB
    if error <= 0:
        return MOST_DB
    return float(np.clip(10 * np.log10(signal / error), -MOST_DB, MOST_DB))
