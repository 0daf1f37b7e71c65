"""Files that come as bodies of requests, into a file on the disk as they come.

A body is the file itself, or `multipart/form-data` with the file as its field `file`. What it holds
is judged by its content later; its media type only says whether that may be audio, and for samples
without a header how they are stored.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from fullband.audio.raw import RawFormat
from fullband.errors import AudioError, shown
from fullband.web.limits import Limits
from fullband.web.refusals import RefusedError

__all__ = ["MEDIA_TYPES", "Upload", "receive"]

MEDIA_TYPES = ("audio/*", "video/*", "application/octet-stream", "application/ogg")
"""What a file may be sent as; without a type too."""

_RAW = {"audio/pcmu": "mulaw", "audio/pcma": "alaw", "audio/g722": "g722", "audio/gsm": "gsm"}
_RAW_SUFFIXES = (".g722", ".722")
_LONGEST_NAME = 100
_UNHEARD = logging.Logger("forms", logging.CRITICAL + 1)
_HOW = "send it with -H 'Content-Type: audio/wav', or as form-data: -F file=@call.wav"


@dataclass(frozen=True)
class Upload:
    """A file that has come.

    Attributes:
        name: what the client calls it, without folders, printable.
        bytes: how long it is.
        raw: how its samples are stored, if it has no header.
    """

    name: str
    bytes: int
    raw: RawFormat | None


async def receive(
    request: Request, path: Path, limits: Limits, filename: str, grown: Callable[[int], None]
) -> Upload:
    """Write a request's file to a path; what is in memory is no more than a part of it.

    Args:
        filename: what the client calls the file, where its body is the file itself.
        grown: is told how long the file is by now.

    Raises:
        RefusedError: 400, it is empty, broken off or not well formed; 408, it did not come in time;
            413, it is too large; 415, it is not sent as audio; 422, it is not the one field.
    """
    body = _body(request, filename)
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limits.upload_bytes:
        raise _too_large(body.name, limits)
    taken = written = 0
    with path.open("wb") as file:

        def write(chunk: bytes) -> int:
            return file.write(body.push(chunk))

        async for chunk in _in_time(request, body, limits):
            taken += len(chunk)
            if taken > limits.upload_bytes:
                raise _too_large(body.name, limits)
            written += await asyncio.to_thread(write, chunk)  # a disk may take its time
            grown(written)
    body.finish()
    if not written:
        raise RefusedError(400, f"{body.name}: is empty; send the audio as the request's body")
    return Upload(body.name, written, body.raw)


async def _in_time(request: Request, body: _Body, limits: Limits) -> AsyncIterator[bytes]:
    """The parts of a body, no longer apart and no later than they may be."""
    parts = request.stream()
    ends_s = time.monotonic() + limits.upload_s
    try:
        while True:
            waits_s = min(limits.idle_s, ends_s - time.monotonic())
            chunk = await asyncio.wait_for(anext(parts), max(0.0, waits_s))
            if not chunk:
                return
            yield chunk
    except asyncio.TimeoutError:
        raise RefusedError(408, f"{body.name}: did not come in time; send it again") from None
    except ClientDisconnect:
        raise RefusedError(400, f"{body.name}: was broken off; send it again") from None


def _too_large(name: str, limits: Limits) -> RefusedError:
    most = limits.upload_bytes / (1 << 20)
    return RefusedError(413, f"{name}: is larger than the {most:g} MiB that are taken; send less")


class _Body:
    """A body that is the file itself.

    Attributes:
        name, raw: as those of `Upload`.
    """

    name = "upload"
    raw: RawFormat | None = None

    def __init__(self, content_type: str, name: str) -> None:
        self._is(content_type, name)

    def push(self, chunk: bytes) -> bytes:
        """What of the next part belongs to the file."""
        return chunk

    def finish(self) -> None:
        """No more comes. Raises `RefusedError` where there should."""

    def _is(self, content_type: str, name: str) -> None:
        """Take notice of what the file is called and sent as."""
        name = re.split(r"[/\\]", name)[-1]
        self.name = shown(name)[:_LONGEST_NAME] or "upload"
        kind, options = parse_options_header(content_type)
        media = kind.decode("latin-1")
        if media and not _may_be_audio(media):
            raise RefusedError(415, f"{self.name}: '{media[:40]}' is not audio; {_HOW}")
        self.raw = _raw_format(self.name, media, options)


class _Form(_Body):
    """A body of `multipart/form-data` with one field, `file`."""

    def __init__(self, boundary: bytes) -> None:
        self._data = bytearray()
        self._header = [bytearray(), bytearray()]
        self._headers: dict[bytes, bytes] = {}
        self._found = self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": lambda data, start, end: self._heard(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._heard(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise self._malformed() from None
        self._parser.logger = _UNHEARD  # what is wrong with a form is told to its sender

    def push(self, chunk: bytes) -> bytes:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise self._malformed() from None
        data = bytes(self._data)
        self._data.clear()
        return data

    def finish(self) -> None:
        if not self._ended:
            raise self._malformed()
        if not self._found:
            raise RefusedError(422, "upload: the form has no field 'file'; -F file=@call.wav")

    def _malformed(self) -> RefusedError:
        return RefusedError(400, f"{self.name}: is not a whole multipart/form-data; send it again")

    def _heard(self, which: int, data: bytes) -> None:
        self._header[which] += data

    def _end_header(self) -> None:
        name, value = (bytes(each) for each in self._header)
        self._headers[name.lower()] = value
        self._header = [bytearray(), bytearray()]

    def _begin_part(self) -> None:
        told = self._headers.get(b"content-disposition", b"").decode("utf-8", "replace")
        options = _options(told)
        field = options.get("name", "")
        if field != "file" or self._found:
            what = "a second field 'file'" if field == "file" else f"a field '{field[:40]}'"
            line = f"upload: the form has {what}; one file is taken, as the field 'file'"
            raise RefusedError(422, line)
        self._found = True
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self._is(content_type, options.get("filename", ""))

    def _end(self) -> None:
        self._ended = True


def _body(request: Request, filename: str) -> _Body:
    content_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _Form(options.get(b"boundary", b""))
    return _Body(content_type, filename)


def _options(header: str) -> dict[str, str]:
    """What a header says behind its first semicolon; names are UTF-8, as browsers send them."""
    found = re.findall(r';\s*([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', header)
    return {key.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for key, quoted, bare in found}


def _may_be_audio(media: str) -> bool:
    return media in MEDIA_TYPES or media.startswith(("audio/", "video/"))


def _raw_format(name: str, media: str, options: dict[bytes, bytes]) -> RawFormat | None:
    """How samples without a header are stored, by a media type of RFC 3551 or the file's name."""
    coding = _RAW.get(media)
    if coding is None:
        is_raw = name.lower().endswith(_RAW_SUFFIXES)
        return RawFormat.parse("g722") if is_raw else None
    rate, channels = (options.get(key, b"").decode("latin-1") for key in (b"rate", b"channels"))
    if coding == "g722":
        rate = ""  # RFC 3551 says 8000 of G.722, which is wrong and stays so
    told = f"{coding}:{rate}" if rate else coding
    if channels:
        told = f"{coding}:{rate or '8000'}:{channels}"
    try:
        return RawFormat.parse(told)
    except AudioError as error:
        raise RefusedError(422, f"{name}: {error}") from None
