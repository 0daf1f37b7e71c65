"""Actors of Ray Data that do the work, on this machine's cores or on a cluster. Nothing else knows
Ray."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from fullband.engine import available_cores
from fullband.errors import WorkerError
from fullband.scale.work import Asked, ModelFile, Outcome, Work, Worker
from fullband.settings import build, to_dict

__all__ = ["LOCAL", "Cluster", "started"]

LOCAL = "local"
"""The address that means a cluster of this machine alone, for as long as the run takes."""

_STORE_BYTES = 100 << 20  # of a local cluster's object store; only words go through it


class Cluster:
    """Actors of Ray Data, and who counts their beginnings."""

    def __init__(
        self, asked: Asked, model: ModelFile | None, workers: int, scratch: str | None
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.workers = workers
        # Where the driver is: it lives and dies with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        ledger: Any = ray.remote(_Ledger).options(num_cpus=0, scheduling_strategy=here).remote()
        self._ledger = ledger
        self._arguments = {"asked": asked, "model": model, "ledger": ledger, "scratch": scratch}

    def forget(self) -> None:
        """A round is over: memory does not grow with their number."""
        self._ledger.forget.remote()

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

    def forget(self) -> None:
        self._times.clear()


class _RayWorker(Worker):
    def __init__(
        self, asked: Asked, model: ModelFile | None, ledger: Any, scratch: str | None
    ) -> None:
        import ray

        super().__init__(asked, model, lambda key: ray.get(ledger.begin.remote(key)), scratch)


@contextlib.contextmanager
def started(
    asked: Asked, model: ModelFile | None, workers: int | None, address: str
) -> Iterator[Cluster]:
    """A cluster to work on: the one that the process is connected to, one at an address, or one of
    this machine's cores that ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if ray.is_initialized():
        yield Cluster(asked, model, workers or _cores_of_cluster(), None)
        return
    folder = None
    terminated = signal.getsignal(signal.SIGTERM)
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
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)  # Ray has put one of its own, which aborts
        yield Cluster(asked, model, workers or _cores_of_cluster(), folder)
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
