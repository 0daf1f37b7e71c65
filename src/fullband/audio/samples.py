"""The door for arrays: what counts as audio, and what is refused in words a caller understands.

Everywhere in fullband audio is float32 of shape `[*, T]`: time last, any leading axes (channels or
a batch) before it, full scale at 1.0.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fullband.errors import AudioError

__all__ = [
    "MAX_CHANNELS",
    "MAX_LEVEL",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "Audio",
    "Rate",
    "as_audio",
    "check_finite",
    "check_sample_rate",
    "output_length",
]

Audio = NDArray[np.float32]

Rate = int | Fraction
"""Samples per second; a fraction where dividing a rate leaves no whole number (16 kHz by 6)."""

MIN_SAMPLE_RATE = 2_000
MAX_SAMPLE_RATE = 768_000
MAX_CHANNELS = 64

MAX_LEVEL = 2.0**32
"""No sample is larger: floats on the scale of 32-bit integers are, and beyond it squares of samples
soon leave float32."""


def as_audio(samples: Any) -> Audio:
    """Turn an array into float32 audio, scaling integers to full scale 1.0.

    Shape:
        samples `[T]` or `[C, T]`; result the same.

    Raises:
        AudioError: not numeric, more than two axes, more than 64 channels, NaN or infinite values.
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2):
        raise AudioError(f"audio must have shape [time] or [channels, time], got {array.shape}")
    if array.ndim == 2 and array.shape[0] > MAX_CHANNELS:
        hint = "; transpose it: time comes last" if array.shape[1] <= MAX_CHANNELS else ""
        raise AudioError(f"audio of shape {array.shape} has {array.shape[0]} channels{hint}")
    if array.dtype == np.uint8:
        audio = (array.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(array.dtype, np.signedinteger):
        audio = (array / float(2 ** (8 * array.dtype.itemsize - 1))).astype(np.float32)
    elif np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, refused below
            audio = array.astype(np.float32)
    else:
        raise AudioError(f"audio must be real numbers, got an array of {array.dtype}")
    check_finite(audio)
    return audio


def check_finite(audio: Audio, start: int = 0) -> None:
    """Refuse NaN, infinite and absurdly large samples, naming the first.

    Args:
        start: the position of the block in its file, so that the message can say where.

    Raises:
        AudioError: there is one.
    """
    flat = audio.ravel(order="K")
    with np.errstate(over="ignore", invalid="ignore"):
        if np.dot(flat, flat) <= MAX_LEVEL**2:  # one pass; then no sample is larger, nor NaN
            return
        bad = ~(np.abs(audio) <= MAX_LEVEL)
    if bad.any():
        at = np.argwhere(bad)
        first = at[at[:, -1].argmin()]
        value = audio[tuple(first)]
        what = f"{value:.2g} times full scale" if np.isfinite(value) else "NaN or infinite"
        raise AudioError(f"sample {start + int(first[-1])} is {what}; repair the recording first")


def check_sample_rate(sample_rate: Any) -> int:
    """Return the rate as an int if it is a whole number fullband can work at.

    Raises:
        AudioError: it is not, with the limits.
    """
    if not isinstance(sample_rate, (int, float, np.integer, np.floating)) or isinstance(
        sample_rate, bool
    ):
        raise AudioError(f"sample rate must be a number in Hz, got {sample_rate!r}")
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE or sample_rate != int(sample_rate):
        raise AudioError(
            f"sample rate {sample_rate} Hz is outside {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
        )
    return int(sample_rate)


def output_length(frames: int, source_rate: Rate, target_rate: Rate) -> int:
    """How many samples `frames` samples become at another rate: the same duration, rounded."""
    return round(frames * target_rate / source_rate)
