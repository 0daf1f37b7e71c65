"""Memory does not grow with length: peak memory of whole processes, short against long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from encoded import encode
from fullband.audio.file import AudioWriter

MOST_MIB = 300


# A process's peak counts what the one was that made it, before it ran a program of its own; so a
# small one stands between it and the tests.
LAUNCHED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20))
sys.exit(process.returncode)
"""


def peak_mib(source: Path, target: Path | None = None, *options: str) -> float:
    """Peak memory of a process that enhances the file."""
    target = target or source.with_suffix(".out.wav")
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(source), "--model", "spline"]
    command += ["-o", str(target), "-q", *options]
    launch = [sys.executable, "-c", LAUNCHED, *command]
    done = subprocess.run(launch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


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
    assert peaks[1] < MOST_MIB


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory of a child needs os.wait4")
def test_hours_of_a_telephone_line_take_no_more(tmp_path: Path) -> None:
    """Almost three hours at 2 kHz, without a header."""
    call = tmp_path / "call.ul"
    call.write_bytes(np.random.default_rng(0).bytes(1 << 20) * 20)
    options = ("--raw", "mulaw:2000", "--rate", "2000", "--bandwidth", "1000")
    assert peak_mib(call, tmp_path / "call.wav", *options) < MOST_MIB


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory of a child needs os.wait4")
def test_a_long_video_takes_no_more(tmp_path: Path) -> None:
    video = tmp_path / "talk.mkv"
    generator = np.random.default_rng(0)
    audio = (0.1 * generator.standard_normal(600 * 8000)).astype(np.float32)
    encode(video, audio, 8000, "pcm_s16le", "matroska", video="mpeg4")
    options = ("--rate", "8000", "--bandwidth", "4000")
    assert peak_mib(video, tmp_path / "out.mkv", *options) < MOST_MIB


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="peak memory of a child needs os.wait4")
@pytest.mark.parametrize("model", ["speech", "music"])
def test_stereo_through_released_models_takes_no_more(tmp_path: Path, model: str) -> None:
    source = tmp_path / "stereo.wav"
    generator = np.random.default_rng(0)
    with AudioWriter(source, 16_000, 2) as writer:
        writer.write(0.1 * generator.standard_normal((2, 60 * 16_000)).astype(np.float32))
    assert peak_mib(source, None, "--model", model, "--rate", "48000") < MOST_MIB
