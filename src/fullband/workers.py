"""Processes that do tasks side by side, each with its own state, and any of which may die.

Each worker makes its state once (a loaded model) and then does one task after the other. One that
dies, because it ran out of memory or a decoder crashed, costs the task it had in hand; another
takes its place. All end with the process that started them, however that ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

__all__ = ["Died", "Finished", "Progress", "Workers"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks that a worker is given at a time, so that it never waits for the next
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Progress(Generic[Task]):
    """How much of a task is done, 0 to 1."""

    task: Task
    fraction: float


@dataclass(frozen=True)
class Finished(Generic[Task, Result]):
    """A task's result."""

    task: Task
    result: Result


@dataclass(frozen=True)
class Died(Generic[Task]):
    """A task whose worker died of it, and what is known about that."""

    task: Task
    reason: str


Event = Progress[Task] | Finished[Task, Result] | Died[Task]


class Workers(Generic[Task, Result]):
    """A number of processes, which end with the `with` block.

    Args:
        count: how many.
        make: called once in each; what it gives is called with every task, and with a function that
            takes the fraction done. It, tasks and results have to be picklable.
        threads: how many threads the numeric libraries of each may use.
    """

    def __init__(
        self,
        count: int,
        make: Callable[[], Callable[[Task, Callable[[float], None]], Result]],
        threads: int = 1,
    ) -> None:
        self._count = count
        self._make = make
        self._threads = threads
        self._workers: list[_Worker[Task]] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Event[Task, Result]]]:
        """Do all tasks, in any order. What has happened is given as it comes, several at a time;
        every task is finished or died of exactly once."""
        ahead = iter(tasks)
        again: deque[Task] = deque()

        def more(worker: _Worker[Task]) -> None:
            while len(worker.tasks) < _AHEAD:
                task = again.popleft() if again else next(ahead, None)
                if task is None:
                    return
                worker.give(task)

        def staff() -> None:
            """A first task for every worker before a second for any, and no worker without."""
            while len(self._workers) < self._count:
                task = again.popleft() if again else next(ahead, None)
                if task is None:
                    break
                worker: _Worker[Task] = _Worker(self._make, self._threads)
                self._workers.append(worker)
                worker.give(task)
            for worker in self._workers:
                more(worker)

        staff()
        while any(worker.tasks for worker in self._workers):
            ready = wait([worker.connection for worker in self._workers])
            events: list[Event[Task, Result]] = []
            for worker in [each for each in self._workers if each.connection in ready]:
                events += worker.received()
                if worker.is_dead:
                    self._workers.remove(worker)
                    reason = worker.end()
                    if worker.tasks:
                        events.append(Died(worker.tasks.popleft(), reason))
                    again.extend(worker.tasks)
            staff()
            yield events

    def __enter__(self) -> Workers[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()


class _Worker(Generic[Task]):
    """One process, seen from outside."""

    def __init__(self, make: Callable[[], Any], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        if os.name == "posix":
            resource_tracker.ensure_running()  # else it is started by `start`, and lets signals in
        self.connection, theirs = context.Pipe()
        self.tasks: deque[Task] = deque()
        self.is_dead = False
        self.process = context.Process(target=_work, args=(theirs, make))
        with _stops_held(), _environment(dict.fromkeys(_THREADS, str(threads))):
            self.process.start()
        theirs.close()  # so that its end is noticed

    def give(self, task: Task) -> None:
        self.tasks.append(task)
        with contextlib.suppress(OSError):  # it is dead: noticed when its messages are read
            self.connection.send(task)

    def received(self) -> list[Any]:
        """What it has sent so far, down to its last message."""
        events: list[Any] = []
        try:
            while self.connection.poll():
                kind, value = self.connection.recv()
                if kind == "progress":
                    events.append(Progress(self.tasks[0], value))
                else:
                    events.append(Finished(self.tasks.popleft(), value))
        except (EOFError, OSError):
            self.is_dead = True
        return events

    def end(self) -> str:
        """Have it end, and say why it did."""
        if not self.is_dead:
            self.process.kill()
        self.process.join()
        self.connection.close()
        return _death(self.process.exitcode or 0)


def _work(connection: Connection, make: Callable[[], Any]) -> None:
    """The process itself."""
    # Who is stopped is the process that started this one. Handlers rather than ignoring, which
    # whatever programs are started from here would inherit.
    for number in _STOPS:
        signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    do = make()

    def report(fraction: float) -> None:
        connection.send(("progress", fraction))

    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(("finished", do(task, report)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _death(code: int) -> str:
    if code == -getattr(signal, "SIGKILL", 9):
        return "its worker process was killed, which the system does when memory runs out"
    if code < 0:
        name = signal.strsignal(-code) or f"signal {-code}"
        return f"its worker process crashed ({name.lower()})"
    return f"its worker process ended ({code})"


@contextlib.contextmanager
def _stops_held() -> Iterator[None]:
    """A process begun here does not see Ctrl-C before it is ready to; this one sees it later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are begun here, where they are not set."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
