"""The application that a server runs: what is where."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, WebSocket

from fullband.streaming import LIVE
from fullband.version import __version__
from fullband.web.access import Access
from fullband.web.hub import Hub
from fullband.web.limits import Limits
from fullband.web.live import Lines
from fullband.web.pages import add_page

__all__ = ["create_app"]


def create_app(
    access: Access | None = None, limits: Limits | None = None, model: str = LIVE
) -> FastAPI:
    """The application, for any ASGI server; calls are taken once it has started.

    Args:
        model: what calls are widened with.

    Raises:
        ModelError: as it starts; there is no such model, or it does not run frame by frame.
    """
    access, limits = access or Access(), limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub = Hub(model, limits.max_lag_s)
        app.state.lines = Lines(hub, access, limits)
        try:
            yield
        finally:
            await app.state.lines.close()
            hub.close()

    app = FastAPI(
        title="fullband", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )

    @app.get("/v1/health")
    def health() -> dict[str, Any]:
        """Whether the server is up, and what it runs."""
        return {"status": "ok", "version": __version__, "live": model}

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await app.state.lines.answer(socket)

    add_page(app)
    return app
