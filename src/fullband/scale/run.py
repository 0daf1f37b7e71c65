"""The driver: lists, hands out work in rounds, writes down what came of it.

    listing -> a round's files -> Ray Data: actors with the model loaded -> outcomes -> manifest
                      ^                                                        |
                      +------- pieces, joins, what was lost with a worker -----+

A round is so many files that no worker waits long at its end, and no more, so that memory does not
grow with the archive. Within it Ray Data keeps few pieces of work on their way to each actor,
starts an actor anew where one dies and gives what it had to another. What every worker dies of is
given up after some tries, alone: a file that was bundled with it is tried by itself.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import shutil
import socket
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fullband.engine import available_cores
from fullband.errors import FullbandError, MissingFileError, OutputError, WorkerError
from fullband.scale.listing import Item, list_items
from fullband.scale.place import HIDDEN, Place
from fullband.scale.record import Done, Manifest, Record
from fullband.scale.work import LONG, Asked, ModelFile, Outcome, Work, Worker, digests_of, packed
from fullband.settings import build, to_dict

__all__ = ["LOCAL", "Totals", "foresee", "scale"]

LOCAL = "local"
"""The address that means a cluster of this machine alone, for as long as the run takes."""

_FILES_PER_ROUND = 500  # for each worker
_FEWEST_PER_ROUND = 1000
_BUNDLED = 16  # files, at most
_BUNDLED_BYTES = 1 << 22
_BUNDLES_PER_WORKER = 8  # at least, so that none waits long for the last
_STORE_BYTES = 100 << 20  # of a local cluster's object store; only words go through it
_ABOUT = b"fullband keeps here which results are done (manifest) and what is unfinished.\n"


@dataclass
class Totals:
    """How far a run is.

    Attributes:
        found: files listed so far, whatever became of them.
        all_found: whether the listing has come to its end.
        skipped: files that were done before.
        audio_s: length of what is done.
        cpu_s: time that workers took of their cores.
        pieces, pieces_done: of long recordings, in this round.
    """

    found: int = 0
    all_found: bool = False
    done: int = 0
    failed: int = 0
    skipped: int = 0
    audio_s: float = 0.0
    cpu_s: float = 0.0
    pieces: int = 0
    pieces_done: int = 0
    workers: int = 0


Report = Callable[[Totals, Record | None], None]
"""Called with the totals whenever they change, and with the record that changed them."""


def scale(
    asked: Asked,
    workers: int | None = None,
    address: str = LOCAL,
    resume: bool = True,
    force: bool = False,
    report: Report | None = None,
) -> Totals:
    """Enhance a folder of recordings into another, wherever both are.

    Args:
        workers: how many processes; None for one per core.
        address: of a Ray cluster, or `local`. A cluster that the process is connected to is used.
        resume: skip what the output's manifest says is done.
        force: replace files in the output that no earlier run has made.

    Raises:
        ModelError, AudioError: there is no such model, or a setting is out of range.
        MissingFileError: there is no such input, or no audio in it.
        OutputError: the output cannot be written, is the input, or holds something else.
        WorkerError: there is no such cluster.
    """
    models, model = digests_of(asked.model), packed(asked.model)
    source, output = _opened(asked)
    _refuse(source, output, force)
    with _reaching(asked.target):
        output.write(f"{HIDDEN}/README", _ABOUT)
        output.clear_scratch()
        done = Done(output, asked.settings(), models) if resume else None
    run = _Run(asked, source, Manifest(output), report or (lambda totals, record: None))
    with contextlib.ExitStack() as stack:
        if done is not None:
            stack.callback(done.close)
        items = list_items(source, output, done)
        first = next(items, None)
        if first is None:
            raise MissingFileError(f"{asked.source}: no audio files in it")
        stack.callback(output.clear_scratch)
        stack.callback(run.manifest.flush)
        run.enhance(itertools.chain([first], items), workers, address, model)
        if not run.totals.failed:
            output.remove(LONG)
    return run.totals


def foresee(asked: Asked, resume: bool = True) -> Iterator[tuple[str, str, Item]]:
    """What a run would do with each file: source, target and what the listing knows. Writes
    nothing.

    Raises:
        ModelError, MissingFileError, OutputError: as `scale`.
    """
    models = digests_of(asked.model)
    source, output = _opened(asked)
    with _reaching(asked.target):
        done = Done(output, asked.settings(), models) if resume else None
    for item in list_items(source, output, done):
        yield source.named(item.source.name), output.named(item.target), item


class _Run:
    def __init__(self, asked: Asked, source: Place, manifest: Manifest, report: Report) -> None:
        self.manifest = manifest
        self.totals = Totals()
        self._asked = asked
        self._source = source
        self._report = report

    def enhance(
        self, items: Iterator[Item], workers: int | None, address: str, model: ModelFile | None
    ) -> None:
        """All of it, round by round. Ray is started once there is something to do."""
        with contextlib.ExitStack() as stack:
            cluster: _Cluster | None = None
            size = max(_FEWEST_PER_ROUND, _FILES_PER_ROUND * (workers or available_cores()))
            while todo := self._sifted(items, size):
                if cluster is None:
                    cluster = stack.enter_context(_started(self._asked, model, workers, address))
                    self.totals.workers = cluster.workers
                    size = max(_FEWEST_PER_ROUND, _FILES_PER_ROUND * cluster.workers)
                _Round(cluster, self._asked, self._source, self._note, self._count).do(todo)
                self.manifest.flush()

    def _sifted(self, items: Iterator[Item], size: int) -> list[Item]:
        """The next items that there is work with, so many at most."""
        todo: list[Item] = []
        totals = self.totals
        while len(todo) < size:
            item = next(items, None)
            if item is None:
                totals.all_found = True
                break
            totals.found += 1
            if item.problem:
                self._note(_failure(self._asked, self._source, item, item.problem))
            elif item.done:
                totals.skipped += 1
            else:
                todo.append(item)
        self._report(totals, None)
        return todo

    def _note(self, record: Record) -> None:
        self.manifest.add(record)
        if record.state == "done":
            self.totals.done += 1
            self.totals.audio_s += record.duration_s or 0.0
        else:
            self.totals.failed += 1
        self._report(self.totals, record)

    def _count(self, cpu_s: float, pieces: int, pieces_done: int) -> None:
        self.totals.cpu_s += cpu_s
        self.totals.pieces, self.totals.pieces_done = pieces, pieces_done
        self._report(self.totals, None)


class _Round:
    """Some files, and what comes of them: wave after wave until nothing is left to do.

    A wave's outcomes may ask for more work, which is the next wave's: the pieces of long
    recordings, their joins, and what was lost.
    """

    def __init__(
        self,
        cluster: _Cluster,
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
        wave = _bundles(list(items), self._cluster.workers)
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
            self._settled(_failure(self._asked, self._source, Item(source, target), problem))
        return []

    def _settled(self, record: Record) -> None:
        """Each file once, also if several of its pieces have failed."""
        if record.target not in self._noted:
            self._noted.add(record.target)
            self._note(record)


class _Cluster:
    """Actors of Ray Data, and who counts their beginnings."""

    def __init__(
        self, asked: Asked, model: ModelFile | None, workers: int, scratch: str | None
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.workers = workers
        # Where the driver is: it lives and dies with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        ledger = ray.remote(_Ledger).options(num_cpus=0, scheduling_strategy=here).remote()
        self._arguments = {"asked": asked, "model": model, "ledger": ledger, "scratch": scratch}

    def run(self, works: list[Work]) -> Iterator[Outcome]:
        """Outcomes as they come; one that was lost does not."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        rows = [{"work": json.dumps(to_dict(work))} for work in works]
        # Twice as many calls as workers: one reads or writes while another computes.
        pool = ray.data.ActorPoolStrategy(
            size=min(self.workers, len(works)),
            max_tasks_in_flight_per_actor=4,
            max_concurrent_calls_per_actor=2,
            enable_true_multi_threading=True,
        )
        outcomes = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _RayWorker,
            batch_size=1,
            compute=pool,
            num_cpus=1,
            fn_constructor_kwargs=self._arguments,
        )
        for row in outcomes.iter_rows():
            yield build(Outcome, json.loads(row["outcome"]))


