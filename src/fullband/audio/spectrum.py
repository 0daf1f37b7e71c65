"""The short-time Fourier transform of the signal path and of the metrics (losses use torch's)."""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["power_spectrogram"]


def power_spectrogram(audio: Audio, frame: int = 2048, hop: int = 512) -> np.ndarray:
    """|X|^2 of Hann-windowed frames, centred on multiples of the hop, ends mirrored.

    The window is the periodic Hann window and is not normalised: a full-scale sine has a peak of
    `(frame / 4) ** 2`.

    Shape:
        audio `[T]`; result `[F, 1 + T // hop]` with `F = frame // 2 + 1`, float64.
    """
    half = frame // 2
    samples = np.asarray(audio, np.float64)
    # What is too short to be mirrored gets silence around it.
    padded = np.pad(samples, half, mode="reflect" if len(samples) > half else "constant")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    count = 1 + len(samples) // hop
    padded = np.pad(padded, (0, max(0, (count - 1) * hop + frame - len(padded))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop][:count]
    result = np.empty((half + 1, count))
    for start in range(0, count, 512):  # bounded memory for long audio
        spectrum = np.fft.rfft(frames[start : start + 512] * window, axis=-1)
        result[:, start : start + 512] = (spectrum.real**2 + spectrum.imag**2).T
    return result
