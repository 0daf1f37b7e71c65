"""How a server says no: a status, and one line that names the file and says what to do."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fullband.errors import shown

__all__ = ["STATUSES", "Problem", "RefusedError", "documented", "say_no_in_json"]

STATUSES = {
    400: "The request cannot be understood, or its body is empty or broken off.",
    401: "The server has a token, and this is not it.",
    403: "Another site's page asks, and it is not one of those that may.",
    404: "There is no such job, or no longer.",
    408: "The body did not come in time.",
    409: "The job has not ended yet.",
    413: "The body or the result is larger than the server takes.",
    415: "Not sent as audio, or audio that this server has no decoder for.",
    416: "The file has no such range.",
    422: "A parameter that cannot be, or a file that is not audio, damaged, or too long.",
    429: "The server is busy; Retry-After says when to try again.",
    500: "The server failed.",
    503: "The server ends, its disk is full, or the file took too long.",
}


class Problem(BaseModel):
    """What went wrong."""

    error: str = Field(description="One line, naming the file and what to do.")


class RefusedError(Exception):
    """A request that is not granted.

    Args:
        status: of HTTP, one of `STATUSES`.
        error: one line.
        retry_s: after how long it may be.
    """

    def __init__(self, status: int, error: str, retry_s: float | None = None) -> None:
        super().__init__(error)
        self.status, self.error = status, shown(error)
        self.headers = {} if retry_s is None else {"retry-after": str(max(1, math.ceil(retry_s)))}
        if status == 401:
            self.headers["www-authenticate"] = "Bearer"

    def response(self) -> JSONResponse:
        """The answer that says so."""
        return JSONResponse({"error": self.error}, self.status, self.headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as OpenAPI describes them."""
    waiting = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return {
        status: {"model": Problem, "description": STATUSES[status]}
        | ({"headers": waiting} if status == 429 else {})
        for status in statuses
    }


def say_no_in_json(app: FastAPI) -> None:
    """Have everything that an application refuses be a `Problem`."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        where = f"{request.method} {request.url.path[:100]}"
        said = {404: "there is no such thing here", 405: "this cannot be done here"}
        line = shown(f"{where}: {said.get(error.status_code, str(error.detail))}")
        return JSONResponse({"error": line}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        if first["type"] == "extra_forbidden":
            return RefusedError(422, f"unknown parameter '{name[:40]}'").response()
        what = first["msg"].removeprefix("Value error, ")
        given = str(first.get("input", ""))[:40]
        return RefusedError(422, f"{name}: {what}, not '{given}'").response()

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return RefusedError(500, "the server failed; its log says more").response()
