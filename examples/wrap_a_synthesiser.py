"""A synthesiser whose voice is wide from its first block on: its stream, widened as it comes.

    python examples/wrap_a_synthesiser.py "What shall be said" WIDE.wav

eSpeak NG writes its voice to a pipe while it speaks, at 22.05 kHz. Every block is widened as soon
as it is there. Prints how long after the first narrow block the first wide one came, beside how far
the stream lies behind by itself. Needs espeak-ng (apt-get install espeak-ng).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fullband

RATE = 22_050
BLOCK = 441  # samples: 20 ms
HEADER = 44  # bytes of the WAV header that eSpeak NG writes first


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    text, target = sys.argv[1], Path(sys.argv[2])
    if shutil.which("espeak-ng") is None:
        sys.exit("this needs espeak-ng: apt-get install espeak-ng")

    clock = Clock()
    wide = np.concatenate(list(widened(clock.first(spoken(text)), clock)))
    fullband.write(target, wide, 48_000)
    print(
        f"{target}: {len(wide) / 48_000:.2f} s; the first wide block came {clock.waited_ms:.1f} ms "
        f"after the first narrow one; the stream is {clock.delay_ms:.1f} ms behind"
    )


def spoken(text: str) -> Iterator[np.ndarray]:
    """What eSpeak NG says, in 16-bit blocks `[T]`, as soon as each is there."""
    process = subprocess.Popen(["espeak-ng", "--stdout", text], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        process.stdout.read(HEADER)
        while data := process.stdout.read(2 * BLOCK):
            yield np.frombuffer(data, "<i2")


def widened(blocks: Iterator[np.ndarray], clock: Clock) -> Iterator[np.ndarray]:
    """The same at 48 kHz; this function is all that a synthesiser needs around it."""
    stream = fullband.stream("live", source_rate=RATE, target_rate=48_000)
    clock.delay_ms = 1000 * stream.delay_s
    for block in blocks:
        wide = stream(block)
        clock.came(wide)
        yield wide
    yield stream.flush()


class Clock:
    """Measures from the first narrow block to the first wide one."""

    def __init__(self) -> None:
        self.delay_ms = self.waited_ms = 0.0
        self._since: float | None = None
        self._done = False

    def first(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            if self._since is None:
                self._since = time.perf_counter()
            yield block

    def came(self, wide: np.ndarray) -> None:
        if len(wide) and not self._done and self._since is not None:
            self._done = True
            self.waited_ms = 1000 * (time.perf_counter() - self._since)


if __name__ == "__main__":
    main()
