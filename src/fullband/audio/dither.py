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
    # Philox counts: every step of its counter gives four words, whichever came before.
    words = np.random.Philox(key=channel)
    words.advance(start // 4)
    drawn = words.random_raw(length + start % 4)[start % 4 :]
    first, second = drawn >> np.uint64(40), (drawn >> np.uint64(8)) & np.uint64(0xFFFFFF)
    noise: Audio = (first.astype(np.float32) - second.astype(np.float32)) * np.float32(2.0**-24)
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
                noise = triangular(channel, start, len(samples))
                rounded[channel, off] = np.rint((samples + noise)[off])
    rounded *= np.float32(1 / steps)  # exactly: it is a power of two
    return rounded
