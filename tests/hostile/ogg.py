"""Ogg pages taken apart and put together, so that what is broken in one still has a right checksum.

A page is `OggS`, version, flags, position (8), serial (4), sequence (4), checksum (4), the number
of segments, their lengths, their content (RFC 3533).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


def pages(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each page begins and ends, as far as there are pages."""
    at = 0
    while content[at : at + 4] == b"OggS" and len(content) >= at + 27:
        segments = content[at + 26]
        body = sum(content[at + 27 : at + 27 + segments])
        end = at + 27 + segments + body
        if end > len(content):
            return
        yield at, end
        at = end


def with_checksums(content: bytes) -> bytes:
    """The same with every page's checksum made right."""
    made = bytearray(content)
    for start, end in pages(content):
        made[start + 22 : start + 26] = bytes(4)
        made[start + 22 : start + 26] = struct.pack("<I", _checksum(made[start:end]))
    return bytes(made)


def with_serial(content: bytes, serial: int) -> bytes:
    """The same with another serial number."""
    made = bytearray(content)
    for start, _ in pages(content):
        made[start + 14 : start + 18] = struct.pack("<I", serial)
    return with_checksums(bytes(made))


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


_TABLE = _table()


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFF_FFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
