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
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fullband.engine import available_cores
from fullband.errors import FullbandError, MissingFileError, OutputError
from fullband.scale.cluster import LOCAL, Cluster, started
from fullband.scale.listing import Item, list_items
from fullband.scale.place import HIDDEN, Place
from fullband.scale.record import Done, Manifest, Record
from fullband.scale.rounds import Round, failure
from fullband.scale.work import LONG, Asked, ModelFile, digests_of, packed

__all__ = ["Totals", "foresee", "scale"]

_FILES_PER_ROUND = 500  # for each worker
_FEWEST_PER_ROUND = 1000
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
            cluster: Cluster | None = None
            size = max(_FEWEST_PER_ROUND, _FILES_PER_ROUND * (workers or available_cores()))
            while todo := self._sifted(items, size):
                if cluster is None:
                    cluster = stack.enter_context(started(self._asked, model, workers, address))
                    self.totals.workers = cluster.workers
                    size = max(_FEWEST_PER_ROUND, _FILES_PER_ROUND * cluster.workers)
                Round(cluster, self._asked, self._source, self._note, self._count).do(todo)
                self.manifest.flush()
                cluster.forget()

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
                self._note(failure(self._asked, self._source, item, item.problem))
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
