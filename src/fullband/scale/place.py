"""A folder on a disk or in an object store, by its address (any that fsspec knows).

What is put into a place appears whole or not at all: an object is put as one, a file is made in a
hidden folder of the place and renamed. Elsewhere in `fullband.scale` nothing opens a file that is
not local.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fullband.errors import DependencyError, MissingFileError, OutputError

__all__ = ["HIDDEN", "Found", "Place"]

HIDDEN = ".fullband"
"""The folder in the output where the manifest and all that is unfinished is kept."""

_SCRATCH = f"{HIDDEN}/scratch"
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"}
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified")


@dataclass(frozen=True)
class Found:
    """A file in a listing.

    Attributes:
        name: its path within the place, with `/`.
        version: what changes with its content: the store's checksum, or the time it was changed.
    """

    name: str
    size: int
    version: str


class Place:
    """A folder that is read from and written to.

    Args:
        address: a path, or `PROTOCOL://...`.
        endpoint_url: of a server that speaks S3 and is not Amazon's.

    Raises:
        DependencyError: the protocol needs a package that is not installed.
        MissingFileError: there is no such protocol.
    """

    def __init__(self, address: str, endpoint_url: str | None = None) -> None:
        import fsspec

        self.address = address
        options: dict[str, Any] = {"use_listings_cache": False}  # which would grow without bounds
        if endpoint_url is not None and address.split(":")[0] in ("s3", "s3a"):
            options["endpoint_url"] = endpoint_url
        try:
            self._fs, root = fsspec.url_to_fs(address, **options)
        except ImportError as error:
            raise DependencyError(f"{address}: {error}") from None
        except ValueError as error:
            raise MissingFileError(f"{address}: {error}") from None
        protocols = self._fs.protocol
        protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        self._local = "file" in protocols
        self._atomic = bool(protocols & _OBJECT_STORES)
        self.root = os.path.abspath(root) if self._local else root.rstrip("/")

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def named(self, name: str) -> str:
        """How a file in it is called in messages and in the manifest."""
        return self.path(name) if self._local else str(self._fs.unstrip_protocol(self.path(name)))

    def is_file(self) -> bool:
        return bool(self._fs.isfile(self.root))

    def exists(self, name: str = "") -> bool:
        return bool(self._fs.exists(self.path(name)))

    def list_folder(self, folder: str) -> tuple[list[Found], list[str]]:
        """The files and the folders in one folder, by name; folders behind links are left out."""
        files, folders = [], []
        try:
            entries = self._fs.ls(self.path(folder), detail=True)
        except FileNotFoundError:
            return [], []
        for entry in entries:
            name = entry["name"].rstrip("/")[len(self.root) :].lstrip("/")
            if name in ("", folder):  # an object that stands for the folder itself
                continue
            if entry["type"] == "directory":
                folders += [] if entry.get("islink") else [name]
            else:
                files.append(Found(name, int(entry["size"] or 0), _version(entry)))
        return sorted(files, key=lambda file: file.name), sorted(folders)

    @contextlib.contextmanager
    def fetched(self, name: str, scratch: str) -> Iterator[str]:
        """A local file with what is in one here; a copy in the scratch folder if need be."""
        if self._local:
            yield self.path(name)
            return
        copy = Path(scratch) / f"in{PurePosixPath(name).suffix}"
        try:
            self._fs.get_file(self.path(name), str(copy))
            yield str(copy)
        finally:
            _remove(copy)

    @contextlib.contextmanager
    def making(self, name: str, scratch: str) -> Iterator[str]:
        """A local path to write a file to, which appears here once the block has ended well."""
        folder = Path(self.path(_SCRATCH) if self._local else scratch)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{secrets.token_hex(8)}{PurePosixPath(name).suffix}"
        try:
            yield str(part)
            self._put(str(part), name)
        finally:
            _remove(part)

    def read(self, name: str, start: int | None = None, stop: int | None = None) -> bytes:
        """A file's bytes, or those from one to another."""
        return bytes(self._fs.cat_file(self.path(name), start=start, end=stop))

    def read_json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        if self._atomic:
            self._fs.pipe_file(self.path(name), content)
            return
        part = f"{_SCRATCH}/{secrets.token_hex(8)}"
        self._fs.makedirs(self._fs._parent(self.path(part)), exist_ok=True)
        self._fs.pipe_file(self.path(part), content)
        self._move(self.path(part), self.path(name))

    def remove(self, folder: str) -> None:
        """A folder and all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm(self.path(folder), recursive=True)

    def clear_scratch(self) -> None:
        """What workers that were killed have left."""
        self.remove(_SCRATCH)

    def _put(self, local: str, name: str) -> None:
        target = self.path(name)
        if self._local:
            self._move(local, target)
        elif self._atomic:
            self._fs.put_file(local, target)
        else:
            part = self.path(f"{_SCRATCH}/{secrets.token_hex(8)}")
            self._fs.makedirs(self._fs._parent(part), exist_ok=True)
            self._fs.put_file(local, part)
            self._move(part, target)

    def _move(self, part: str, target: str) -> None:
        if self._local:
            if Path(target).is_dir():
                raise OutputError(f"{target}: is a folder")
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, target)
        else:
            self._fs.makedirs(self._fs._parent(target), exist_ok=True)
            self._fs.mv(part, target)

    @functools.cached_property
    def identity(self) -> tuple[str, str]:
        """The same for two addresses of one folder."""
        return type(self._fs).__name__, os.path.realpath(self.root) if self._local else self.root


def _version(entry: dict[str, Any]) -> str:
    return next((str(entry[key]) for key in _VERSIONS if entry.get(key)), "")


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
