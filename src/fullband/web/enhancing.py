"""Files over HTTP: a recording in, the wide one out, at once or as a job.

curl -F file=@call.wav 'http://HOST:PORT/v1/enhance?format=flac' -o wide.flac
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import APIKeyQuery, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.types import Message, Receive, Scope, Send

from fullband.audio.samples import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from fullband.card import cards, released
from fullband.enhancement import AUTO, FULL_DETAIL, LOWEST_BANDWIDTH_HZ, Summary
from fullband.models.registry import BASELINES
from fullband.web.jobs import Job, Jobs
from fullband.web.limits import Limits
from fullband.web.refusals import RefusedError, documented
from fullband.web.uploads import MEDIA_TYPES, receive

__all__ = ["router"]

_MEDIA_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
}
_HEARTBEAT_S = 15.0
_FILE = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
        "additionalProperties": False,
    }
}
_BODY = {
    "requestBody": {
        "description": "The recording itself, or a form with it as the field `file`.",
        "required": True,
        "content": {"multipart/form-data": _FORM, **dict.fromkeys(MEDIA_TYPES, _FILE)},
    }
}
_AUDIO = dict.fromkeys(sorted(set(_MEDIA_TYPES.values())), _FILE)
_RESULT_HEADERS = {
    "Fullband-Model": {"description": "What it was enhanced with.", "schema": {"type": "string"}},
    "Fullband-Notes": {
        "description": "What was chosen or could not be kept.",
        "schema": {"type": "string"},
    },
}


def allowed(
    request: Request,
    bearer: Annotated[Any, Security(HTTPBearer(auto_error=False, description="The token."))],
    token: Annotated[Any, Security(APIKeyQuery(name="token", auto_error=False))],
) -> None:
    """Keep out who does not know the token, or comes from another site's page."""
    access = request.app.state.access
    if not access.knows(request.headers, request.query_params):
        raise RefusedError(401, "give the server's token: -H 'Authorization: Bearer TOKEN'")
    if not access.same_site(request.headers):
        raise RefusedError(403, "pages of other sites may not ask; --allow-origin allows one")


router = APIRouter(
    prefix="/v1", dependencies=[Depends(allowed)], responses=documented(401, 403, 500)
)


