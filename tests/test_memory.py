"""Memory does not grow with length: peak memory of whole processes, short against long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fullband.audio.file import AudioWriter


def peak_mib(source: Path) -> float:
    """Peak memory of a process that enhances the file."""
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(source), "--model", "spline"]
    process = subprocess.Popen([*command, "-o", str(source.with_suffix(".out.wav")), "-q"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory of a child needs os.wait4")
def test_twenty_times_the_length_takes_the_same_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    peaks = []
    for minutes in (1, 20):
        path = tmp_path / f"{minutes}.wav"
        with AudioWriter(path, 4000, 1) as writer:
            for _ in range(minutes):
                writer.write(0.1 * generator.standard_normal((1, 60 * 4000)).astype(np.float32))
        peaks.append(peak_mib(path))
    assert peaks[1] < 1.2 * peaks[0]
