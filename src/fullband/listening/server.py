"""The server of a listening test: one page, its sounds, and where its answers go.

A listener is known by a code, trials and stimuli by their places in that listener's order. What
they are called never leaves the server, and sounds come without dates or digests that would tell
one from another.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field

from fullband.errors import FullbandError
from fullband.listening.order import Trial, trials_of
from fullband.listening.session import Session, read_session
from fullband.listening.store import Answers, Choice, Rating
from fullband.version import __version__
from fullband.web.access import Access
from fullband.web.limits import Limits
from fullband.web.serving import run_app

__all__ = ["create_app", "serve"]

_FILES = Path(__file__).with_name("page_files")
_PAGE = {"/": "index.html", **{f"/{name}": name for name in ("page.css", "page.js", "player.js")}}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_CODE = re.compile(r"[\w.-]+( [\w.-]+)*")
_LONGEST_CODE = 40
_LONGEST_BODY = 1 << 14  # bytes

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Listener(BaseModel):
    """Who begins, having read the welcome and agreed to it."""

    code: str
    agrees: bool


class Rated(BaseModel):
    """The answer to a MUSHRA trial, by the places of its stimuli."""

    scores: list[Annotated[int, Field(ge=0, le=100)]]
    heard_s: list[Seconds]
    trial_s: Seconds


class Chosen(BaseModel):
    """The answer to an ABX trial: 0 where X was taken for A, 1 for B."""

    chosen: Annotated[int, Field(ge=0, le=1)]
    confidence: Annotated[int, Field(ge=1, le=4)]
    trial_s: Seconds


def create_app(folder: Path, access: Access | None = None) -> FastAPI:
    """The application that serves the session in a folder.

    Raises:
        MissingFileError, SettingsError: see `read_session`.
        OutputError: see `Answers`.
    """
    session, answers, access = read_session(folder), Answers(folder), access or Access()
    app = FastAPI(
        title="fullband listen",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        length = request.headers.get("content-length", "")
        if request.method == "POST" and not (
            length.isascii() and length.isdecimal() and int(length) <= _LONGEST_BODY
        ):
            response: Response = JSONResponse({"detail": "an answer is shorter"}, 413)
        else:
            response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(FullbandError)
    async def failed(request: Request, error: FullbandError) -> Response:
        return JSONResponse({"detail": "the answers cannot be reached"}, 500)

    @app.exception_handler(RequestValidationError)
    async def refused(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"detail": "that is no answer to this trial"}, 422)

    for path, name in _PAGE.items():
        app.add_api_route(path, _sender(_FILES / name), include_in_schema=False)
    app.include_router(_api(folder, session, answers, access))
    return app


def serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Serve the test in a folder until the process is asked to end.

    Args:
        port: 0 takes a free one.
        token: that listeners' links have to carry.
        say: is told the link to give to listeners.

    Raises:
        SettingsError: others than this machine could reach it, and there is no token; or see
            `create_app`.
        MissingFileError: see `create_app`.
        OutputError: it cannot listen there, or see `create_app`.
    """
    access = Access.at(host, token)

    def tell(address: str) -> None:
        if say is not None:
            say(f"{address}/" + (f"#token={quote(access.token, safe='')}" if access.token else ""))

    run_app(create_app(folder, access), host, port, Limits(), tell)


def _api(folder: Path, session: Session, answers: Answers, access: Access) -> APIRouter:
    """What the page asks for."""

    def allowed(request: Request) -> None:
        if not access.allows(request.headers, request.query_params):
            raise HTTPException(403, "this link lacks its token; ask for the whole link")

    api = APIRouter(prefix="/v1", dependencies=[Depends(allowed)])

    @api.get("/session")
    def about() -> dict[str, Any]:
        """What kind of test it is, before anybody has said who they are."""
        return {
            "id": session.id,
            "kind": session.kind,
            "welcome": session.welcome,
            "trials": session.trials,
            "sample_rate": session.sample_rate,
        }

    @api.post("/listeners")
    def begin(listener: Listener) -> dict[str, Any]:
        """Take part, or go on."""
        code = _code(listener.code)
        if not listener.agrees:
            raise HTTPException(400, "nobody takes part who has not agreed to")
        answers.begin(code)
        return due(code)

    @api.get("/listeners/{code}")
    def due(code: str) -> dict[str, Any]:
        """Where a listener is: the trial that is due, by its number, or none."""
        code = _code(code)
        trials = trials_of(session, code)
        answered = answers.answered(code)
        open_trials = [n for n, trial in enumerate(trials, 1) if trial.key not in answered]
        found: dict[str, Any] = {
            "listener": code,
            "done": len(trials) - len(open_trials),
            "trials": len(trials),
            "trial": None,
        }
        if open_trials:
            trial = trials[open_trials[0] - 1]
            found |= {
                "trial": open_trials[0],
                "stimuli": len(trial.stimuli),
                "duration_s": session.items[trial.item].frames / session.sample_rate,
            }
        return found

    def found(code: str, number: int) -> Trial:
        trials = trials_of(session, code)
        if not 1 <= number <= len(trials):
            raise HTTPException(404, "there is no such trial")
        return trials[number - 1]

    @api.get("/listeners/{code}/trials/{number}/stimuli/{place}")
    def sound(code: str, number: int, place: int) -> Response:
        """A stimulus, as WAV."""
        trial = found(_code(code), number)
        if not 0 <= place < len(trial.stimuli):
            raise HTTPException(404, "there is no such sound")
        file = session.items[trial.item].files[trial.stimuli[place]]
        return Response((folder / file).read_bytes(), media_type="audio/wav")

    def answerable(code: str, number: int) -> tuple[Trial, str]:
        if code not in answers.listeners():
            raise HTTPException(404, "this listener has not begun")
        trial = found(code, number)
        return trial, session.items[trial.item].name

    def rate(code: str, number: int, answer: Rated) -> dict[str, Any]:
        """Store the ratings of a trial; a second answer changes nothing."""
        code = _code(code)
        trial, item = answerable(code, number)
        stimuli = trial.stimuli[1:]  # the open reference is not rated
        if not len(answer.scores) == len(answer.heard_s) == len(stimuli):
            raise HTTPException(400, "every sound needs a rating")
        answers.rate(
            [
                Rating(code, trial.key, item, stimulus, score, place, heard_s, answer.trial_s)
                for place, (stimulus, score, heard_s) in enumerate(
                    zip(stimuli, answer.scores, answer.heard_s, strict=True), start=1
                )
            ]
        )
        return due(code)

    def choose(code: str, number: int, answer: Chosen) -> dict[str, Any]:
        """Store the choice of a trial; a second answer changes nothing."""
        code = _code(code)
        trial, item = answerable(code, number)
        a, b, x = trial.stimuli
        chosen = trial.stimuli[answer.chosen]
        answers.choose(
            Choice(code, trial.key, item, a, b, x, chosen, answer.confidence, answer.trial_s)
        )
        return due(code)

    api.add_api_route(
        "/listeners/{code}/trials/{number}",
        rate if session.kind == "mushra" else choose,
        methods=["POST"],
    )
    return api


def _code(text: str) -> str:
    """A listener's code as it is stored: spaces and capitals make no difference."""
    code = " ".join(text.split()).casefold()
    if len(code) > _LONGEST_CODE or not _CODE.fullmatch(code):
        raise HTTPException(
            400, f"a name or code is up to {_LONGEST_CODE} letters, digits, spaces and any of . - _"
        )
    return code


def _sender(path: Path) -> Callable[[], Response]:
    """Gives a fixed file of the page."""

    def send() -> Response:
        return FileResponse(path)

    return send
