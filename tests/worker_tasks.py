"""What the processes of tests/test_workers.py do: it has to be importable there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


class Doing:
    """Does what a task says, and counts in each process from 1."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, task: str, report: Callable[[float], None]) -> tuple[str, int, int]:
        self._count += 1
        if task == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if task == "leave":
            os._exit(3)
        if task.startswith("sleep"):
            Path(task.split()[1]).write_text(str(os.getpid()))
            time.sleep(60)
        report(0.5)
        return task, os.getpid(), self._count
