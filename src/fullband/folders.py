"""Folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from fullband.errors import FullbandError, OutputError, reason

__all__ = ["new_folder"]


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which takes its name when the block ends without an
    error, and is removed otherwise.

    Args:
        folder: not there yet, or empty.

    Raises:
        OutputError: it is not empty, or cannot be written.
    """
    part = folder.absolute().parent / f".{folder.name}-{secrets.token_hex(4)}.part"
    try:
        part.mkdir(parents=True)
        yield part
        if folder.is_dir():
            folder.rmdir()  # it is empty, or this is refused
        part.rename(folder)
    except OSError as error:
        if isinstance(error, FullbandError):
            raise
        raise OutputError(f"{folder}: cannot be written ({reason(error)})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
