"""Files that nobody vouches for, decoded in a process of their own with limits.

`SandboxedReader` is to its caller what `AudioReader` is, but this process never looks into the
file: a child (`fullband.audio.sandbox_child`) opens and decodes it and sends float32 samples
through a pipe. Its memory and time are limited, it can write no file, and on most systems start no
process. If it crashes, is killed, or says what makes no sense, that is one `AudioFileError`.

The frames on the pipe are `KIND LENGTH PAYLOAD`, a byte, a little-endian 32-bit number and so many
bytes; what the file is comes as JSON, samples as they are in memory. Nothing that is received can
name code, and every frame is checked against what may come.

A child serves one pass over the file, so the limits hold for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

import fullband
from fullband.audio.file import BLOCK_SAMPLES, AudioFile, AudioReader, spooled_input
from fullband.audio.raw import RawFormat
from fullband.audio.samples import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    Audio,
    check_finite,
)
from fullband.errors import AudioError, AudioFileError, DependencyError, MissingFileError, shown
from fullband.settings import build

__all__ = ["Limits", "SandboxedReader", "open_reader"]

_HEAD = struct.Struct("<cI")
_MOST_BYTES = {b"i": 1 << 20, b"b": 4 * BLOCK_SAMPLES + 4 * MAX_CHANNELS, b"e": 1 << 14, b"z": 8}
"""The frames there are (info, block, error, end) and how long each may be."""

_ERRORS = {each.__name__: each for each in (AudioFileError, DependencyError, MissingFileError)}
_START = """\
import json, sys
given = json.loads(sys.argv[1])
sys.path[:] = given.pop("import_from")
from fullband.audio.sandbox_child import main
main(**given)
"""
_KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_PIPE_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What decoding one file may take. Windows keeps `block_s` and `most_s` alone.

    Attributes:
        memory_bytes: address space of the child (Linux; macOS does not keep it reliably).
        cpu_s: seconds of processor time in one pass over the file.
        block_s: seconds until the next block is there, by the clock; also until the file is open.
        most_s: how long the recording may be, by its header and by what comes out, in seconds.
    """

    memory_bytes: int = 1 << 30
    cpu_s: int = 900
    block_s: float = 30.0
    most_s: float = 86_400.0


