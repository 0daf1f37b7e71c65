"""What a test has found, out of its session and answers.

Only listeners who have answered every trial count: so every mean is over the same items and
listeners, and who gave up does not shift it. Everything else is told beside it.
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullband.errors import MissingFileError, OutputError, reason
from fullband.listening.screening import screen
from fullband.listening.session import MID_ANCHOR, REFERENCE, Session, read_session
from fullband.listening.statistics import Mean, by_chance, holm, mean_interval, signed_rank_p
from fullband.listening.store import ANSWERS_NAME, Answers

__all__ = ["AbxResults", "Difference", "MushraResults", "Told", "results_of", "write_answers"]


@dataclass(frozen=True)
class Difference:
    """How much better one system was rated than another.

    Attributes:
        mean: of the listeners' differences.
        p: of Wilcoxon's signed-rank test over the listeners.
        p_holm: the same, corrected for the number of pairs.
    """

    system: str
    other: str
    mean: Mean
    p: float
    p_holm: float


@dataclass(frozen=True)
class MushraResults:
    """What a MUSHRA test has found.

    Attributes:
        listeners: who counts.
        excluded: who does not, by post-screening, and why.
        unfinished: who does not, and how many trials they answered.
        spared: items whose mid anchor was not judged, see `screen`.
        overall: of every stimulus, over the listeners' means.
        per_item: the same of every item, over the listeners.
        differences: of every two systems.
    """

    kind: str
    listeners: tuple[str, ...]
    excluded: dict[str, str]
    unfinished: dict[str, int]
    spared: tuple[str, ...]
    overall: dict[str, Mean]
    per_item: dict[str, dict[str, Mean]]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Told:
    """How often X was told right.

    Attributes:
        listener: whose; None is all of them together.
        p: the chance of guessing at least so many right.
        p_holm: of all listeners together, the same corrected for the number of pairs.
        confidence: the mean, from 1 guessing to 4 certain.
    """

    pair: tuple[str, str]
    listener: str | None
    correct: int
    trials: int
    p: float
    p_holm: float | None
    confidence: float


@dataclass(frozen=True)
class AbxResults:
    """What an ABX test has found.

    Attributes:
        listeners: who counts.
        unfinished: who does not, and how many trials they answered.
        pairs: every pair over all listeners.
        per_listener: every pair by every listener.
    """

    kind: str
    listeners: tuple[str, ...]
    unfinished: dict[str, int]
    pairs: tuple[Told, ...]
    per_listener: tuple[Told, ...]


def results_of(folder: Path) -> MushraResults | AbxResults:
    """The results of the test in a folder, so far.

    Raises:
        MissingFileError, SettingsError: see `read_session`; or nobody has begun.
        OutputError: see `Answers`.
    """
    session, answers = _opened(folder)
    answered = {listener: len(answers.answered(listener)) for listener in answers.listeners()}
    finished = [listener for listener, count in answered.items() if count == session.trials]
    unfinished = {listener: count for listener, count in answered.items() if count < session.trials}
    if session.kind == "mushra":
        return _mushra(session, answers, finished, unfinished)
    return _abx(session, answers, finished, unfinished)


def write_answers(folder: Path, path: Path) -> None:
    """Write every answer as a row of CSV, of all listeners, also of those that do not count.

    Raises:
        MissingFileError, SettingsError: see `results_of`.
        OutputError: the file cannot be written; or see `Answers`.
    """
    session, answers = _opened(folder)
    rows = answers.ratings() if session.kind == "mushra" else answers.choices()
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]) if rows else ["listener"])
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({reason(error)})") from None


def _opened(folder: Path) -> tuple[Session, Answers]:
    session = read_session(folder)
    if not (folder / ANSWERS_NAME).exists():
        raise MissingFileError(f"{folder}: nobody has answered yet")
    return session, Answers(folder)


def _mushra(
    session: Session, answers: Answers, finished: list[str], unfinished: dict[str, int]
) -> MushraResults:
    scores = _scores(session, answers.ratings(), finished)
    place = {name: index for index, name in enumerate(session.stimuli)}
    found = screen(scores[:, :, place[REFERENCE]], scores[:, :, place[MID_ANCHOR]])
    kept = [index for index in range(len(finished)) if index not in found.reasons]
    scores = scores[kept]
    overall: dict[str, Mean] = {}
    per_item: dict[str, dict[str, Mean]] = {}
    differences: list[Difference] = []
    if kept:
        # A listener's scores depend on one another, so a listener is one value in each mean.
        means = scores.mean(axis=1)
        overall = {name: mean_interval(means[:, index]) for name, index in place.items()}
        per_item = {
            item.name: {name: mean_interval(scores[:, i, s]) for name, s in place.items()}
            for i, item in enumerate(session.items)
        }
        pairs = list(itertools.combinations(session.systems, 2))
        by_pair = [means[:, place[one]] - means[:, place[other]] for one, other in pairs]
        p_values = [signed_rank_p(each) for each in by_pair]
        differences = [
            Difference(*pair, mean_interval(each), p, corrected)
            for pair, each, p, corrected in zip(
                pairs, by_pair, p_values, holm(p_values), strict=True
            )
        ]
    return MushraResults(
        "mushra",
        tuple(finished[index] for index in kept),
        {finished[index]: why for index, why in found.reasons.items()},
        unfinished,
        tuple(session.items[index].name for index in found.spared),
        overall,
        per_item,
        tuple(differences),
    )


def _scores(session: Session, rows: list[dict[str, Any]], listeners: list[str]) -> np.ndarray:
    """Scores `[L, I, S]`: listeners, items, stimuli as the session has them."""
    scores = np.full((len(listeners), len(session.items), len(session.stimuli)), np.nan)
    for row in rows:
        if row["listener"] in listeners:
            listener, stimulus = listeners.index(row["listener"]), row["stimulus"]
            scores[listener, row["trial"], session.stimuli.index(stimulus)] = row["score"]
    return scores


def _abx(
    session: Session, answers: Answers, finished: list[str], unfinished: dict[str, int]
) -> AbxResults:
    rows: list[dict[str, Any]] = answers.choices()

    def told(pair: tuple[str, str], listener: str | None) -> Told:
        own = [
            row
            for row in rows
            if {row["a"], row["b"]} == set(pair)
            and (row["listener"] == listener if listener else row["listener"] in finished)
        ]
        correct = sum(row["chosen"] == row["x"] for row in own)
        confidence = float(np.mean([row["confidence"] for row in own]))
        return Told(
            pair, listener, correct, len(own), by_chance(correct, len(own)), None, confidence
        )

    together = [told(pair, None) for pair in session.pairs] if finished else []
    corrected = holm([each.p for each in together])
    return AbxResults(
        "abx",
        tuple(finished),
        unfinished,
        tuple(
            Told(**{**vars(each), "p_holm": p}) for each, p in zip(together, corrected, strict=True)
        ),
        tuple(told(pair, listener) for pair in session.pairs for listener in finished),
    )