class _Ledger:
    """How often each piece of work has been begun."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def begin(self, key: str) -> int:
        self._times[key] += 1
        return self._times[key]


class _RayWorker(Worker):
    def __init__(
        self, asked: Asked, model: ModelFile | None, ledger: Any, scratch: str | None
    ) -> None:
        import ray

        super().__init__(asked, model, lambda key: ray.get(ledger.begin.remote(key)), scratch)


@contextlib.contextmanager
def _started(
    asked: Asked, model: ModelFile | None, workers: int | None, address: str
) -> Iterator[_Cluster]:
    """A cluster to work on: the one that the process is connected to, one at an address, or one of
    this machine's cores that ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if ray.is_initialized():
        yield _Cluster(asked, model, workers or _cores_of_cluster(), None)
        return
    folder = None
    try:
        if address == LOCAL:
            folder = tempfile.mkdtemp(prefix="fb-")  # short: names of sockets may have 107 letters
            workers = workers or available_cores()
            ray.init(
                address=LOCAL,
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                _temp_dir=folder,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            _refuse_silent(address)
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise WorkerError(f"{address}: no Ray cluster to work on ({_why(error)})") from None
        _quiet()
        yield _Cluster(asked, model, workers or _cores_of_cluster(), folder)
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _why(error: BaseException) -> str:
    """The first words of what an error goes back to."""
    while error.__cause__ is not None:
        error = error.__cause__
    reason = str(error).partition("\n")[0].partition(". ")[0]
    return f"{reason}: RAY_AUTH_MODE=token, see docs/scale.md" if "token" in reason else reason


def _refuse_silent(address: str) -> None:
    """Ray itself goes on asking a machine that does not answer for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise WorkerError(f"{address}: no Ray cluster to work on ({reason.lower()})") from None


def _quiet() -> None:
    """Ray Data tells of every plan, and of every error that is dealt with here."""
    import ray.data

    assert ray.data
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


def _cores_of_cluster() -> int:
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(1, int(resources.get("CPU", 1)))


def _bundles(items: list[Item], workers: int) -> list[Work]:
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


def _failure(asked: Asked, source: Place, item: Item, problem: str) -> Record:
    name = source.named(item.source.name)
    return Record(
        "failed", item.target, name, error=f"{name}: {problem}", settings=asked.settings()
    )


def _opened(asked: Asked) -> tuple[Place, Place]:
    source = Place(asked.source, asked.endpoint_url)
    output = Place(asked.target, asked.endpoint_url)
    with _reaching(asked.source):
        if not source.exists():
            raise MissingFileError(f"{asked.source}: no such file or folder")
    return source, output


def _refuse(source: Place, output: Place, force: bool) -> None:
    """What would be regretted."""
    if source.identity == output.identity:
        raise OutputError(f"{output.address}: is the input itself; choose another output")
    with _reaching(output.address):
        if output.exists(HIDDEN) or force:
            return
        files, folders = output.list_folder("")
    if files or folders:
        raise OutputError(
            f"{output.address}: holds files that no run of fullband scale has made; choose an "
            "empty place, or --force to replace those of the same names"
        )


@contextlib.contextmanager
def _reaching(address: str) -> Iterator[None]:
    """Whatever the library of a store raises, in one line."""
    try:
        yield
    except FullbandError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OutputError(f"{address}: cannot be reached ({reason.splitlines()[0]})") from None
