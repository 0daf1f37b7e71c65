"""The process that decodes one untrusted file for `fullband.audio.sandbox`, and its limits.

It imports what decoding needs, gives up what it can, opens the file, and sends what
`fullband.audio.sandbox` describes on what was its standard output.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import struct
import sys
from typing import IO, Any

import numpy as np

from fullband.audio.file import AudioReader
from fullband.audio.raw import RawFormat
from fullband.errors import FullbandError

__all__ = ["main"]

_CREATE_RULESET, _RESTRICT_SELF, _NO_NEW_PRIVILEGES = 444, 446, 38
_ALL_OF_FILES = (
    *("execute", "write_file", "read_file", "read_dir", "remove_dir", "remove_file", "make_char"),
    *("make_dir", "make_reg", "make_sock", "make_fifo", "make_block", "make_sym"),
    *("refer", "truncate"),
)
"""Landlock's rights to files, by bit; the last two came later."""

_SPARE_S = 2  # after the signal that says that the time is over, until the one that ends


def main(path: str, limits: dict[str, Any], raw: dict[str, Any] | None = None) -> None:
    """Send the file's samples as frames, then end; an error ends them."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries that print print there
        with contextlib.suppress(BrokenPipeError):
            try:
                _import_decoders()
                _give_up_rights()
                _keep_to(limits["memory_bytes"], limits["cpu_s"])
                _decode(path, None if raw is None else RawFormat(**raw), out)
            except FullbandError as error:
                _send_error(out, type(error).__name__, str(error))
            except MemoryError:
                most = limits["memory_bytes"] >> 20
                _send_error(out, "AudioFileError", f"decoding needs more than {most} MiB")
            except Exception as error:  # it is this process's work to end in one line
                reason = f"cannot be decoded ({type(error).__name__}: {error})"
                _send_error(out, "AudioFileError", " ".join(reason.split()))
            out.flush()
    os._exit(0)  # nothing that a damaged library has left for the end is run


def _import_decoders() -> None:
    """Have loaded what is loaded late, before there are limits."""
    with contextlib.suppress(ImportError):
        import av  # noqa: F401


def _decode(path: str, raw: RawFormat | None, out: IO[bytes]) -> None:
    with AudioReader(path, raw) as reader:
        notes = reader.info.notes
        if reader.source.tags or reader.info.moving:
            notes += ("tags and pictures of a file that is decoded in the sandbox stay behind",)
        info = dataclasses.replace(reader.info, notes=notes)
        _send(out, b"i", json.dumps(dataclasses.asdict(info)).encode())
        out.flush()
        done = 0
        for block in reader.blocks():
            _send(out, b"b", np.ascontiguousarray(block, np.dtype("<f4")).data.cast("B"))
            done += block.shape[-1]
        _send(out, b"z", done.to_bytes(8, "little"))


def _send(out: IO[bytes], kind: bytes, payload: bytes | memoryview) -> None:
    out.write(struct.pack("<cI", kind, len(payload)))
    out.write(payload)


def _send_error(out: IO[bytes], kind: str, message: str) -> None:
    _send(out, b"e", f"{kind} {message}".encode("utf-8", "surrogateescape")[: 1 << 12])


def _give_up_rights() -> None:
    """Have the kernel refuse this process to write, make and run files, and to use TCP.

    Landlock, Linux 5.13 and later; elsewhere nothing happens. It has no wrapper in the C library;
    the numbers of its calls are the same on every architecture.
    """
    if sys.platform != "linux":
        return
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    files = _ALL_OF_FILES[: 13 if version < 2 else 14 if version < 3 else 15]
    refused = sum(1 << bit for bit, name in enumerate(files) if not name.startswith("read"))
    network, signals = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    rules = (ctypes.c_uint64 * 3)(refused, network, signals)
    size = 8 * (3 if signals else 2 if network else 1)
    ruleset = call(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset >= 0 and not ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        call(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def _keep_to(memory_bytes: int, cpu_s: int) -> None:
    """Limit this process for good."""
    if sys.platform == "win32":
        return
    import resource

    wanted = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_CPU: (cpu_s, cpu_s + _SPARE_S),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
    }
    for which, (soft, hard) in wanted.items():
        _, most = resource.getrlimit(which)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        # macOS refuses some, such as an address space below what its libraries take already.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (soft, hard))
