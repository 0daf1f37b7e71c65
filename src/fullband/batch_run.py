"""A batch: every job done once, by several processes, and written down in a manifest.

What is done is judged by content. A job is skipped where the manifest says that this source (by its
SHA-256), with these settings and this model (by its file's), became this target, and the target
still has the digest that it had then. Everything else is made, or refused.

A result is made under a hidden name in its own folder. When it is whole the manifest says `written`
and its digest, then it gets its name, then the manifest says `done`. So a crash at any moment costs
no more than what was in hand, and the next run knows whose the files are that it finds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fullband.audio.temporary import clear_stale
from fullband.batch import Job
from fullband.card import find_card
from fullband.engine import available_cores, choose_model, use_cores
from fullband.enhancement import AUTO, Enhancer, Summary, load
from fullband.errors import AudioFileError, FullbandError, ModelError, OutputError
from fullband.manifest import Entry, Manifest, sha256_of
from fullband.models.registry import BASELINES
from fullband.version import __version__
from fullband.workers import Died, Event, Progress, Workers

__all__ = ["Outcome", "Plan", "default_workers", "foresee", "run_batch"]

_MEMORY_OF_ONE = 512 << 20  # bytes that a worker may want: what it needs, and as much again
_REPORTED_EVERY_S = 0.1
_ALTERED = "the result of an earlier run was altered"


@dataclass(frozen=True)
class Plan:
    """How a batch is done.

    Attributes:
        model: a name, a path or `auto`, see `fullband.load`.
        options: further arguments of `Enhancer.file`, by name.
        manner: the same of those that change how a file is done, and not what comes of it.
        resume: skip what is done; else all is made anew.
        force: replace files that no batch of this manifest made.
        workers: how many processes; None for what suits the machine.
    """

    model: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    manner: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    resume: bool = True
    force: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        state: `skipped` where it was done before, `doing` while it is not decided.
        fraction: how much is done, 0 to 1.
        summary: of a job that is done.
        message: of one that failed or was skipped, why.
    """

    job: Job
    state: Literal["doing", "done", "skipped", "failed"]
    fraction: float = 1.0
    summary: Summary | None = None
    message: str = ""


