"""How much of a spectrum a codec left empty.

Codecs drop what they judge inaudible, bin by bin, so what they return has holes where the original
had noise. Measures and losses on logarithms see little else.
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio
from fullband.audio.spectrum import power_spectrogram

__all__ = ["hole_share"]

_FRAME = 1024
_AROUND = (9, 5)  # frequencies and frames of a neighbourhood
_DEEP_DB = 25.0  # noise lies so far below its mean in 0.3 % of its bins
_LEAST_DB = -90.0  # what lies below is silence, and not looked at


def hole_share(
    audio: Audio, sample_rate: int, from_hz: float = 4000.0, to_hz: float = 12_000.0
) -> float:
    """The share of bins that lie 25 dB or more below the mean power of their neighbourhood.

    About 0.003 for noise, 0.01 to 0.02 for speech as a microphone gives it, 0.05 and more after a
    codec at a low rate. 0 where there is nothing but silence.

    Shape:
        audio `[T]`.
    """
    power = power_spectrogram(audio, _FRAME, _FRAME // 2)
    first, last = (round(hz * _FRAME / sample_rate) for hz in (from_hz, to_hz))
    power = power[first : min(last, len(power))]
    if not power.size:
        return 0.0
    mean = _box(_box(power, _AROUND[0], 0), _AROUND[1], 1)
    heard = mean > 10 ** (_LEAST_DB / 10) * (_FRAME * 3 / 8)
    if not heard.any():
        return 0.0
    deep = power < mean * 10 ** (-_DEEP_DB / 10)
    return float((deep & heard).sum() / heard.sum())


def _box(values: np.ndarray, width: int, axis: int) -> np.ndarray:
    """The mean over `width` neighbours along an axis, the ends repeated."""
    half = width // 2
    edges = [(0, 0), (0, 0)]
    edges[axis] = (half, half)
    padded = np.pad(values, edges, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=axis)
    mean: np.ndarray = windows.mean(axis=-1)
    return mean
