"""Sends the page: its files, what it may do, and what it need not load again."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fullband.web.site import HEADERS, Asset, assets, models_json

__all__ = ["add_page"]


def add_page(app: FastAPI) -> None:
    """Have an application answer with the page at `/`, and send its headers with every answer."""
    app.add_middleware(_Headers)
    files = assets()
    for path, asset in {"": files["index.html"], **files}.items():
        _add(app, path, functools.partial(_answer, asset))
    _add(app, "models.json", _models)


def _add(app: FastAPI, path: str, answer: Callable[[Request], Response]) -> None:
    async def asked(request: Request) -> Response:
        return answer(request)

    app.add_route(f"/{path}", asked, methods=["GET", "HEAD"], include_in_schema=False)


def _models(request: Request) -> Response:
    return Response(models_json(server=True), media_type="application/json")


class _Headers:
    """Says `HEADERS` with every answer, and leaves bodies alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, say)


def _answer(asset: Asset, request: Request) -> Response:
    known = {"Cache-Control": "no-cache"}
    if asset.packed:
        known["Vary"] = "Accept-Encoding"
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.content(), media_type=asset.media_type, headers=known)
        known["Content-Encoding"] = "gzip"
    response = FileResponse(
        asset.file,
        media_type=asset.media_type,
        headers=known,
        stat_result=asset.file.stat(),
    )
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return Response(status_code=304, headers={**known, "ETag": response.headers["etag"]})
    return response
