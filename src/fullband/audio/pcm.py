"""Samples as bytes without a header, as they come over pipes, sockets and telephone lines.

G.711 is by table, from the standard's own steps (ITU-T G.711, tables 1 and 2): eight segments, each
twice as coarse as the one before, of sixteen steps.
"""

from __future__ import annotations

import functools

import numpy as np

from fullband.audio.samples import Audio
from fullband.errors import AudioError

__all__ = ["PCM_CODINGS", "PcmDecoder", "bytes_per_sample", "encode"]

PCM_CODINGS = ("s16le", "f32le", "mulaw", "alaw")
"""The formats, by FFmpeg's names."""

_TYPES = {"s16le": "<i2", "f32le": "<f4", "mulaw": "u1", "alaw": "u1"}
_FULL_SCALE = 32768.0
_LOUDEST = 100.0  # a float beyond 40 dB over full scale is no sample


def bytes_per_sample(coding: str) -> int:
    """Of one channel.

    Raises:
        AudioError: there is no such coding.
    """
    if coding not in PCM_CODINGS:
        raise AudioError(f"unknown sample coding '{coding}'; one of {', '.join(PCM_CODINGS)}")
    return np.dtype(_TYPES[coding]).itemsize


class PcmDecoder:
    """Bytes to audio; what is left of an incomplete sample waits for the next bytes.

    Args:
        coding: one of `PCM_CODINGS`, the channels of a sample one after the other.

    Raises:
        AudioError: there is no such coding.
    """

    def __init__(self, coding: str, channels: int = 1) -> None:
        self._coding, self._channels = coding, channels
        self._frame = bytes_per_sample(coding) * channels
        self._rest = b""

    def push(self, data: bytes) -> Audio:
        """The samples that are complete by now, at full scale 1.0. Shape: `[C, T]`.

        Raises:
            AudioError: floats that are not numbers, or no samples.
        """
        data = self._rest + data
        whole = len(data) // self._frame * self._frame
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], _TYPES[self._coding]).reshape(-1, self._channels).T
        if self._coding == "f32le":
            if not np.all(np.abs(samples) <= _LOUDEST):  # also where one is not a number
                raise AudioError("floats that are no samples (NaN, infinite or far beyond 1.0)")
            return np.ascontiguousarray(samples, np.float32)
        if self._coding != "s16le":
            expanded: Audio = _expanded(self._coding)[samples]
            return expanded
        audio: Audio = samples.astype(np.float32) / np.float32(_FULL_SCALE)
        return audio


def encode(audio: Audio, coding: str) -> bytes:
    """Audio to bytes; what is beyond full scale is limited, except in floats.

    Shape:
        `[C, T]`.

    Raises:
        AudioError: there is no such coding.
    """
    bytes_per_sample(coding)
    if coding == "f32le":
        return np.ascontiguousarray(audio.T, "<f4").tobytes()
    integers = np.clip(np.rint(audio.T * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    if coding == "s16le":
        return bytes(integers.astype("<i2").tobytes())
    codes = _compressed(coding)[integers.astype(np.int32) + int(_FULL_SCALE)]
    return bytes(codes.tobytes())


@functools.lru_cache(maxsize=2)
def _expanded(law: str) -> Audio:
    """What each of 256 codes means, as a fraction of 16-bit full scale. Shape: `[256]`."""
    codes = np.arange(256)
    if law == "mulaw":
        codes = ~codes & 0xFF  # sent inverted, so that silence has many ones
        negative, segment, step = codes >> 7 == 1, codes >> 4 & 7, codes & 15
        magnitude = ((2 * step + 33) << segment) - 33  # of 14 bits
        value = 4 * magnitude
    else:
        codes = codes ^ 0x55  # every other bit is sent inverted
        negative, segment, step = codes >> 7 == 0, codes >> 4 & 7, codes & 15
        magnitude = np.where(
            segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0)
        )  # of 13 bits
        value = 8 * magnitude
    return (np.where(negative, -value, value) / _FULL_SCALE).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _compressed(law: str) -> np.ndarray:
    """The code whose meaning is nearest, for every 16-bit sample from the lowest up. `[65536]`."""
    meanings = _expanded(law).astype(np.float64) * _FULL_SCALE
    order = np.argsort(meanings, kind="stable")
    borders = (meanings[order][1:] + meanings[order][:-1]) / 2
    samples = np.arange(-int(_FULL_SCALE), int(_FULL_SCALE))
    codes: np.ndarray = order[np.searchsorted(borders, samples)].astype(np.uint8)
    return codes
