"""Ways of breaking a file: fields set to extremes, chunks doubled, dropped and lied about, ends cut
off, bits flipped, two files spliced. Each takes a generator and gives new bytes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from hostile import ogg
from hostile.seeds import Seed

EXTREMES = (0, 1, 2, 3, 7, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 768_000, 768_001)
LARGE = (0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
HUGE = (0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 1 << 40)
_FIELDS = ("<H", ">H", "<I", ">I", "<Q", ">Q")
_HEADER = 96  # bytes; most of what a header says of the sound is there
_NON_NUMBERS = (0x7FC0_0000, 0x7F80_0000, 0xFF80_0000, 0x7F7F_FFFF, 0x0000_0001)
_MOST_BYTES = 1 << 18  # a mutated file is not longer


def mutated(seed: Seed, others: tuple[Seed, ...], rng: random.Random) -> bytes:
    """A file broken in one to three ways."""
    content = seed.content
    for _ in range(rng.choice((1, 1, 2, 3))):
        change = rng.choice(_CHANGES)
        content = change(content, rng) if change is not splice else splice(content, rng, others)
        content = content[:_MOST_BYTES]
    if seed.content[:4] == b"OggS" and rng.random() < 0.8:
        content = ogg.with_checksums(content)
    return content


def field(content: bytes, rng: random.Random, start: int = 0, end: int = _HEADER) -> bytes:
    """A number somewhere in the header set to an extreme."""
    form = rng.choice(_FIELDS)
    size = struct.calcsize(form)
    end = min(end, len(content))
    if end - start < size:
        return content
    at = rng.randrange(start, end - size + 1)
    at -= (at - start) % 2  # fields lie at even places
    value = rng.choice((*EXTREMES, *LARGE, *HUGE, rng.getrandbits(64)))
    return _put(content, at, struct.pack(form, value & ((1 << 8 * size) - 1)))


def chunk_field(content: bytes, rng: random.Random) -> bytes:
    """A number in a chunk, its length among them, set to an extreme."""
    start, end = rng.choice(chunks(content) or [(0, len(content))])
    return field(content, rng, start, min(end, start + 64))


def double_chunk(content: bytes, rng: random.Random) -> bytes:
    """A chunk that comes again, up to fifty times."""
    start, end = rng.choice(chunks(content) or [(0, len(content))])
    times = rng.choice((1, 1, 2, 50))
    return content[:end] + content[start:end] * times + content[end:]


def drop_chunk(content: bytes, rng: random.Random) -> bytes:
    """A chunk that is not there."""
    start, end = rng.choice(chunks(content) or [(0, len(content) // 2)])
    return content[:start] + content[end:]


def swap_chunks(content: bytes, rng: random.Random) -> bytes:
    """Two chunks that have changed places."""
    found = chunks(content)
    if len(found) < 2:
        return content
    (a, b), (c, d) = sorted(rng.sample(found, 2))
    if b > c:  # one lies within the other
        return content
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content) + 1)] if content else content


def cut_header(content: bytes, rng: random.Random) -> bytes:
    """All but a part of the header is missing."""
    return content[: rng.randrange(min(len(content), 2 * _HEADER) + 1)]


def flip(content: bytes, rng: random.Random) -> bytes:
    """Up to 64 bits flipped, anywhere or in the header alone."""
    made = bytearray(content)
    within = len(made) if rng.random() < 0.5 else min(len(made), 2 * _HEADER)
    for _ in range(rng.choice((1, 2, 8, 64)) if within else 0):
        made[rng.randrange(within)] ^= 1 << rng.randrange(8)
    return bytes(made)


def noise(content: bytes, rng: random.Random) -> bytes:
    """A stretch of random bytes, zeros or ones."""
    start = rng.randrange(len(content) + 1)
    length = rng.choice((1, 4, 64, 1024))
    filling = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length))
    return content[:start] + filling + content[start + rng.choice((0, length)) :]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """A stretch that comes many times."""
    start = rng.randrange(len(content) + 1)
    piece = content[start : start + rng.choice((1, 16, 512))]
    return content[:start] + piece * rng.choice((2, 20, 200)) + content[start:]


def not_numbers(content: bytes, rng: random.Random) -> bytes:
    """Words of the sound that, read as floats, are NaN, infinite, the largest or the smallest."""
    made = content
    for _ in range(rng.choice((1, 8))):
        if len(made) > _HEADER + 8:
            at = rng.randrange(_HEADER, len(made) - 4) & ~3
            made = _put(made, at, struct.pack(rng.choice(("<I", ">I")), rng.choice(_NON_NUMBERS)))
    return made


def splice(content: bytes, rng: random.Random, others: tuple[Seed, ...]) -> bytes:
    """The head of this and the tail of another, or the other within this."""
    other = rng.choice(others).content
    at, at_other = rng.randrange(len(content) + 1), rng.randrange(len(other) + 1)
    if rng.random() < 0.5:
        return content[:at] + other[at_other:]
    return content[:at] + other + content[at:]


_CHANGES: tuple[Callable[..., bytes], ...] = (
    *(field, chunk_field, chunk_field) * 2,
    *(double_chunk, drop_chunk, swap_chunks),
    *(cut, cut_header, flip, flip, noise, repeat, not_numbers, splice),
)
"""Those that lie about sizes and rates find the most, and come more often."""


def chunks(content: bytes) -> list[tuple[int, int]]:
    """Where the parts of a file lie, whatever its container calls them."""
    head = content[:4]
    if head in (b"RIFF", b"RF64", b"FORM", b"RIFX"):
        order = ">" if head in (b"FORM", b"RIFX") else "<"
        return _walked(content, 12, 8, lambda at: _number(content, at + 4, order + "I") + 8, 2)
    if head == b"riff":
        return _walked(content, 40, 24, lambda at: _number(content, at + 16, "<Q"), 8)
    if head == b"caff":
        return _walked(content, 8, 12, lambda at: _number(content, at + 4, ">Q") + 12, 1)
    if head == b"fLaC":
        return _walked(content, 4, 4, lambda at: (_number(content, at, ">I") & 0xFFFFFF) + 4, 1)
    if head == b"OggS":
        return list(ogg.pages(content))
    if content[4:8] == b"ftyp":
        return _boxes(content, 0, len(content))
    if content[:16].hex() == "3026b2758e66cf11a6d900aa0062ce6c":  # ASF
        return _walked(content, 0, 24, lambda at: _number(content, at + 16, "<Q"), 1)
    return []


_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"stsd")


def _boxes(content: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """The boxes of an MP4, and those within them."""
    found = []
    for a, b in _walked(content[:end], start, 8, lambda at: _number(content, at, ">I"), 1):
        found.append((a, b))
        if content[a + 4 : a + 8] in _NESTED:
            found += _boxes(content, a + 8, b)
    return found


def _walked(
    content: bytes, start: int, least: int, length: Callable[[int], int], aligned: int
) -> list[tuple[int, int]]:
    found = []
    while start + least <= len(content):
        size = max(least, length(start))
        size += -size % aligned
        found.append((start, min(len(content), start + size)))
        start += size
    return found


def _number(content: bytes, at: int, form: str) -> int:
    return int(struct.unpack_from(form, content, at)[0])


def _put(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]
