"""A round: some files, and wave after wave of work until nothing is left to do with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from fullband.scale.listing import Item
from fullband.scale.place import Place
from fullband.scale.record import Record
from fullband.scale.work import Asked, Outcome, Work

__all__ = ["Round", "Workers", "bundles", "failure"]

_BUNDLED = 16  # files, at most
_BUNDLED_BYTES = 1 << 22
_BUNDLES_PER_WORKER = 8  # at least, so that none waits long for the last


class Workers(Protocol):
    """Who does the work."""

    @property
    def workers(self) -> int: ...

    def run(self, works: list[Work]) -> Iterator[Outcome]:
        """Outcomes as they come, in any order; what was lost does not."""


class Round:
    """Some files, and what comes of them: wave after wave until nothing is left to do.

    A wave's outcomes may ask for more work, which is the next wave's: the pieces of long
    recordings, their joins, and what was lost.
    """

    def __init__(
        self,
        cluster: Workers,
        asked: Asked,
        source: Place,
        note: Callable[[Record], None],
        count: Callable[[float, int, int], None],
    ) -> None:
        self._cluster = cluster
        self._asked = asked
        self._source = source
        self._note = note
        self._count = count
        self._noted: set[str] = set()  # targets
        self._seconds: defaultdict[str, float] = defaultdict(float)  # spent on each long recording
        self._unfinished: Counter[str] = Counter()  # its pieces
        self._pieces = 0
        self._lost: Counter[str] = Counter()  # how often each piece of work has not come back

    def do(self, items: Iterable[Item]) -> None:
        wave = bundles(list(items), self._cluster.workers)
        while wave:
            wave = self._wave(wave)

    def _wave(self, works: list[Work]) -> list[Work]:
        known = {work.key: work for work in works}
        following: list[Work] = []
        for outcome in self._cluster.run(works):
            work = known.pop(outcome.key, None)
            if work is not None:  # else it has come back twice
                following += self._settle(work, outcome)
        for work in known.values():
            following += self._missed(work)
        return following

    def _settle(self, work: Work, outcome: Outcome) -> list[Work]:
        target = work.targets[0]
        following = list(outcome.more)
        if work.kind != "files" or following:
            self._seconds[target] += outcome.seconds
        for record in outcome.records:
            if work.kind == "join" and record.state == "done":
                record = replace(record, seconds=round(self._seconds.pop(target), 3))
            self._settled(record)
        for more in following:
            if more.kind == "piece":
                self._unfinished[target] += 1
                self._pieces += 1
        if work.kind == "piece":
            self._unfinished[target] -= 1
            if not self._unfinished[target] and target not in self._noted:
                following.append(Work("join", work.sources, work.targets))
        self._count(outcome.cpu_s, self._pieces, self._pieces - self._unfinished.total())
        return following

    def _missed(self, work: Work) -> list[Work]:
        """What to do with work that did not come back."""
        self._lost[work.key] += 1
        if self._lost[work.key] <= self._asked.retries:
            return [work]
        problem = "was lost with its workers, again and again"
        for source, target in zip(work.sources, work.targets, strict=True):
            self._settled(failure(self._asked, self._source, Item(source, target), problem))
        return []

    def _settled(self, record: Record) -> None:
        """Each file once, also if several of its pieces have failed."""
        if record.target not in self._noted:
            self._noted.add(record.target)
            self._note(record)


def bundles(items: list[Item], workers: int) -> list[Work]:
    """Large files first and by themselves, small ones several at a time."""
    most = max(1, min(_BUNDLED, len(items) // (_BUNDLES_PER_WORKER * workers)))
    works: list[Work] = []
    bundle: list[Item] = []
    size = 0
    for item in sorted(items, key=lambda item: -item.source.size):
        if bundle and (len(bundle) == most or size + item.source.size > _BUNDLED_BYTES):
            works.append(_work(bundle))
            bundle, size = [], 0
        bundle.append(item)
        size += item.source.size
    return [*works, _work(bundle)] if bundle else works


def _work(items: list[Item]) -> Work:
    return Work("files", tuple(item.source for item in items), tuple(item.target for item in items))


def failure(asked: Asked, source: Place, item: Item, problem: str) -> Record:
    """The record of a file that no worker has got."""
    name = source.named(item.source.name)
    return Record(
        "failed", item.target, name, error=f"{name}: {problem}", settings=asked.settings()
    )