class SandboxedReader:
    """An open audio file that gives its samples in blocks, decoded by a child with limits.

    Args:
        path: a file, or `-` for standard input, which is kept in a temporary file.
        limits: what the child may take.
        raw: how the samples of a file without a header are stored, see `AudioReader`.

    Raises:
        AudioError: there is no such raw format.
        DependencyError: it needs PyAV, which is not installed.
        MissingFileError: there is no such file.
        AudioFileError: it is not audio that can be read, or decoding it crashed or went beyond a
            limit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        limits: Limits | None = None,
        raw: str | RawFormat | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.name = "standard input" if self.path == "-" else self.path
        self._limits = limits or Limits()
        self._raw = RawFormat.parse(raw) if isinstance(raw, str) else raw
        self._spool: IO[bytes] | None = None
        self._child: _Child | None = None
        try:
            if self.path == "-":
                self._spool = spooled_input()
            self.info = self._begin()
        except BaseException:
            self.close()
            raise

    def blocks(self, most_samples: int = BLOCK_SAMPLES) -> Iterator[Audio]:
        """Every sample from the start, as consecutive `[C, T]` blocks of bounded size.

        Args:
            most_samples: of a block, over all its channels.
        """
        if self._child is None and self._begin() != self.info:
            raise AudioFileError(f"{self.name}: changed while it was read")
        child, self._child = self._child, None
        assert child is not None
        size = max(1, most_samples // self.info.channels)
        with contextlib.closing(child):
            for block in self._checked(child):
                for start in range(0, block.shape[-1], size):
                    yield np.ascontiguousarray(block[:, start : start + size])

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._spool is not None:
            self._spool.close()

    def __enter__(self) -> SandboxedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> AudioFile:
        """Start a child on the file, and hear what the file is."""
        if self._spool is not None:
            self._spool.seek(0)
        self._child = _Child(self.path, self.name, self._limits, self._raw, self._spool)
        kind, payload = self._child.frame()
        if kind != b"i":
            raise self._child.senseless()
        try:
            info = build(AudioFile, json.loads(bytes(payload)), "info")
        except (ValueError, RecursionError):  # SettingsError is the former too
            raise self._child.senseless() from None
        if not (
            info.name == self.name
            and MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE
            and 1 <= info.channels <= MAX_CHANNELS
            and info.frames >= 0
        ):
            raise self._child.senseless()
        self._check_length(info.frames, info.sample_rate)
        return info

    def _checked(self, child: _Child) -> Iterator[Audio]:
        channels, done = self.info.channels, 0
        while True:
            kind, payload = child.frame()
            if kind == b"z" and int.from_bytes(payload, "little") == done:
                return
            if kind != b"b" or not payload or len(payload) % (4 * channels):
                raise child.senseless()
            block = np.frombuffer(payload, np.dtype("<f4")).reshape(channels, -1)
            try:
                check_finite(block, start=done)
            except AudioError as error:
                raise AudioFileError(f"{self.name}: {error}") from None
            done += block.shape[-1]
            self._check_length(done, self.info.sample_rate)
            yield block.astype(np.float32, copy=False)

    def _check_length(self, frames: int, sample_rate: int) -> None:
        if frames > self._limits.most_s * sample_rate:
            raise AudioFileError(
                f"{self.name}: is longer than the {self._limits.most_s:g} s that are allowed"
            )


class _Child:
    """The process that decodes, and the frames that it sends."""

    def __init__(
        self,
        path: str,
        name: str,
        limits: Limits,
        raw: RawFormat | None,
        spool: IO[bytes] | None,
    ) -> None:
        self._name = name
        self._limits = limits
        self._late = False
        given = {
            "path": path,
            "raw": None if raw is None else asdict(raw),
            "limits": asdict(limits),
            "import_from": _import_from(),
        }
        environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
        # A BLAS that starts a thread for each core reserves memory for each; none is needed.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, json.dumps(given)],
            stdin=subprocess.DEVNULL if spool is None else spool,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            pipesize=_PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the child
        )

    def frame(self) -> tuple[bytes, bytearray]:
        """The next frame's kind and payload.

        Raises:
            MissingFileError, AudioFileError, DependencyError: the child says so, or ended, or
                sends what cannot be.
        """
        watchdog = threading.Timer(self._limits.block_s, self._end_late)
        watchdog.daemon = True
        watchdog.start()
        try:
            head = self._read(_HEAD.size)
            kind, length = _HEAD.unpack(head)
            if length > _MOST_BYTES.get(kind, -1):
                raise self.senseless()
            payload = self._read(length)
        finally:
            watchdog.cancel()
        if kind == b"e":
            raise self._told(payload)
        return kind, payload

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def senseless(self) -> AudioFileError:
        """The error that says so of what the child sent."""
        return self._failed("the decoder sent what makes no sense")

    def _read(self, length: int) -> bytearray:
        assert self._process.stdout is not None
        taken = bytearray(length)
        view, done = memoryview(taken), 0
        while done < length:
            more = self._process.stdout.readinto(view[done:])  # type: ignore[attr-defined]
            if not more:
                raise self._ended()
            done += more
        return taken

    def _end_late(self) -> None:
        self._late = True
        self._process.kill()

    def _ended(self) -> AudioFileError:
        """Why the child ended before it had sent all."""
        limits = self._limits
        if self._late:
            return self._failed(f"no block came within {limits.block_s:g} s")
        status = self._process.wait()
        if status >= 0:
            return self._failed("the decoder ended early")
        if -status == getattr(signal, "SIGXCPU", None):
            return self._failed(f"it took more than {limits.cpu_s} s of processor time")
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return self._failed(f"the decoder crashed, {name}")

    def _failed(self, reason: str) -> AudioFileError:
        return AudioFileError(f"{self._name}: cannot be decoded in the sandbox ({reason})")

    def _told(self, payload: bytearray) -> Exception:
        """The child's own error; whatever it says, the message is one line that names the file."""
        kind, _, message = payload.decode("utf-8", "surrogateescape").partition(" ")
        if kind not in _ERRORS or not message:
            return self.senseless()
        if not message.startswith((f"{self._name}: ", f"{shown(self._name)}: ")):
            message = f"{self._name}: {message}"
        return _ERRORS[kind](message)


def open_reader(
    path: str | os.PathLike[str],
    sandbox: Limits | None = None,
    raw: str | RawFormat | None = None,
) -> AudioReader | SandboxedReader:
    """A file's samples: decoded by a child with these limits, or without limits in this process.

    Raises:
        MissingFileError, AudioFileError: see `AudioReader` and `SandboxedReader`.
    """
    return AudioReader(path, raw) if sandbox is None else SandboxedReader(path, sandbox, raw)


def _import_from() -> list[str]:
    """Where the child imports from: as here, but never from the working folder, where hostile files
    may lie."""
    here = str(Path(fullband.__file__).parent.parent)
    folders = [folder for folder in sys.path if folder]
    return folders if here in folders else [*folders, here]
