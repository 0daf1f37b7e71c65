"""Stands in for worker processes: the same tasks, one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fullband.workers import Event, Finished


class InlineWorkers:
    """Takes the place of `fullband.workers.Workers`."""

    def __init__(self, count: int, make: Callable[[], Any], threads: int = 1) -> None:
        self._do = make()

    def run(self, tasks: Iterable[Any]) -> Iterator[list[Event[Any, Any]]]:
        for task in tasks:
            yield [Finished(task, self._do(task, lambda fraction: None))]

    def __enter__(self) -> InlineWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        pass