class Parameters(BaseModel):
    """What is done to a file."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        AUTO,
        description="A name of `/v1/models`.",
        json_schema_extra=lambda schema: schema.update(enum=[*_model_names()]),
    )
    rate: int | None = Field(
        None,
        ge=MIN_SAMPLE_RATE,
        le=MAX_SAMPLE_RATE,
        description="Of the result, in Hz; the model's, or the file's where that is higher.",
    )
    detail: float = Field(
        FULL_DETAIL, ge=0, le=1, description="How much of the new band is added, 0 to 1."
    )
    bandwidth_hz: float | None = Field(
        None,
        ge=LOWEST_BANDWIDTH_HZ,
        le=MAX_SAMPLE_RATE / 2,
        description="Where the file's content ends; measured unless it is given.",
    )
    format: Literal["wav", "flac", "ogg", "opus", "mp3"] = Field(
        "wav", description="Of the result."
    )
    filename: str = Field("", max_length=1000, description="What messages call a raw body.")
    wait: bool = Field(True, description="Answer with the result; `false` answers with a job.")
    token: str | None = Field(None, description="The server's, where no header has it.")

    @field_validator("model")
    @classmethod
    def _is_known(cls, name: str) -> str:
        """Names alone: a path would open files of the server."""
        if name not in _model_names():
            raise ValueError(f"is one of {', '.join(_model_names())}")
        return name


class Result(BaseModel):
    """What has become of a file."""

    audio: str = Field(description="Where it is.")
    bytes: int
    sample_rate: int = Field(description="Hz")
    frames: int = Field(description="Samples of each channel.")
    channels: int
    model: str
    bandwidth_hz: float = Field(description="Where the content of the file that came ends.")
    added: bool = Field(description="Whether anything was missing.")
    notes: list[str] = Field(description="What was chosen, limited or could not be kept.")


class JobStatus(BaseModel):
    """A job, now."""

    id: str
    file: str = Field(description="What the client calls it.")
    state: Literal["queued", "running", "done", "failed"]
    progress: float = Field(ge=0, le=1)
    error: str | None = None
    kept_until: datetime.datetime | None = None
    result: Result | None = None


class ModelInfo(BaseModel):
    """A model that can be asked for."""

    name: str
    summary: str
    sample_rate: int | None = Field(default=None, description="Of the result, Hz.")
    parameters: int | None = None
    licence: str | None = None


@router.post(
    "/enhance",
    response_class=Response,
    responses={
        200: {"description": "The wide file.", "content": _AUDIO, "headers": _RESULT_HEADERS},
        202: {"model": JobStatus, "description": "A job that was begun; Location says where."},
        **documented(400, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra=_BODY,
)
async def enhance(request: Request, parameters: Annotated[Parameters, Query()]) -> Response:
    """Enhance a file. The answer is the wide file, or with `wait=false` (or the header
    `Prefer: respond-async`) a job."""
    jobs: Jobs = request.app.state.jobs
    limits: Limits = request.app.state.limits
    options = parameters.model_dump(include={"rate", "detail", "bandwidth_hz"})
    job = jobs.admit(parameters.model, parameters.format, options)
    try:
        grown = functools.partial(jobs.grow, job)
        coming = receive(request, job.source, limits, parameters.filename, grown)
        await jobs.take(job, coming)
        if not parameters.wait or _prefers_a_job(request):
            headers = {"location": f"/v1/jobs/{job.id}", "preference-applied": "respond-async"}
            return JSONResponse(_status(job).model_dump(mode="json"), 202, headers)
        await _ended_or_left(job, request)
    except BaseException:
        jobs.forget(job)
        raise
    if job.error is not None:
        jobs.forget(job)
        return job.error.response()
    return _Audio(jobs, job, limits.idle_s, once=True)


@router.get("/jobs/{job_id}", responses=documented(404, 422))
async def job_status(request: Request, job_id: str) -> JobStatus:
    """How far a job is, or what has become of it."""
    return _status(request.app.state.jobs.find(job_id))


@router.get(
    "/jobs/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events `queued`, `progress`, `done` and `failed`; their data is the "
            "job's status as JSON. The last two end the stream.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **documented(404, 422),
    },
)
async def job_events(request: Request, job_id: str) -> Response:
    """The same as server-sent events, as it changes."""
    job = request.app.state.jobs.find(job_id)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(job), media_type="text/event-stream", headers=headers)


async def job_audio(request: Request, job_id: str) -> Response:
    """The wide file of a job that is done; ranges of it too."""
    jobs: Jobs = request.app.state.jobs
    job = jobs.find(job_id)
    if job.error is not None:
        return job.error.response()
    if not job.has_ended:
        line = f"{job.name}: has not been done yet; ask /v1/jobs/{job.id}"
        raise RefusedError(409, line, retry_s=1.0)
    return _Audio(jobs, job, request.app.state.limits.idle_s)


for _method in ("GET", "HEAD"):
    router.add_api_route(
        "/jobs/{job_id}/audio",
        job_audio,
        methods=[_method],
        operation_id=f"{_method.lower()}_job_audio",
        response_class=Response,
        responses={
            200: {"description": "The wide file.", "content": _AUDIO, "headers": _RESULT_HEADERS},
            206: {"description": "The range that is asked for.", "content": _AUDIO},
            **documented(400, 404, 409, 413, 415, 416, 422, 503),
        },
    )


@router.delete("/jobs/{job_id}", status_code=204, responses=documented(404, 422))
async def delete_job(request: Request, job_id: str) -> None:
    """End a job if it has not ended, and forget it and its files."""
    jobs: Jobs = request.app.state.jobs
    jobs.forget(jobs.find(job_id))


@router.get("/models")
async def models() -> list[ModelInfo]:
    """What `model` takes."""
    automatic = ModelInfo(name=AUTO, summary="`music` for music and `speech` for all else")
    computed = [ModelInfo(name=name, summary=what) for name, what in BASELINES.items()]
    trained = [
        ModelInfo(
            name=card.name,
            summary=card.summary,
            sample_rate=card.sample_rate,
            parameters=card.parameters,
            licence=card.licence,
        )
        for card in cards()
    ]
    return [automatic, *trained, *computed]


class _Audio(FileResponse):
    """A job's result on its way out; the job is not removed before it is sent.

    Args:
        idle_s: for how long the client may take nothing.
        once: whether the job is forgotten then.
    """

    def __init__(self, jobs: Jobs, job: Job, idle_s: float, once: bool = False) -> None:
        assert job.summary is not None
        headers = {"fullband-model": job.summary.model}
        if notes := "; ".join(_notes(job.summary, job)):
            headers["fullband-notes"] = notes.encode("ascii", "backslashreplace").decode()
        super().__init__(
            job.target,
            headers=headers,
            media_type=_MEDIA_TYPES[job.target.suffix[1:]],
            filename=job.result_name,
        )
        self._jobs, self._job, self._idle_s, self._once = jobs, job, idle_s, once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._job.readers += 1
        try:
            await super().__call__(scope, receive, self._in_time(send))
        except asyncio.TimeoutError:
            pass  # the client reads no more; the connection is closed on it
        finally:
            self._job.readers -= 1
            if self._once:
                self._jobs.forget(self._job)
            else:
                self._jobs.release(self._job)

    def _in_time(self, send: Send) -> Send:
        """To a client that may not take for ever; what cannot be sent is said in JSON."""
        refused: list[bytes] = []

        async def timely(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                line = f"{self._job.result_name}: has no such range; ask for all of it"
                refused.append(json.dumps({"error": line}).encode())
                kept = [pair for pair in message["headers"] if pair[0] == b"content-range"]
                length = str(len(refused[0])).encode()
                told = [(b"content-type", b"application/json"), (b"content-length", length)]
                message = {**message, "headers": kept + told}
            elif refused:
                message = {"type": "http.response.body", "body": refused[0]}
            await asyncio.wait_for(send(message), self._idle_s)

        return timely


def _model_names() -> list[str]:
    return [AUTO, *released(), *BASELINES]


def _prefers_a_job(request: Request) -> bool:
    wishes = ",".join(request.headers.getlist("prefer")).lower().split(",")
    return any(wish.split(";")[0].strip() == "respond-async" for wish in wishes)


async def _ended_or_left(job: Job, request: Request) -> None:
    """Wait until a job has ended; if its client leaves before, there is no reason to go on."""
    ending = asyncio.ensure_future(job.ended())
    leaving = asyncio.ensure_future(request.receive())  # behind the body nothing else comes
    try:
        await asyncio.wait({ending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            raise RefusedError(400, f"{job.name}: nobody waits for it any more")
    finally:
        for waiting in (ending, leaving):
            waiting.cancel()


def _notes(summary: Summary, job: Job) -> list[str]:
    """What the client should know of its result, in its own words."""
    said = (*summary.notes, *summary.warnings)
    return [note.replace(str(job.source), job.name) for note in said]


def _status(job: Job) -> JobStatus:
    result = None
    if job.summary is not None:
        heard = job.summary.analysis
        result = Result(
            audio=f"/v1/jobs/{job.id}/audio",
            bytes=job.bytes,
            sample_rate=job.summary.target_rate,
            frames=job.summary.frames,
            channels=heard.channels,
            model=job.summary.model,
            bandwidth_hz=round(heard.bandwidth_hz, 1),
            added=job.summary.added,
            notes=_notes(job.summary, job),
        )
    until = job.keeps_until_s
    return JobStatus(
        id=job.id,
        file=job.name,
        state="queued" if job.state == "receiving" else job.state,
        progress=round(job.progress, 4),
        error=None if job.error is None else job.error.error,
        kept_until=None
        if until is None
        else datetime.datetime.fromtimestamp(until, datetime.timezone.utc),
        result=result,
    )


async def _events(job: Job) -> AsyncIterator[str]:
    async for changed in job.changes(_HEARTBEAT_S):
        if not changed:
            yield ": still here\n\n"
            continue
        status = _status(job)
        name = "progress" if status.state == "running" else status.state
        yield f"event: {name}\ndata: {status.model_dump_json()}\n\n"
