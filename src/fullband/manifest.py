"""What a batch has done, as JSON lines: one file that is appended to and never rewritten.

A line is an `Entry`. Before a result gets its name, a line says `written`, with the result's
digest; once it has it, another says `done`. So whatever moment a batch is stopped at, the manifest
tells which results are its own and whole: those whose content has the digest of their last line.
Of each target the last line that says `done` counts.

A manifest is locked while a batch writes to it, and the last line is repaired if a crash cut it.
What is to be done again, and what not, is decided elsewhere (`fullband.batch_run`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

from fullband.errors import OutputError

__all__ = ["MANIFEST_NAME", "Entry", "Manifest", "read_entries", "sha256_of"]

MANIFEST_NAME = "fullband.jsonl"
"""What it is called in the folder of a batch's results."""

_BEGINNING = b'{"state": "'  # of every line: what is not ours is not repaired
_LOCKED_AT = 0x7FFF_0000  # far behind any content, where the lock cannot stop a reader


@dataclass(frozen=True)
class Entry:
    """What became of one file.

    Attributes:
        state: `written`, the result is whole and about to get its name; `done`, it has it;
            `failed`, see `error`.
        target: relative to the manifest's folder where it lies below it.
        source: absolute, or an address.
        source_sha256, source_bytes: of the file as it was read.
        target_sha256, target_bytes: of the result; of one that failed, where it was whole and did
            not get its name.
        source_rate, target_rate: samples per second.
        bandwidth_hz: where the source's content ends.
        model: the model that was used, also where it was chosen by `auto`.
        model_sha256: of the model's file; None for a baseline, which has none.
        settings: what was asked for, as far as it differs from the defaults.
        seconds: the time it took.
        finished: when, in UTC.
        version: of fullband.
    """

    state: Literal["written", "done", "failed"]
    target: str
    source: str
    source_sha256: str | None = None
    source_bytes: int | None = None
    target_sha256: str | None = None
    target_bytes: int | None = None
    source_rate: int | None = None
    target_rate: int | None = None
    channels: int | None = None
    duration_s: float | None = None
    bandwidth_hz: float | None = None
    model: str | None = None
    model_sha256: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    finished: str | None = None
    version: str | None = None

    def line(self) -> bytes:
        """The entry as a line of JSON, in ASCII: no name can break it, whatever bytes it has."""
        values = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return json.dumps(values).encode("ascii") + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Entry | None:
        """The entry that a line holds; None where it holds none. Fields of other versions are
        passed over."""
        try:
            values = json.loads(line)
            known = {part.name for part in dataclasses.fields(cls)}
            values = {name: value for name, value in values.items() if name in known}
            entry = cls(**{**values, "warnings": tuple(values.get("warnings", ()))})
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
        return entry if isinstance(entry.target, str) else None


