"""What became of each file: JSON lines in parts that are written once, never appended to.

Only the driver writes them, some time after the results: what was finished since the last part is
made again by the next run, with the same result.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fullband.manifest import Entry
from fullband.scale.place import HIDDEN, Found, Place

__all__ = ["Done", "Manifest", "Record"]

_FOLDER = f"{HIDDEN}/manifest"
_LINES = 1000  # in a part, at most
_EVERY_S = 30.0


@dataclass(frozen=True)
class Record(Entry):
    """What became of one file: what a batch's manifest says of it, `done` or `failed`, and more.

    Attributes:
        target: within the output.
        source: its address.
        source_version: what its store says changes with its content.
        seconds: the time that workers spent on it.
        pieces: into how many it was cut.
    """

    source_version: str | None = None
    pieces: int = 1


class Manifest:
    """Collects records, and writes them in parts into the output's hidden folder."""

    def __init__(self, output: Place) -> None:
        self._output = output
        self._begun = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        self._parts = 0
        self._lines: list[bytes] = []
        self._since = time.monotonic()

    def add(self, record: Record) -> None:
        self._lines.append(record.line())
        if len(self._lines) >= _LINES or time.monotonic() - self._since > _EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what has come since the last part."""
        if self._lines:
            name = f"{_FOLDER}/{self._begun}-{self._parts:08d}.jsonl"
            self._output.write(name, b"".join(self._lines))
            self._parts += 1
            self._lines = []
        self._since = time.monotonic()


def read_records(output: Place) -> Iterator[dict[str, Any]]:
    """All records of all runs, in the order that they were made."""
    for part in output.list_folder(_FOLDER)[0]:
        for line in output.read(part.name).splitlines():
            yield json.loads(line)


class Done:
    """Which files need not be made again: kept on disk, so that memory does not grow with them.

    Args:
        settings: what is asked for, as records have it.
        models: the digest of each model's file that may be used, by name; None for baselines.
    """

    def __init__(
        self, output: Place, settings: dict[str, Any], models: dict[str, str | None]
    ) -> None:
        self._table = sqlite3.connect("")  # a temporary file, removed when it is closed
        self._table.execute(
            "CREATE TABLE done (target BLOB PRIMARY KEY, source TEXT, bytes INTEGER) WITHOUT ROWID"
        )
        with self._table:
            for record in read_records(output):
                target = _bytes(record["target"])
                self._table.execute("DELETE FROM done WHERE target = ?", (target,))
                model = record["model"]
                alike = record["settings"] == settings and model in models
                if alike and record["state"] == "done" and record["model_sha256"] == models[model]:
                    row = target, _source(record), record["target_bytes"]
                    self._table.execute("INSERT INTO done VALUES (?, ?, ?)", row)

    def has(self, source: Found, target: str, target_bytes: int | None) -> bool:
        """Whether this very source became this target, and it still has that size."""
        row = self._table.execute(
            "SELECT source, bytes FROM done WHERE target = ?", (_bytes(target),)
        ).fetchone()
        return bool(row == (f"{source.size} {source.version}", target_bytes))

    def close(self) -> None:
        self._table.close()


def _bytes(name: str) -> bytes:
    """A name as a disk has it, which may be no text."""
    return name.encode("utf-8", "surrogateescape")


def _source(record: dict[str, Any]) -> str:
    return f"{record['source_bytes']} {record['source_version']}"
