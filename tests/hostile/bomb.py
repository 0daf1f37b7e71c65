"""FLAC of hours of silence in few bytes, written by hand: RFC 9639, a constant subframe a frame."""

from __future__ import annotations

import struct

BLOCK = 65_535
"""Samples in a frame, the most that there may be."""


def silent_flac(seconds: int, rate: int) -> bytes:
    """So much silence, in one channel of 16 bits: 13 bytes or so for every 65,535 samples."""
    frames = seconds * rate
    packed = rate << 44 | 0 << 41 | 15 << 36 | frames  # rate, channels - 1, bits - 1, samples
    info = struct.pack(">HH6sQ16s", BLOCK, BLOCK, bytes(6), packed, bytes(16))
    pieces = [b"fLaC", struct.pack(">I", 0x80 << 24 | len(info)), info]
    for number, start in enumerate(range(0, frames, BLOCK)):
        length = min(BLOCK, frames - start)
        # Its length is told at the end of the header, its rate and depth are those of the file.
        head = b"\xff\xf8\x70\x00" + _coded(number) + struct.pack(">H", length - 1)
        frame = head + bytes([_crc(head, 8, 0x07)]) + b"\0" + b"\0\0"
        pieces.append(frame + struct.pack(">H", _crc(frame, 16, 0x8005)))
    return b"".join(pieces)


def _coded(number: int) -> bytes:
    """As UTF-8 codes characters, up to 16 bits."""
    if number < 0x80:
        return bytes([number])
    if number < 0x800:
        return bytes([0xC0 | number >> 6, 0x80 | number & 63])
    return bytes([0xE0 | number >> 12, 0x80 | number >> 6 & 63, 0x80 | number & 63])


def _crc(content: bytes, bits: int, polynomial: int) -> int:
    value, top = 0, 1 << (bits - 1)
    for byte in content:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & (2 * top - 1)
    return value
