"""A session of a listening test: what is heard, kept as `session.json` beside the sounds.

Only whoever runs the test sees it. The page is told nothing of it but what `server` says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fullband.errors import MissingFileError, SettingsError
from fullband.settings import build, to_dict

__all__ = [
    "LOW_ANCHOR",
    "MID_ANCHOR",
    "REFERENCE",
    "SESSION_NAME",
    "Item",
    "Session",
    "read_session",
    "write_session",
]

SESSION_NAME = "session.json"

REFERENCE, LOW_ANCHOR, MID_ANCHOR = "reference", "low-anchor", "mid-anchor"
"""What the stimuli that are no system's are called."""


@dataclass(frozen=True)
class Item:
    """One recording in every version.

    Attributes:
        name: of the reference's file, without its ending.
        start_s: where in that file the excerpt begins.
        frames: samples of each of its stimuli.
        gain_db: by which all of its stimuli were lowered alike, so that none is limited.
        files: the path of every stimulus in the session's folder, by its name.
    """

    name: str
    start_s: float
    frames: int
    gain_db: float
    files: dict[str, str]


@dataclass(frozen=True)
class Session:
    """What a test consists of.

    Attributes:
        kind: `mushra`, ratings of all versions side by side after ITU-R BS.1534-3, or `abx`,
            whether X is A or B.
        id: a random name, by which the page tells one test from another.
        seed: what every listener's order follows from, with the listener's code.
        sample_rate: of all stimuli.
        systems: the names of what is tested.
        pairs: of stimuli that are compared; of `abx` only.
        repeats: how often a listener gets each pair of an item; of `abx` only.
        welcome: paragraphs that a listener reads, and agrees to, before the first trial.
        items: the recordings.
        version: of fullband, which made it.

    Raises:
        SettingsError: there are no items, or an item lacks a stimulus.
    """

    kind: Literal["mushra", "abx"]
    id: str
    seed: int
    sample_rate: int
    systems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    repeats: int
    welcome: tuple[str, ...]
    items: tuple[Item, ...]
    version: str

    def __post_init__(self) -> None:
        if not self.items:
            raise SettingsError("a session needs at least one item")
        for item in self.items:
            missing = [name for name in self.stimuli if name not in item.files]
            if missing:
                raise SettingsError(f"item '{item.name}' has no stimulus '{missing[0]}'")

    @property
    def stimuli(self) -> tuple[str, ...]:
        """The names of the stimuli that are heard of every item."""
        if self.kind == "mushra":
            return (REFERENCE, MID_ANCHOR, LOW_ANCHOR, *self.systems)
        return tuple(dict.fromkeys(name for pair in self.pairs for name in pair))

    @property
    def trials(self) -> int:
        """How many trials a listener gets."""
        return len(self.items) * (len(self.pairs) * self.repeats if self.kind == "abx" else 1)


def read_session(folder: Path) -> Session:
    """The session in a folder.

    Raises:
        MissingFileError: there is none.
        SettingsError: its file does not hold what it should.
    """
    path = folder / SESSION_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{folder}: holds no listening test ({SESSION_NAME})") from None
    except (ValueError, RecursionError):
        raise SettingsError(f"{path}: is not JSON") from None
    return build(Session, data, str(path))


def write_session(session: Session, folder: Path) -> None:
    """Keep a session in a folder."""
    text = json.dumps(to_dict(session), indent=2, ensure_ascii=False)
    (folder / SESSION_NAME).write_text(text + "\n", encoding="utf-8")