def run_batch(
    jobs: Sequence[Job], manifest: Manifest, plan: Plan
) -> Generator[Outcome, None, None]:
    """Do the jobs, and tell of each as it goes on and what became of it.

    Closing the iterator, or an exception in the loop over it, stops the workers and leaves nothing
    half-written.

    Raises:
        ModelError: there is no such model.
        OutputError: the manifest cannot be written.
    """
    asked = _asked(plan)
    count = plan.workers or default_workers(len(jobs))
    # By all jobs, not by those that are left: a batch that goes on computes as it began.
    cores = max(1, available_cores() // max(1, min(count, len(jobs))))
    staging = _Staging(manifest.path, jobs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(staging)
        tasks = (
            _Task(
                number,
                job,
                job.source if job.source != "-" else _standard_input(stack),
                staging.place(number, job.target),
                manifest.last(job.target),
                manifest.made(job.target),
            )
            for number, job in enumerate(jobs)
        )
        make = functools.partial(_Enhancing, plan, asked, cores)
        workers: Workers[_Task, _Made | _Skipped | Entry] = stack.enter_context(
            Workers(count, make, threads=cores)
        )
        for events in workers.run(tasks):
            yield from _settle(events, manifest)


def foresee(jobs: Sequence[Job], manifest: Manifest, plan: Plan) -> Iterator[Outcome]:
    """What a batch would do, in order: `doing` for what it would make, with the reason. Reads the
    files, as far as it has to know their content, and writes nothing."""
    asked = _asked(plan)
    for job in jobs:
        target = job.target
        task = _Task(0, job, job.source, "", manifest.last(target), manifest.made(target))
        try:
            _refuse_source(job.source)
            is_done, why = _judged(task, _digest_of(job.source), asked, plan)
            if not is_done:
                _may_replace(task, plan)
            yield Outcome(job, "skipped" if is_done else "doing", message=why)
        except (FullbandError, OSError) as error:
            yield Outcome(job, "failed", message=_message(error, job.source))


def default_workers(jobs: int) -> int:
    """One process per core, each on one, goes fastest (docs/reliability.md), as long as there is
    work and memory for so many."""
    fitting = available_cores()
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        fitting = min(fitting, memory // _MEMORY_OF_ONE)
    return max(1, min(fitting, jobs))


@dataclass(frozen=True)
class _Task:
    """A job as a worker gets it.

    Attributes:
        source: where its audio is, also of standard input.
        staged: the name under which the result is to be made.
        known: the manifest's last entry about the target.
        is_ours: whether what is under the target's name was put there by a batch of the manifest.
    """

    number: int
    job: Job
    source: str
    staged: str
    known: Entry | None
    is_ours: bool


@dataclass(frozen=True)
class _Made:
    """A result that is whole and has not got its name yet, and whether it may replace a file."""

    entry: Entry
    summary: Summary
    replacing: bool


@dataclass(frozen=True)
class _Skipped:
    """A job that was done before, and the entry about it that a crash kept from being written."""

    why: str
    missing: Entry | None


_Result = _Made | _Skipped | Entry


class _Enhancing:
    """What a worker does with a task. The model is loaded with the first."""

    def __init__(self, plan: Plan, asked: dict[str, Any], cores: int) -> None:
        self._plan = plan
        self._asked = asked
        self._cores = cores

    @functools.cached_property
    def _enhancer(self) -> Enhancer:
        use_cores(self._cores)
        return load(self._plan.model)

    def __call__(self, task: _Task, report: Callable[[float], None]) -> _Result:
        digest = None
        try:
            _refuse_source(task.job.source)
            digest = _digest_of(task.source)
            is_done, why = _judged(task, digest, self._asked, self._plan)
            if is_done and task.known is not None:
                was_named = task.known.state == "done"
                return _Skipped(why, None if was_named else replace(task.known, state="done"))
            replacing = _may_replace(task, self._plan)
            return self._make(task, digest, why, replacing, report)
        except Exception as error:  # whatever it is, the rest of the batch goes on
            return _failure(task, _message(error, task.source), digest)

    def _make(
        self,
        task: _Task,
        digest: str | None,
        why: str,
        replacing: bool,
        report: Callable[[float], None],
    ) -> _Made:
        options = {**self._plan.options, **self._plan.manner}
        summary = self._enhancer.file(task.source, task.staged, progress=_seldom(report), **options)
        summary = replace(summary, source=_shown_source(task.job), target=task.job.target)
        heard = summary.analysis
        entry = replace(
            _entry(task, "written", digest),
            source_bytes=Path(task.source).stat().st_size,
            target_sha256=sha256_of(task.staged),
            target_bytes=Path(task.staged).stat().st_size,
            source_rate=heard.sample_rate,
            target_rate=summary.target_rate,
            channels=heard.channels,
            duration_s=round(heard.frames / heard.sample_rate, 3),
            bandwidth_hz=round(heard.bandwidth_hz, 1),
            model=summary.model,
            model_sha256=_digest_of_model(summary.model, self._plan.model),
            settings=self._asked,
            seconds=round(summary.seconds, 3),
            warnings=(
                *summary.notes,
                *summary.warnings,
                *([_ALTERED] if why == _ALTERED else []),
            ),
        )
        return _Made(entry, summary, replacing)


class _Staging:
    """The hidden folders in which results are made, one in every folder of results.

    They are named after the manifest, which only one batch has at a time: what is in them when it
    begins was left by one that was killed.
    """

    def __init__(self, manifest: Path, jobs: Sequence[Job]) -> None:
        whole = os.fsencode(os.path.abspath(manifest))
        self._name = f".fullband-{hashlib.sha256(whole).hexdigest()[:16]}"
        self._folders = {Path(job.target).parent for job in jobs}

    def place(self, number: int, target: str) -> str:
        named = Path(target)
        return str(named.parent / self._name / f"{number}{named.suffix}")

    def clear(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder / self._name, ignore_errors=True)

    def __enter__(self) -> _Staging:
        self.clear()
        for folder in self._folders:
            clear_stale(folder)
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


def _settle(events: Sequence[Event[_Task, _Result]], manifest: Manifest) -> Iterator[Outcome]:
    """Give results their names, in the order that a crash at any moment needs, and write all down.
    What has come together goes to the disk together."""
    outcomes: list[Outcome] = []
    entries: list[Entry] = []
    made: list[tuple[_Task, _Made]] = []
    for event in events:
        task = event.task
        if isinstance(event, Progress):
            outcomes.append(Outcome(task.job, "doing", event.fraction))
            continue
        if isinstance(event, Died):
            result: _Result = _failure(task, f"{task.source}: {event.reason}")
        else:
            result = event.result
        if isinstance(result, _Made):
            made.append((task, result))
        elif isinstance(result, _Skipped):
            outcomes.append(Outcome(task.job, "skipped", message=result.why))
            entries += [result.missing] if result.missing is not None else []
        else:
            outcomes.append(Outcome(task.job, "failed", message=result.error or ""))
            entries.append(replace(result, target=manifest.key(task.job.target)))
    written = [replace(each.entry, target=manifest.key(task.job.target)) for task, each in made]
    if written:
        manifest.append(written, durable=True)
    for (task, each), entry in zip(made, written, strict=True):
        try:
            _give_name(task.staged, task.job.target, each.replacing)
        except OSError as error:
            message = _shown(task, _message(error, task.staged))
            outcomes.append(Outcome(task.job, "failed", message=message))
            entries.append(replace(entry, state="failed", error=message))
        else:
            outcomes.append(Outcome(task.job, "done", summary=each.summary))
            entries.append(replace(entry, state="done"))
    _make_durable({Path(task.job.target).parent for task, _ in made})
    if entries:
        manifest.append(entries, durable=False)
    yield from outcomes


def _judged(task: _Task, digest: str | None, asked: dict[str, Any], plan: Plan) -> tuple[bool, str]:
    """Whether a job is done, and why it is or is not."""
    known = task.known
    if known is None or digest is None:
        return False, "new"
    if not plan.resume:
        return False, "asked for again"
    if known.source_sha256 != digest:
        return False, "the source has changed"
    if known.settings != asked:
        return False, "the settings have changed"
    if known.model_sha256 != _digest_of_model(known.model, plan.model):
        return False, "the model has changed"
    was_named = known.state == "done"
    target = Path(task.job.target)
    if not target.is_file():
        return False, "the result is missing" if was_named else "not finished"
    if target.stat().st_size != known.target_bytes or sha256_of(target) != known.target_sha256:
        return False, _ALTERED if was_named else "not finished"
    return True, "done before"


def _refuse_source(source: str) -> None:
    """What can be told of a source that cannot be read, without opening it."""
    if source == "-":
        return
    path = Path(source)
    if not path.exists():
        raise AudioFileError(f"{source}: no such file")
    if not path.is_file():
        raise AudioFileError(f"{source}: is not a regular file")
    if not os.access(source, os.R_OK):
        raise AudioFileError(f"{source}: may not be read (permissions)")


def _may_replace(task: _Task, plan: Plan) -> bool:
    """Whether there is a file in the result's place that may be replaced.

    Raises:
        OutputError: there is one that may not, so there is no use in beginning.
    """
    target = Path(task.job.target)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; give a file name")
    if not os.path.lexists(target):
        return plan.force
    if target.exists() and Path(task.source).exists() and target.samefile(task.source):
        raise OutputError(f"{target}: is the input itself; choose another output")
    if not plan.force and not task.is_ours:
        raise _exists(target)
    return True


def _exists(target: str | Path) -> OutputError:
    return OutputError(f"{target}: exists already; use --force to replace it")


def _give_name(staged: str, target: str, replacing: bool) -> None:
    """Have a result appear under its name, which no file that came meanwhile loses by it."""
    if replacing:
        os.replace(staged, target)
        return
    try:
        os.link(staged, target)
    except FileExistsError:
        Path(staged).unlink()
        raise _exists(target) from None
    except OSError:  # a file system without links
        if os.path.lexists(target):
            raise _exists(target) from None
        Path(staged).rename(target)
    else:
        Path(staged).unlink()


def _make_durable(folders: set[Path]) -> None:
    """Have the names in these folders on the disk, where the system can."""
    if os.name != "posix":
        return
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some file systems cannot do it for folders
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _asked(plan: Plan) -> dict[str, Any]:
    """What a batch asks for, in a form that can be compared with a manifest's: the model by its
    name, and the options that are not the defaults.

    Raises:
        ModelError: there is no such model.
    """
    defaults = inspect.signature(Enhancer.file).parameters
    options = {
        name: value
        for name, value in plan.options.items()
        if name not in defaults or value != defaults[name].default
    }
    asked: dict[str, Any] = json.loads(json.dumps(options, default=_as_data))
    if plan.model == AUTO:
        choose_model(0.0)  # there has to be one
        return {"model": AUTO, **asked}
    name = plan.model if plan.model in BASELINES else find_card(plan.model)[0].name
    return {"model": name, **asked}


def _as_data(value: Any) -> Any:
    """An option that JSON does not know, as what it does."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


@functools.cache
def _digest_of_model(name: str | None, asked_for: str) -> str | None:
    """The digest of the file of a model that was used; None of a baseline, or of one that is gone.

    Args:
        asked_for: what the batch was given, which may be a path; then it is that model's.
    """
    try:
        card, _ = find_card(asked_for if asked_for != AUTO else name or "")
    except ModelError:
        return None
    return card.sha256


def _digest_of(source: str) -> str | None:
    """The digest of a regular file; None of anything else, which reading might not end."""
    return sha256_of(source) if Path(source).is_file() else None


def _entry(task: _Task, state: Literal["written", "failed"], digest: str | None) -> Entry:
    source = task.job.source
    return Entry(
        state=state,
        target=task.job.target,
        source="-" if source == "-" else os.path.abspath(source),
        source_sha256=digest,
        finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        version=__version__,
    )


def _failure(task: _Task, message: str, digest: str | None = None) -> Entry:
    """The entry of a job that failed."""
    return replace(_entry(task, "failed", digest), error=_shown(task, message))


def _shown(task: _Task, message: str) -> str:
    """A message in the user's names instead of hidden and temporary ones."""
    message = message.replace(task.staged, task.job.target)
    return message.replace(task.source, _shown_source(task.job))


def _message(error: Exception, path: str) -> str:
    """What went wrong with a file, on one line."""
    if isinstance(error, FullbandError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'failed').lower()}"
    return f"{path}: {type(error).__name__}: {error}".partition("\n")[0]


def _shown_source(job: Job) -> str:
    return "standard input" if job.source == "-" else job.source


def _standard_input(stack: contextlib.ExitStack) -> str:
    """Standard input as a file that a worker can read."""
    spool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fullband-"))) / "stdin"
    with spool.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return str(spool)


def _seldom(report: Callable[[float], None]) -> Callable[[float], None]:
    """The same, called no more often than anyone can see."""
    last = time.monotonic()

    def seldom(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _REPORTED_EVERY_S:
            last = time.monotonic()
            report(fraction)

    return seldom
