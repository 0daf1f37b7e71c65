"""Hidden names for files that are being written, and what becomes of those that nobody finishes.

Who writes one holds a lock on it, which ends with the process, however that ends. So a file of such
a name that nobody holds was left by a process that was killed.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from pathlib import Path
from typing import IO

__all__ = ["clear_stale", "hold", "temporary_name"]

_PATTERN = ".fullband-*.part"
_YOUNG_S = 60.0  # who has just created one may be about to take hold of it


def temporary_name(folder: Path) -> Path:
    """A name in a folder that no other writer has."""
    return folder / _PATTERN.replace("*", secrets.token_hex(8))


def hold(path: Path) -> IO[bytes] | None:
    """Say that a file is being written, for as long as what is given is open. None where the system
    has no such locks, or lets nobody rename a file that is open."""
    if sys.platform == "win32":
        return None
    import fcntl

    file = path.open("rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def clear_stale(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder, and nothing that anyone holds."""
    for path in folder.glob(_PATTERN):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < _YOUNG_S:
                continue
            held = hold(path)
            if held is not None:
                with held:
                    path.unlink()
