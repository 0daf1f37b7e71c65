"""Noise of triangular density, which turns the rounding of samples into noise without a tone.

What is left when samples are rounded follows them: a fading tone leaves harmonics that end
abruptly. With noise of triangular density and two steps' width added before, mean and power of the
error no longer depend on the samples (Lipshitz, Wannamaker and Vanderkooy, "Quantization and
Dither: A Theoretical Survey", 1992).
"""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["quantised", "triangular"]

_ON_THE_GRID = 2.0**-8  # steps of 16 bits: float32's own at full scale are half of that


def triangular(channel: int, start: int, length: int) -> Audio:
    """The noise that belongs to samples `start` to `start + length` of a channel, -1 to 1.

    A function of the place alone, so that a recording is dithered alike however it is cut into
    blocks. Channels are independent.

    Shape:
        result `[T]`.
    """
    # Philox counts: every step of its counter gives four words, whichever came before. A word has
    # the two numbers of two samples, in 16 bits each: far finer than a step.
    words = np.random.Philox(key=channel)
    words.advance(start // 8)
    drawn = words.random_raw((length + start % 8 + 1) // 2).astype("<u8", copy=False)
    numbers = drawn.view("<u2").astype(np.float32)
    noise: Audio = (numbers[::2] - numbers[1::2])[start % 8 :][:length]
    noise *= np.float32(2.0**-16)
    return noise


def quantised(block: Audio, steps: int, start: int = 0, dither: bool = False) -> Audio:
    """The nearest samples on a grid, dithered or not.

    Samples that lie on the grid already, but for float32's last bits or the last of a filter's
    ringing, are only rounded, so that silence stays silence and what came with so many bits keeps
    them.

    Args:
        steps: of the grid between 0 and full scale, a power of two.
        start: where in its recording the block begins.

    Shape:
        block and result `[C, T]`.
    """
    scaled = block * np.float32(steps)
    rounded: Audio = np.rint(scaled)
    if dither:
        for channel, samples in enumerate(scaled):
            off = np.abs(samples - rounded[channel]) > _ON_THE_GRID
            if off.any():
                noisy = triangular(channel, start, len(samples))
                noisy += samples
                np.copyto(rounded[channel], np.rint(noisy, out=noisy), where=off)
    rounded *= np.float32(1 / steps)  # exactly: it is a power of two
    return rounded
