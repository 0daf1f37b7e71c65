"""Files being enhanced: who may come, in which order, what becomes of each, and its place on disk.

Threads do the work, as many as files may be enhanced at a time: they share one copy of the weights,
can be stopped at the next block, and hardly hold the interpreter's lock. Whatever a file holds is
decoded in a process of its own (`fullband.audio.sandbox`).

A `Job` changes in the event loop's thread only; its worker hands over what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from fullband.audio import sandbox
from fullband.audio.raw import RawFormat
from fullband.audio.temporary import hold
from fullband.enhancement import Enhancer, Summary
from fullband.errors import AudioError, AudioFileError, DependencyError, FullbandError, OutputError
from fullband.web.limits import Limits
from fullband.web.metrics import Metrics
from fullband.web.refusals import RefusedError
from fullband.web.uploads import Upload

__all__ = ["Job", "Jobs", "State"]

State = Literal["receiving", "queued", "running", "done", "failed"]

_FOLDER = "fullband-serve-"
_LOCK = "in-use"
_YOUNG_S = 60.0  # who has just made a folder may be about to lock it
_LOWER_PRIORITY = 5  # as `nice` counts: calls come first
_FIRST_GUESS_S = 1.0  # of how long a job takes
_LONGEST_RETRY_S = 60.0
_ALMOST_FULL_BYTES = 1 << 20


class Job:
    """One file, from its upload to the end of its keeping; made by `Jobs.admit`.

    Attributes:
        id: not to be guessed.
        model, options: what it is enhanced with, and the other arguments of `Enhancer.file`.
        source, target: the files, in a folder of its own.
        name: what the client calls the file.
        progress: the fraction that is done.
        error: why it failed.
        summary: what was done.
        bytes: on disk.
        keeps_until_s: seconds since 1970; None while it has not ended.
        readers: who is being sent the target.
    """

    def __init__(self, folder: Path, model: str, ending: str, options: dict[str, Any]) -> None:
        self.id = folder.name
        self.model, self.options = model, options
        self.source, self.target = folder / "upload", folder / f"wide.{ending}"
        self.name = "upload"
        self.raw: RawFormat | None = None
        self.state: State = "receiving"
        self.progress = 0.0
        self.error: RefusedError | None = None
        self.summary: Summary | None = None
        self.bytes = 0
        self.keeps_until_s: float | None = None
        self.readers = 0
        self.future: Future[Summary | RefusedError] | None = None
        self.stopped: RefusedError | None = None
        self.forgotten = False
        self._changed = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def result_name(self) -> str:
        """What the result is called, after what the client calls the file."""
        return f"{Path(self.name).stem}-wide{self.target.suffix}"

    def become(self, state: State, progress: float = 0.0) -> None:
        """Have whoever watches see it."""
        if not self.has_ended:
            self.state, self.progress = state, progress
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def ended(self) -> None:
        """Wait until it has."""
        async for _ in self.changes():
            pass

    async def changes(self, patience_s: float | None = None) -> AsyncIterator[bool]:
        """Gives True at first and at each change until it has ended.

        Args:
            patience_s: gives False whenever nothing has changed for so long.
        """
        while True:
            changed, is_last = self._changed, self.has_ended
            yield True
            if is_last:
                return
            while not changed.is_set():
                try:
                    await asyncio.wait_for(changed.wait(), patience_s)
                except asyncio.TimeoutError:
                    yield False


class Jobs:
    """All jobs of a server, from its start to its end; made where its event loop runs.

    Their files lie in one temporary folder; what a killed server has left is removed.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, Job] = {}
        self._closing = asyncio.Event()
        self._work_s = _FIRST_GUESS_S
        _clear_stale(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        (self._folder / _LOCK).touch()
        self._lock = hold(self._folder / _LOCK)
        self._threads = ThreadPoolExecutor(limits.most_jobs, "fullband-jobs", _give_way)
        for state in ("waiting", "running", "stored"):
            metrics.show(
                f"jobs_{state}", f"Files {state} now", functools.partial(self._count, state)
            )
        metrics.show("disk_bytes", "Bytes of uploads and results", self._bytes)

    def counts(self) -> dict[str, int]:
        """How many jobs are `waiting` (or on their way), `running` and `stored`."""
        states = [job.state for job in tuple(self._jobs.values())]
        waiting = states.count("receiving") + states.count("queued")
        running = states.count("running")
        return {"waiting": waiting, "running": running, "stored": len(states) - waiting - running}

    def _count(self, state: str) -> int:
        return self.counts()[state]

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    @property
    def has_room(self) -> bool:
        """Whether another file would be admitted now."""
        return self._refusal() is None

    def admit(self, model: str, ending: str, options: dict[str, Any]) -> Job:
        """A place for a file that is about to come, with a folder.

        Args:
            model: see `Enhancer`.
            ending: of the result's name, which says its format.
            options: see `Enhancer.file`.

        Raises:
            RefusedError: 429, there is no room; 503, the disk is full or the server ends.
        """
        refusal = self._refusal()
        if refusal is not None:
            self._metrics.jobs.labels("refused").inc()
            raise refusal
        folder = self._folder / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        job = self._jobs[folder.name] = Job(folder, model, ending, options)
        return job

    def grow(self, job: Job, size: int) -> None:
        """Take notice of how many bytes a job has on disk.

        Raises:
            RefusedError: 503, the disk is full.
        """
        job.bytes = size
        if self._bytes() > self._limits.disk_bytes:
            raise _disk_full(job.name)

    async def take(self, job: Job, coming: Coroutine[Any, Any, Upload]) -> None:
        """Have a job done once its file has come.

        Raises:
            RefusedError: 503, the server ends; and what receiving raises.
        """
        receiving = asyncio.ensure_future(coming)
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({receiving, closing}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_closing:
                receiving.cancel()
                await asyncio.wait({receiving})
                raise _ending(job.name)
            upload = receiving.result()
        finally:
            receiving.cancel()
            closing.cancel()
        self._metrics.upload_bytes.inc(upload.bytes)
        job.name, job.raw = upload.name, upload.raw
        job.become("queued")
        job.future = self._threads.submit(self._work, job)
        job.future.add_done_callback(lambda future: self._tell(self._end, job, future))

    def find(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            RefusedError: 404, there is none.
        """
        job = self._jobs.get(job_id)
        if job is None or job.forgotten:
            raise RefusedError(404, f"{job_id[:40]}: there is no such job, or no longer; send anew")
        return job

    def forget(self, job: Job) -> None:
        """End a job if it has not ended, and remove its files as soon as nothing uses them."""
        job.forgotten = True
        self._stop(job, RefusedError(404, f"{job.name}: was cancelled"))
        self.release(job)

    def release(self, job: Job) -> None:
        """Remove a forgotten job's files if nothing uses them."""
        in_use = job.future is not None or job.readers
        if job.forgotten and not in_use and self._jobs.pop(job.id, None) is not None:
            self._loop.run_in_executor(None, shutil.rmtree, job.source.parent, True)

    async def close(self) -> None:
        """Take no more, let what runs end within the grace, stop the rest, and wait for that."""
        if self.is_closing:
            return
        self._closing.set()
        jobs = [job for job in self._jobs.values() if job.future is not None]
        for job in jobs:
            if job.state == "queued":
                self._stop(job, _ending(job.name))
        running = [asyncio.ensure_future(job.ended()) for job in jobs]
        if running:
            _, late = await asyncio.wait(running, timeout=self._limits.grace_s)
            for job in jobs:
                self._stop(job, _ending(job.name))
            if late:
                await asyncio.wait(late)
        await asyncio.to_thread(self._threads.shutdown)

    def remove_files(self) -> None:
        """Leave nothing behind; to be called once nothing is being sent any more."""
        if self._lock is not None:
            self._lock.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _refusal(self) -> RefusedError | None:
        """Why no file is admitted now."""
        counts = self.counts()
        if self.is_closing:
            return _ending("upload")
        if self._bytes() > self._limits.disk_bytes:
            return _disk_full("upload")
        if counts["stored"] >= self._limits.stored_jobs:
            ends = [job.keeps_until_s for job in self._jobs.values() if job.keeps_until_s]
            frees_s = min(ends, default=0.0) - time.time()
            line = "upload: too many results wait to be fetched and deleted; try again later"
            return RefusedError(429, line, min(frees_s, _LONGEST_RETRY_S))
        most = self._limits.most_jobs
        if counts["waiting"] + counts["running"] >= most + self._limits.waiting_jobs:
            # Come back when half of the queue is gone: there is room then, and still work.
            half_s = self._work_s * (1 + counts["waiting"]) / (2 * most)
            line = "upload: too many files wait already; try again later"
            return RefusedError(429, line, min(half_s, _LONGEST_RETRY_S))
        return None

    def _bytes(self) -> int:
        return sum(job.bytes for job in tuple(self._jobs.values()))

    def _tell(self, what: Any, *arguments: Any) -> None:
        """From a worker: have something done in the event loop."""
        with contextlib.suppress(RuntimeError):  # it is gone
            self._loop.call_soon_threadsafe(what, *arguments)

    def _work(self, job: Job) -> Summary | RefusedError:
        """In a worker: the job itself. What went wrong is not raised: a traceback would keep the
        audio in memory for as long as the job."""
        limits, begun_s = self._limits, time.monotonic()
        upload_bytes = job.bytes

        def progress(fraction: float) -> None:
            if job.stopped is not None:
                raise job.stopped
            if time.monotonic() - begun_s > limits.work_s:
                line = f"took longer than the {limits.work_s:g} s that are given; send less at once"
                raise RefusedError(503, f"{job.name}: {line}")
            self.grow(job, _size(job.source.parent))
            if job.bytes - upload_bytes > limits.result_bytes:
                most = f"{limits.result_bytes / (1 << 20):g} MiB"
                line = f"the result is larger than {most}; ask for a lower rate, or send less"
                raise RefusedError(413, f"{job.name}: {line}")
            self._tell(job.become, "running", fraction)

        try:
            self._tell(job.become, "running")
            allowed = sandbox.Limits(cpu_s=math.ceil(limits.work_s), most_s=limits.audio_s)
            return Enhancer(job.model).file(
                job.source,
                job.target,
                progress=progress,
                sandbox=allowed,
                raw=job.raw,
                **job.options,
            )
        except RefusedError as error:
            return error.with_traceback(None)
        except Exception as error:
            return _refused(error, job)
        finally:
            job.source.unlink(missing_ok=True)
            job.bytes = _size(job.source.parent)
            self._work_s += 0.2 * (time.monotonic() - begun_s - self._work_s)

    def _end(self, job: Job, future: Future[Summary | RefusedError]) -> None:
        """A job's future has ended, one way or another."""
        job.future = None
        job.keeps_until_s = time.time() + self._limits.keep_s
        found = job.stopped if future.cancelled() else future.result()
        if isinstance(found, Summary):
            job.summary = found
            self._metrics.jobs.labels("done").inc()
            self._metrics.audio_s.inc(found.analysis.frames / found.analysis.sample_rate)
            self._metrics.work_s.observe(found.seconds)
            job.become("done", 1.0)
        else:
            job.error = found
            self._metrics.jobs.labels("failed" if job.stopped is None else "cancelled").inc()
            job.become("failed", job.progress)
        self.release(job)
        self._loop.call_later(self._limits.keep_s, self.forget, job)

    def _stop(self, job: Job, why: RefusedError) -> None:
        """Have a job end at its next block, or not begin."""
        if job.future is not None:
            job.stopped = job.stopped or why
            job.future.cancel()


def _refused(error: Exception, job: Job) -> RefusedError:
    """What is said of a job that failed, in the client's words: its names, not the server's."""
    if not isinstance(error, FullbandError):
        logging.getLogger(__name__).error("%s: failed", job.name, exc_info=error)
        return RefusedError(500, f"{job.name}: the server failed; its log says more")
    said = str(error).replace(str(job.target), job.result_name).replace(str(job.source), job.name)
    said = re.sub(r"--(?=[a-z])", "", said)  # options are parameters here
    if job.name not in said and job.result_name not in said:
        said = f"{job.name}: {said}"
    if isinstance(error, DependencyError):
        return RefusedError(415, said)
    if isinstance(error, OutputError):
        free_bytes = shutil.disk_usage(job.source.parent).free
        return RefusedError(503 if free_bytes < _ALMOST_FULL_BYTES else 422, said)
    return RefusedError(422 if isinstance(error, (AudioFileError, AudioError)) else 500, said)


def _ending(name: str) -> RefusedError:
    return RefusedError(503, f"{name}: the server ends; send it again later", 5.0)


def _disk_full(name: str) -> RefusedError:
    return RefusedError(503, f"{name}: the server's disk is full; send it again later", 30.0)


def _size(folder: Path) -> int:
    """Bytes of a folder's files."""
    sizes = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                sizes.append(entry.stat().st_size)
    return sum(sizes)


def _give_way() -> None:
    """Have this thread, and those that it starts, come after the calls."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWER_PRIORITY)


def _clear_stale(folder: Path) -> None:
    """Remove what killed servers of this user have left, and nothing that one holds."""
    for path in folder.glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
            if not own or time.time() - status.st_mtime < _YOUNG_S:
                continue
            held = hold(path / _LOCK)
            if held is not None:
                with held:
                    shutil.rmtree(path, ignore_errors=True)
