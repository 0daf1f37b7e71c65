"""What hostile input and the sandbox cost: hours of silence in few bytes, decoding by a child."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.file import AudioReader, AudioWriter
from fullband.audio.sandbox import SandboxedReader
from fullband.inspection import inspect_file
from hostile.bomb import silent_flac

BOMB_RATE = 8_000
BOMB_HOURS = (1, 4, 16)
_MINUTES = 10
_TIMES = 5


def bombs() -> list[dict[str, Any]]:
    """Each inspected by a process of its own."""
    rows = []
    for hours in BOMB_HOURS:
        command = [sys.executable, "-m", "hostile", "--bomb", str(hours)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    return rows


def bomb(hours: int) -> dict[str, Any]:
    """What inspecting so many hours takes, and the most memory that this process had."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bomb.flac"
        content = silent_flac(3600 * hours, BOMB_RATE)
        path.write_bytes(content)
        begun = time.process_time()
        found = inspect_file(path)
        seconds = time.process_time() - begun
    assert found.analysis.frames == 3600 * hours * BOMB_RATE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_mib = 1 << (20 if sys.platform == "darwin" else 10)
    return {
        "hours": hours,
        "kilobytes": round(len(content) / 1000),
        "cpu_s": round(seconds, 1),
        "peak_mib": round(peak / per_mib),
    }


def sandbox() -> dict[str, Any]:
    """Opening and reading ten minutes of stereo FLAC here and by a child."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        noise = 0.1 * np.random.default_rng(0).standard_normal((2, 60 * 48_000))
        with AudioWriter(path, 48_000, 2) as writer:
            for _ in range(_MINUTES):
                writer.write(noise.astype(np.float32))
        here, there = (_timed(kind, path) for kind in (AudioReader, SandboxedReader))
    return {
        "minutes": _MINUTES,
        "open_here_s": round(here[0], 4),
        "open_s": round(there[0], 3),
        "read_here_s": round(here[1], 2),
        "read_s": round(there[1], 2),
    }


def _timed(kind: Callable[[Path], Any], path: Path) -> tuple[float, float]:
    """Seconds until it is open and from there until all is read, medians of several times."""
    opening, reading = [], []
    for _ in range(_TIMES):
        begun = time.monotonic()
        with kind(path) as reader:
            opened = time.monotonic()
            for _ in reader.blocks():
                pass
            reading.append(time.monotonic() - opened)
        opening.append(opened - begun)
    return statistics.median(opening), statistics.median(reading)
