"""Answers, kept in SQLite beside the session: one row per rating or choice, stored at once.

The database is in WAL mode, so results can be read while listeners go on, and every trial is one
transaction: it is there as a whole or not at all, whenever the power goes. Names in it are those of
the session, so it can be read without fullband:

    sqlite3 answers.sqlite3 'SELECT stimulus, avg(score) FROM ratings GROUP BY stimulus'
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fullband.errors import OutputError

__all__ = ["ANSWERS_NAME", "Answers", "Choice", "Rating"]

ANSWERS_NAME = "answers.sqlite3"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS listeners (
    listener TEXT PRIMARY KEY,
    at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ratings (
    listener TEXT NOT NULL REFERENCES listeners,
    trial INTEGER NOT NULL,
    item TEXT NOT NULL,
    stimulus TEXT NOT NULL,
    score INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
    place INTEGER NOT NULL,
    heard_s REAL NOT NULL,
    trial_s REAL NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (listener, trial, stimulus)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choices (
    listener TEXT NOT NULL REFERENCES listeners,
    trial INTEGER NOT NULL,
    item TEXT NOT NULL,
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    x TEXT NOT NULL,
    chosen TEXT NOT NULL,
    confidence INTEGER NOT NULL CHECK (confidence BETWEEN 1 AND 4),
    trial_s REAL NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (listener, trial)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Rating:
    """How good one stimulus of a MUSHRA trial was found.

    Attributes:
        trial: its key, see `Trial`.
        score: 0 to 100.
        place: on the listener's screen, from 1.
        heard_s: for how long the listener had it on.
        trial_s: how long the listener took over the whole trial.
    """

    listener: str
    trial: int
    item: str
    stimulus: str
    score: int
    place: int
    heard_s: float
    trial_s: float


@dataclass(frozen=True)
class Choice:
    """What X was taken for in an ABX trial.

    Attributes:
        trial: its key, see `Trial`.
        a, b, x, chosen: names of stimuli.
        confidence: 1 guessing, 2 unsure, 3 fairly sure, 4 certain.
        trial_s: how long the listener took over the trial.
    """

    listener: str
    trial: int
    item: str
    a: str
    b: str
    x: str
    chosen: str
    confidence: int
    trial_s: float


class Answers:
    """The answers of a session's folder. May be used from several threads and processes.

    Raises:
        OutputError: there is no database and none can be made, or it is none; so do all methods.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ANSWERS_NAME
        with self._opened() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(_SCHEMA)

    def begin(self, listener: str) -> None:
        """Note that a listener has agreed to take part; done twice, the first time counts."""
        with self._opened() as database:
            database.execute("INSERT OR IGNORE INTO listeners VALUES (?, ?)", (listener, _now()))

    def listeners(self) -> list[str]:
        """Everybody who has begun, in that order."""
        with self._opened() as database:
            rows = database.execute("SELECT listener FROM listeners ORDER BY at, listener")
            return [row[0] for row in rows]

    def answered(self, listener: str) -> set[int]:
        """The keys of the trials that a listener has answered."""
        with self._opened() as database:
            rows = database.execute(
                "SELECT trial FROM ratings WHERE listener = ?1 UNION "
                "SELECT trial FROM choices WHERE listener = ?1",
                (listener,),
            )
            return {row[0] for row in rows}

    def rate(self, ratings: Sequence[Rating]) -> bool:
        """Store all ratings of a trial; False where it has been answered, and nothing changes."""
        rows = [(*vars(rating).values(), _now()) for rating in ratings]
        return self._insert("INSERT INTO ratings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def choose(self, choice: Choice) -> bool:
        """Store the choice of a trial; False where it has been answered, and nothing changes."""
        row = (*vars(choice).values(), _now())
        return self._insert("INSERT INTO choices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [row])

    def ratings(self) -> list[dict[str, object]]:
        """All rows, with their columns' names."""
        return self._rows("ratings")

    def choices(self) -> list[dict[str, object]]:
        """All rows, with their columns' names."""
        return self._rows("choices")

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> bool:
        with self._opened() as database:
            try:
                database.executemany(statement, rows)
            except sqlite3.IntegrityError:
                database.rollback()
                return False
        return True

    def _rows(self, table: str) -> list[dict[str, object]]:
        with self._opened() as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY at")]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection, whose changes are one transaction."""
        try:
            with (
                contextlib.closing(sqlite3.connect(self._path, timeout=20)) as database,
                database,
            ):
                yield database
        except sqlite3.Error as error:
            raise OutputError(f"{self._path}: {error}") from None


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
