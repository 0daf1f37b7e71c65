"""Change of sample rate, whole or in a stream. The only resampler, and it is soxr.

soxr's VHQ filter is linear phase with its delay removed, so nothing moves in time. What it passes
ends at 0.95 of the lower Nyquist frequency (`PASSED`).
"""

from __future__ import annotations

import numpy as np
import soxr

from fullband.audio.samples import Audio, Rate, output_length

__all__ = ["PASSED", "REACH", "Resampler", "resample"]

PASSED = 0.95
"""Where the filter has fallen by 3 dB, as a fraction of the lower Nyquist frequency: it passes
everything up to 0.93 and nothing from 0.99."""

REACH = 256
"""Samples at the lower of the two rates, to each side, beyond which nothing changes a result: the
filter has some 140 (measured)."""

_QUALITY = "VHQ"


def resample(audio: Audio, source_rate: Rate, target_rate: Rate) -> Audio:
    """Bring audio to another rate, keeping its length in seconds, its level and its alignment.

    Shape:
        audio `[*, T]`; result `[*, round(T * target_rate / source_rate)]`.
    """
    if source_rate == target_rate:
        return audio
    channels = audio.reshape(-1, audio.shape[-1])
    resampler = Resampler(source_rate, target_rate, channels.shape[0])
    result = np.concatenate([resampler.push(channels), resampler.flush()], axis=-1)
    return result.reshape(*audio.shape[:-1], -1)


class Resampler:
    """The same in pieces: `push` blocks as they come, then `flush` once.

    The pieces joined together have exactly `round(T * target_rate / source_rate)` samples, and
    equal what `resample` makes of the whole.

    Shape:
        push: block `[C, T]`, result `[C, T']`, where T' may be 0 while the filter fills.
    """

    def __init__(self, source_rate: Rate, target_rate: Rate, channels: int) -> None:
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._channels = channels
        self._consumed = 0
        self._produced = 0
        self._stream: soxr.ResampleStream | None = None
        if source_rate != target_rate:
            self._stream = soxr.ResampleStream(
                float(source_rate), float(target_rate), channels, dtype="float32", quality=_QUALITY
            )

    def push(self, block: Audio) -> Audio:
        self._consumed += block.shape[-1]
        if self._stream is None:
            self._produced += block.shape[-1]
            return block
        return self._counted(self._stream.resample_chunk(np.ascontiguousarray(block.T)))

    def flush(self) -> Audio:
        """The rest, brought to the exact length."""
        missing = output_length(self._consumed, self.source_rate, self.target_rate)
        missing -= self._produced
        if self._stream is None:
            return np.zeros((self._channels, 0), np.float32)
        empty = np.zeros((0, self._channels), np.float32)
        tail = self._stream.resample_chunk(empty, last=True).T[:, :missing]
        padding = np.zeros((self._channels, missing - tail.shape[-1]), np.float32)
        return np.concatenate([tail, padding], axis=-1)

    def _counted(self, frames: np.ndarray) -> Audio:
        self._produced += frames.shape[0]
        return np.ascontiguousarray(frames.T)
