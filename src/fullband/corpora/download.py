"""One file over HTTP, however often the connection breaks.

What has arrived is kept in `NAME.part`, with what the server said about the file in
`NAME.part.json`. A download that was cut, by the network or by the user, goes on from there with a
Range request; If-Range makes the server send the whole file instead where it has changed. A server
that knows no ranges sends the whole file too. The name appears when length and checksum are right.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fullband.errors import DownloadError, OutputError
from fullband.version import __version__

__all__ = ["Report", "check_room", "download", "file_digest"]

Report = Callable[[str, int, int], None]
"""Told what is going on, how much of it is done, and how much it is (0 where nobody knows)."""

_BLOCK = 1 << 20
_LONGEST_WAIT_S = 60.0
_PASSING = (408, 425, 429)  # refusals that may be over soon, as all from 500 are


class _InterruptedError(Exception):
    """A transfer that may work when it is tried again."""


def download(
    url: str,
    target: Path,
    size_bytes: int | None = None,
    algorithm: str = "sha256",
    digest: str | None = None,
    room_bytes: int = 0,
    report: Report | None = None,
    attempts: int = 6,
    first_wait_s: float = 1.0,
    timeout_s: float = 60.0,
) -> None:
    """Bring a file here, or go on with it; nothing is done where it is here already.

    Args:
        size_bytes: how long the file is; None where that is not known.
        digest: its checksum in hexadecimal, by the hash of name `algorithm`; None checks nothing.
        room_bytes: how much of the disk must stay free for what comes after.
        attempts: in a row without a byte more than before.
        first_wait_s: before the second attempt; doubles with each.
        timeout_s: without a byte.

    Raises:
        DownloadError: it cannot be had, or is not the file that was expected.
        OutputError: it cannot be written, or the disk is too small.
    """
    tell = report or (lambda *_: None)
    part = target.with_name(f"{target.name}.part")
    about = target.with_name(f"{target.name}.part.json")
    if target.is_file():
        _check(target, target, url, size_bytes, algorithm, digest, tell)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target.parent}: cannot be made ({_reason(error)})") from None
    furthest, failures = _size(part), 0
    while True:
        try:
            _transfer(url, part, about, size_bytes, digest is not None, room_bytes, tell, timeout_s)
            break
        except _InterruptedError as error:
            failures = 1 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures >= attempts:
                raise DownloadError(
                    f"{url}: {error}; {_size(part)} bytes are kept, the same command goes on there"
                ) from None
            time.sleep(min(_LONGEST_WAIT_S, first_wait_s * 2 ** (failures - 1)))
    try:
        _check(part, target, url, size_bytes, algorithm, digest, tell)
    except DownloadError:
        part.unlink()
        about.unlink(missing_ok=True)
        raise
    os.replace(part, target)
    about.unlink(missing_ok=True)


def check_room(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        OutputError: less is free than needed.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OutputError(
            f"{folder}: {what} needs {_gigabytes(needed_bytes)}, {_gigabytes(free)} are free; "
            "free some or choose another disk with --to"
        )


def file_digest(path: Path, algorithm: str, report: Report | None = None) -> str:
    """The checksum of a file in hexadecimal."""
    # hashlib.file_digest is newer than the oldest Python that fullband runs on.
    hashed = hashlib.new(algorithm, usedforsecurity=False)
    done, total = 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
            done += len(block)
            if report is not None:
                report("checking", done, total)
    return hashed.hexdigest()


def _transfer(
    url: str,
    part: Path,
    about: Path,
    size_bytes: int | None,
    resume_unmarked: bool,
    room_bytes: int,
    report: Report,
    timeout_s: float,
) -> None:
    """Ask for what is missing and append it to the part until it is whole."""
    known = _known(about, url)
    have = _size(part) if known else 0
    mark = known.get("mark")
    if not mark and not resume_unmarked:
        have = 0  # nothing would tell whether what is here belongs to what would come
    if have and have == known.get("total"):
        return
    headers = {"User-Agent": f"fullband/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark:
            headers["If-Range"] = mark
    with _open(urllib.request.Request(url, headers=headers), part, timeout_s) as response:
        if response.status == 206:
            start, total = _range(response.headers.get("Content-Range", ""))
            now = _mark(response.headers)
            if start != have or total != known.get("total") or (mark and now and now != mark):
                part.unlink(missing_ok=True)
                raise _InterruptedError("the file has changed on the server")
        else:
            have = 0
            total = _length(response.headers)
        if size_bytes is not None and total not in (None, size_bytes):
            raise DownloadError(
                f"{url}: is {total} bytes long and should be {size_bytes}: the server has another "
                "file there than the one this version of fullband knows"
            )
        check_room(part.parent, (total or size_bytes or 0) - have + room_bytes, "it")
        try:
            with part.open("ab" if have else "wb") as out:
                if not have:
                    kept = {"url": url, "mark": _mark(response.headers), "total": total}
                    about.write_text(json.dumps(kept), encoding="utf-8")
                while block := _read(response):
                    out.write(block)
                    have += len(block)
                    report("downloading", have, total or 0)
        except OSError as error:
            raise OutputError(
                f"{part}: cannot be written ({_reason(error)}); what is there is kept, the same "
                "command goes on with it"
            ) from None
    if total is not None and have != total:
        raise _InterruptedError(f"the connection ended after {have} of {total} bytes")


def _open(request: urllib.request.Request, part: Path, timeout_s: float) -> Any:
    url = request.full_url
    if not url.lower().startswith(("http://", "https://")):
        raise DownloadError(f"{url}: only http and https are fetched")
    try:
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is here goes beyond the end of what is there
            part.unlink(missing_ok=True)
            raise _InterruptedError("the file has changed on the server") from None
        said = f"the server says {error.code} {error.reason}"
        if error.code in _PASSING or error.code >= 500:
            raise _InterruptedError(said) from None
        raise DownloadError(f"{url}: {said}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{url}: the server's certificate is not trusted ({error.reason.verify_message})"
            ) from None
        raise _InterruptedError(f"no connection ({_reason(error.reason)})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"no answer ({_reason(error)})") from None


def _read(response: Any) -> bytes:
    try:
        block: bytes = response.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(f"the connection broke ({_reason(error)})") from None
    return block


def _check(
    path: Path,
    target: Path,
    url: str,
    size_bytes: int | None,
    algorithm: str,
    digest: str | None,
    report: Report,
) -> None:
    """Compare length and checksum with what they should be."""
    deleted = "it was deleted; try again" if path != target else "delete it and try again"
    size = _size(path)
    if size_bytes is not None and size != size_bytes:
        raise DownloadError(f"{target}: is {size} bytes long, not {size_bytes}; {deleted}")
    if digest is not None:
        found = file_digest(path, algorithm, report)
        if found != digest.lower():
            raise DownloadError(
                f"{target}: its {algorithm} is {found}, not {digest}, as of {url}; {deleted}"
            )


def _known(about: Path, url: str) -> dict[str, Any]:
    """What was noted about the part, if it is of this URL."""
    with contextlib.suppress(OSError, ValueError):
        noted = json.loads(about.read_text(encoding="utf-8"))
        if isinstance(noted, dict) and noted.get("url") == url:
            return noted
    return {}


def _mark(headers: http.client.HTTPMessage) -> str | None:
    """What If-Range may name: a strong entity tag, else the date of the last change."""
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return headers.get("Last-Modified")


def _length(headers: http.client.HTTPMessage) -> int | None:
    stated = headers.get("Content-Length", "")
    return int(stated) if stated.isdigit() else None


def _range(stated: str) -> tuple[int | None, int | None]:
    """Where a partial answer begins, and how long the whole is."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", stated.strip())
    return (int(match[1]), int(match[2])) if match else (None, None)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _reason(error: object) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0].lower()


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
