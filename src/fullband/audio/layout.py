"""Which loudspeaker each channel is for, and in which order files hold them.

In fullband channels are in the order of WAVEFORMATEXTENSIBLE, ascending bits of its channel mask,
as in WAV, FLAC and FFmpeg. Vorbis and Opus have another.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

__all__ = ["SPEAKERS", "default_mask", "mask_of", "read_wav_mask", "vorbis_order", "write_wav_mask"]

SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC"),
    *("SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
"""By bit of the mask, in FFmpeg's names."""

_DEFAULTS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}

# For so many channels, where in a Vorbis or Opus file each of WAV's channels lies (RFC 7845,
# 5.1.1.2: left, centre, right, then the sides and the back, and the subwoofer last).
_IN_VORBIS = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 5, 3, 4),
    7: (0, 2, 1, 6, 5, 3, 4),
    8: (0, 2, 1, 7, 5, 6, 3, 4),
}


def default_mask(channels: int) -> int:
    """Mono, stereo, 3.0, quad, 5.0, 5.1, 6.1, 7.1; 0, which is unknown, for any other number."""
    return _DEFAULTS.get(channels, 0)


def mask_of(speakers: Sequence[str]) -> int:
    """The mask of loudspeakers by FFmpeg's names; 0 where one has no bit or is there twice."""
    if len(set(speakers)) < len(speakers) or not set(speakers) <= set(SPEAKERS):
        return 0
    return sum(1 << SPEAKERS.index(name) for name in speakers)


def vorbis_order(channels: int) -> tuple[int, ...] | None:
    """Where in a Vorbis or Opus file each of WAV's channels lies; None where the order is WAV's."""
    return _IN_VORBIS.get(channels)


def read_wav_mask(file: IO[bytes]) -> int:
    """The channel mask of a WAV or RF64 file; 0 where it has none that fits its channels."""
    at = _format_chunk(file)
    if at is None:
        return 0
    file.seek(at)
    chunk = file.read(24)
    if len(chunk) < 24 or chunk[:2] != b"\xfe\xff":
        return 0
    channels, mask = struct.unpack_from("<2xH16xI", chunk)
    return int(mask) if mask.bit_count() == channels and mask >> len(SPEAKERS) == 0 else 0


def write_wav_mask(file: IO[bytes], mask: int) -> None:
    """Set the channel mask of a WAV or RF64 file that has the extensible header."""
    at = _format_chunk(file)
    if at is not None:
        file.seek(at + 20)
        file.write(struct.pack("<I", mask))


def _format_chunk(file: IO[bytes]) -> int | None:
    """Where the content of a WAV file's `fmt ` chunk begins."""
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    at = 12
    for _ in range(64):  # it comes before the samples, after few others
        file.seek(at)
        name, size = file.read(4), file.read(4)
        if name == b"fmt " and len(size) == 4:
            return at + 8
        if len(size) < 4 or name == b"data":
            return None
        length = struct.unpack("<I", size)[0]
        at += 8 + length + length % 2
    return None
