"""What is being written, and what nobody will finish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fullband.audio.file import AudioWriter
from fullband.audio.temporary import clear_stale, hold, temporary_name

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks there are others")


def aged(path: Path) -> Path:
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    return path


def test_what_nobody_holds_is_cleared_and_nothing_else(tmp_path):
    stale, held, young = (temporary_name(tmp_path) for _ in range(3))
    other = tmp_path / "song.part"
    for path in (stale, held, other):
        path.write_text("half")
        aged(path)
    young.write_text("half")
    with hold(held):
        clear_stale(tmp_path)
        assert set(tmp_path.iterdir()) == {held, young, other}
    clear_stale(tmp_path)
    assert set(tmp_path.iterdir()) == {young, other}
    clear_stale(tmp_path / "none")


def test_a_writer_holds_its_file_until_it_is_whole(tmp_path):
    with AudioWriter(tmp_path / "a.wav", 8000, 1) as writer:
        writer.write(np.zeros((1, 8000), np.float32))
        (path,) = tmp_path.iterdir()
        aged(path)
        clear_stale(tmp_path)
        assert path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_what_a_killed_process_left_is_cleared_by_the_next_command(tmp_path):
    code = (
        "import sys, time, numpy as np; from fullband.audio.file import AudioWriter\n"
        "with AudioWriter(sys.argv[1], 8000, 1) as writer:\n"
        "    writer.write(np.zeros((1, 8000), np.float32)); print(flush=True); time.sleep(60)\n"
    )
    target = tmp_path / "out" / "a.wav"
    command = [sys.executable, "-c", code, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (left,) = target.parent.iterdir()
        aged(left)
        clear_stale(target.parent)
        assert left.exists()
        process.send_signal(signal.SIGKILL)
    clear_stale(target.parent)
    assert not left.exists()
