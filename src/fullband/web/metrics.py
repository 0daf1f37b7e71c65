"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["METRICS_TYPE", "Counted", "Metrics"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WORK_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500)


class Metrics:
    """The figures of one server.

    Attributes:
        requests: answered, by path and status.
        jobs: ended, by outcome: `done`, `failed`, `cancelled`, `refused`.
        audio_s: seconds of audio enhanced.
        upload_bytes: taken.
        work_s: how long enhancing a file took.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each
        self._registry = taken = CollectorRegistry()
        ProcessCollector(registry=taken)
        self.requests = Counter(
            "fullband_requests", "Requests answered", ["path", "status"], registry=taken
        )
        self.jobs = Counter("fullband_jobs", "Files dealt with", ["outcome"], registry=taken)
        self.audio_s = Counter("fullband_audio_seconds", "Audio enhanced", registry=taken)
        self.upload_bytes = Counter("fullband_upload_bytes", "Bytes of files", registry=taken)
        self.work_s = Histogram(
            "fullband_work_seconds", "Time of enhancing a file", buckets=_WORK_S, registry=taken
        )

    def show(self, name: str, what: str, now: Callable[[], float]) -> None:
        """Have a figure be asked for whenever the others are."""
        Gauge(f"fullband_{name}", what, registry=self._registry).set_function(now)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class Counted:
    """An application whose answers are counted, by the path as it is declared: what is asked for
    otherwise has no name of its own."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = getattr(scope.get("route"), "path", "other")
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, noted)
