"""The application that a server runs: what is where."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import Depends, FastAPI, Response, WebSocket
from pydantic import BaseModel, Field
from starlette.middleware.cors import CORSMiddleware

from fullband.streaming import LIVE
from fullband.version import __version__
from fullband.web import enhancing
from fullband.web.access import Access
from fullband.web.hub import Hub
from fullband.web.jobs import Jobs
from fullband.web.limits import Limits
from fullband.web.live import Lines
from fullband.web.metrics import METRICS_TYPE, Counted, Metrics
from fullband.web.pages import add_page
from fullband.web.refusals import documented, say_no_in_json

__all__ = ["create_app"]


_TEXT = {"schema": {"type": "string"}}


class Health(BaseModel):
    """How a server is."""

    status: Literal["ok", "ending"]
    version: str
    live: str = Field(description="What calls are widened with.")
    has_room: bool = Field(description="Whether another file would be taken now.")


def create_app(
    access: Access | None = None, limits: Limits | None = None, model: str = LIVE
) -> FastAPI:
    """The application, for any ASGI server; calls and files are taken once it has started.

    Args:
        model: what calls are widened with.

    Raises:
        ModelError: as it starts; there is no such model, or it does not run frame by frame.
    """
    access, limits = access or Access(), limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub = Hub(model, limits.max_lag_s)
        app.state.lines = lines = Lines(hub, access, limits)
        app.state.jobs = jobs = Jobs(limits, metrics)
        metrics.show("calls", "Calls now", lambda: len(hub))
        try:
            yield
        finally:
            await asyncio.gather(lines.close(), jobs.close())
            jobs.remove_files()
            hub.close()

    metrics = Metrics()
    app = FastAPI(
        title="fullband", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.access, app.state.limits = access, limits
    app.include_router(enhancing.router)
    say_no_in_json(app)
    app.add_middleware(Counted, metrics=metrics)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )

    @app.get("/v1/health")
    async def health() -> Health:
        """Whether the server is up, and what it runs."""
        jobs: Jobs = app.state.jobs
        return Health(
            status="ending" if jobs.is_closing else "ok",
            version=__version__,
            live=model,
            has_room=jobs.has_room,
        )

    @app.get(
        "/metrics",
        dependencies=[Depends(enhancing.allowed)],
        response_class=Response,
        responses={
            200: {"description": "The figures.", "content": {METRICS_TYPE: _TEXT}},
            **documented(401, 403),
        },
    )
    async def figures() -> Response:
        """What the server counts, for Prometheus."""
        return Response(metrics.text(), media_type=METRICS_TYPE)

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await app.state.lines.answer(socket)

    add_page(app)
    return app
