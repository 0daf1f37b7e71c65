"""Many cases through worker processes, each under a watchdog.

A worker lives for as many cases as it survives. One that dies or does not answer in time is ended,
its case is the finding, and another takes its place.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hostile.trial import Verdict, case, tried

MOST_WAIT_S = 30.0
"""How long an answer may take by the clock, on a machine that has other work too."""

WORKER = [sys.executable, "-m", "hostile"]

SANDBOXED_EVERY = 200
"""Each so many-th case goes through the sandbox too: starting a process for each takes long."""


@dataclasses.dataclass
class Findings:
    """What came of many cases."""

    seed: int
    outcomes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: list[Verdict] = dataclasses.field(default_factory=list)
    labels: set[str] = dataclasses.field(default_factory=set)
    sandboxed: int = 0
    slowest_s: float = 0.0
    most_grown_bytes: int = 0

    def add(self, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        self.labels.add(verdict.label)
        self.sandboxed += verdict.number % SANDBOXED_EVERY == 0
        self.slowest_s = max(self.slowest_s, verdict.seconds)
        self.most_grown_bytes = max(self.most_grown_bytes, verdict.grown_bytes)
        if not verdict.is_good:
            self.wrong.append(verdict)


def run(
    numbers: Iterable[int],
    seed: int = 0,
    jobs: int = 2,
    told: Callable[[Verdict], None] = lambda verdict: None,
) -> Findings:
    """Put these cases through so many workers."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    findings, lock = Findings(seed), threading.Lock()

    def heard(verdict: Verdict) -> None:
        with lock:
            findings.add(verdict)
            told(verdict)

    with ThreadPoolExecutor(jobs) as threads:
        for attending in [threads.submit(_attend, waiting, seed, heard) for _ in range(jobs)]:
            attending.result()
    return findings


def _attend(waiting: queue.SimpleQueue[int], seed: int, heard: Callable[[Verdict], None]) -> None:
    """Give one worker after the other its cases until there are none left."""
    with tempfile.TemporaryDirectory() as folder:
        worker: _Worker | None = None
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                break
            worker = worker or _Worker(seed, Path(folder))
            verdict = worker.verdict(number)
            heard(verdict)
            if verdict.outcome in ("crash", "hang"):
                worker = None
        if worker is not None:
            worker.end()


class _Worker:
    """A process that tries the cases whose numbers it is sent."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._folder = folder
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [*WORKER, "--worker", str(seed), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    def verdict(self, number: int) -> Verdict:
        """What came of a case, whatever became of the worker."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()
        watchdog = threading.Timer(MOST_WAIT_S, lambda: (late.set(), self._process.kill()))
        watchdog.start()
        try:
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if line:
            return Verdict(**json.loads(line))
        status = self._process.wait()
        self.end()
        for entry in self._folder.iterdir():
            entry.unlink()
        what = ("hang", f"no answer in {MOST_WAIT_S:g} s") if late.is_set() else ("crash", status)
        return Verdict(number, case(number, self._seed)[0].label, what[0], str(what[1]), 0.0, 0)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # what could not be sent is sent once more
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def work(seed: int, folder: Path) -> None:
    """A worker's life: a number on each line in, a verdict on each line out."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # decoders that find damage print there
        for line in sys.stdin:
            number = int(line)
            verdict = tried(number, seed, folder, sandboxed=number % SANDBOXED_EVERY == 0)
            print(json.dumps(dataclasses.asdict(verdict)), file=out, flush=True)


def keep(verdict: Verdict, seed: int, folder: Path) -> Path:
    """Store the file of a case, to look at."""
    chosen, content = case(verdict.number, seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{verdict.number}-{chosen.label}{chosen.suffix}"
    path.write_bytes(content)
    return path