def read_entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Every entry of a manifest, in the order that things happened; a cut line is passed over.

    Raises:
        OutputError: the file is not a manifest.
    """
    with Path(path).open("rb") as file:
        _check(file, os.fspath(path))
        for line in file:
            entry = Entry.of(line)
            if entry is not None:
                yield entry


class Manifest:
    """A manifest with a batch's hands on it: what is known of a target, and lines added to it.

    In memory it keeps the place of the last line about each target, not the lines.

    Args:
        read_only: only look, without a lock; the file need not be there.

    Raises:
        OutputError: the file is something else, cannot be written, or another batch has it.
    """

    def __init__(self, path: str | os.PathLike[str], read_only: bool = False) -> None:
        self.path = Path(path)
        self._folder = os.path.abspath(self.path.parent)
        self._done: dict[str, int] = {}  # where the last line stands that says so, by target
        self._written: dict[str, int] = {}  # the same, where it is not known that it got its name
        self._file: IO[bytes] | None = None
        if read_only and not self.path.exists():
            return
        try:
            if not read_only:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("rb" if read_only else "a+b", buffering=0)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise OutputError(
                f"{self.path}: cannot be written ({reason}); --manifest names another place"
            ) from None
        try:
            self._begin(read_only)
        except BaseException:
            self.close()
            raise

    def key(self, target: str) -> str:
        """How a target is called in here: by its place relative to the manifest, so that a folder
        of results can be moved."""
        path = os.path.abspath(target)
        inside = path.startswith(self._folder.rstrip(os.sep) + os.sep)
        return Path(os.path.relpath(path, self._folder)).as_posix() if inside else path

    def last(self, target: str) -> Entry | None:
        """The last entry that says `done` of a target, or `written` where a crash came after it."""
        key = self.key(target)
        place = self._written.get(key, self._done.get(key))
        if place is None or self._file is None:
            return None
        self._file.seek(place)
        return Entry.of(_line_from(self._file))

    def made(self, path: str) -> bool:
        """Whether what is there under a name was put there by these batches: where a line says
        `done`, or where it is what a line before a crash says was `written`."""
        key = self.key(path)
        if key in self._done or key not in self._written:
            return key in self._done
        written = self.last(path)
        digest = None if written is None else written.target_sha256
        return Path(path).is_file() and sha256_of(path) == digest

    def append(self, entries: Iterable[Entry], durable: bool = True) -> None:
        """Add entries, all or none.

        Args:
            durable: return once they are on the disk.

        Raises:
            OutputError: the disk is full, or the file cannot be written any more.
        """
        assert self._file is not None
        entries = list(entries)
        end = self._file.seek(0, os.SEEK_END)
        lines = [entry.line() for entry in entries]
        content = b"".join(lines)
        try:
            if self._file.write(content) != len(content):
                raise OSError("no space left on device")
            if durable:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{self.path}: could not be written ({reason})") from None
        for entry, line in zip(entries, lines, strict=True):
            self._note(entry, end)
            end += len(line)

    def close(self) -> None:
        """Have every entry on the disk, and close the file, which also unlocks it."""
        if self._file is None or self._file.closed:
            return
        try:
            if self._file.writable():
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, read_only: bool) -> None:
        assert self._file is not None
        if not read_only and not _lock(self._file):
            raise OutputError(
                f"{self.path}: another batch is at work here; wait for it, or choose another output"
            )
        _check(self._file, str(self.path))
        end = 0
        with self.path.open("rb") as lines:
            for line in lines:
                entry = Entry.of(line)
                if not line.endswith(b"\n"):
                    if not read_only:
                        self._repair(end, entry)
                    if entry is None:
                        break
                if entry is not None:
                    self._note(entry, end)
                end += len(line)

    def _repair(self, end: int, entry: Entry | None) -> None:
        """The last line has no end: a crash cut it, or an editor took the line feed away."""
        assert self._file is not None
        if entry is None:
            self._file.truncate(end)
        else:
            self._file.write(b"\n")
        os.fsync(self._file.fileno())

    def _note(self, entry: Entry, place: int) -> None:
        if entry.state == "written":
            self._written[entry.target] = place
        elif entry.state == "done" or entry.target_sha256 is not None:
            # Not where a file failed before there was a result: one that a run before wrote, and
            # was killed, may have its name.
            self._written.pop(entry.target, None)
        if entry.state == "done":
            self._done[entry.target] = place


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 18))
    with Path(path).open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
    return digest.hexdigest()


def _line_from(file: IO[bytes]) -> bytes:
    """The line that begins where an unbuffered file stands."""
    pieces = []
    while piece := file.read(1 << 12):
        head, feed, _ = piece.partition(b"\n")
        pieces.append(head)
        if feed:
            break
    return b"".join(pieces)


def _check(file: IO[bytes], name: str) -> None:
    """Refuse a file that is not a manifest, before anything is repaired in it."""
    file.seek(0)
    beginning = file.read(len(_BEGINNING))
    file.seek(0)
    if not _BEGINNING.startswith(beginning):
        raise OutputError(f"{name}: is not a manifest of fullband; --manifest names another place")


def _lock(file: IO[bytes]) -> bool:
    """Take the lock that lasts until the file is closed, also by the end of the process.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_AT)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
