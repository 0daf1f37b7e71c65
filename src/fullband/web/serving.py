"""Starts the server, and ends it so that calls are flushed and files finished first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from fullband.engine import available_cores, use_cores
from fullband.errors import OutputError
from fullband.streaming import LIVE, Streams
from fullband.web.access import Access
from fullband.web.app import create_app
from fullband.web.limits import Limits

__all__ = ["Server", "listen", "make_server", "run_app", "serve"]

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Uvicorn's server, whose calls and jobs come to their ends before sockets are closed."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "jobs"):
            await asyncio.gather(app.state.lines.close(), app.state.jobs.close())
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Asked to end, it has ended well: uvicorn would raise the signal again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _ENDING}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Args:
        port: 0 takes a free one.

    Raises:
        OutputError: that cannot be.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{host}:{port}: cannot listen there ({reason.lower()})") from None
    return listener


def make_server(app: FastAPI, limits: Limits) -> Server:
    """The server of an application, to be run with a socket that listens."""
    return Server(
        uvicorn.Config(
            app,
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=limits.message_bytes,
            timeout_graceful_shutdown=max(1, round(2 * limits.grace_s)),
            lifespan="on",
            server_header=False,
        )
    )


def run_app(
    app: FastAPI, host: str, port: int, limits: Limits, say: Callable[[str], None] | None = None
) -> None:
    """Serve an application until the process is asked to end.

    Args:
        port: 0 takes a free one.
        say: is told where it listens.

    Raises:
        OutputError: it cannot listen there.
    """
    with listen(host, port) as listener:
        if say is not None:
            shown = f"[{host}]" if ":" in host else host
            say(f"http://{shown}:{listener.getsockname()[1]}")
        make_server(app, limits).run(sockets=[listener])


def serve(
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    origins: tuple[str, ...] = (),
    limits: Limits | None = None,
    model: str = LIVE,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve the page, files and calls until the process is asked to end.

    Args:
        port: 0 takes a free one.
        say: is told where it listens.

    Raises:
        SettingsError: others than this machine could reach it, and there is no token.
        OutputError: it cannot listen there.
        ModelError: see `create_app`.
    """
    access, limits = Access.at(host, token, origins), limits or Limits()
    use_cores(available_cores(), max(2, limits.most_jobs))
    Streams(model)  # what is wrong with it is said before anybody can call
    run_app(create_app(access, limits, model), host, port, limits, say)
