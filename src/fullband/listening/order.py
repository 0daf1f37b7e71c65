"""Who hears what when: every listener's trials, in an order that only the session's seed knows.

Nothing is drawn. Whatever has to be in a random order is sorted by a keyed digest (HMAC-SHA-256) of
its name and the listener's, so the same seed and listener always give the same order, on every
machine and in every version, and no listener's order tells another's. The page knows trials and
stimuli by their places in this order alone.
"""

from __future__ import annotations

import hmac
import itertools
from dataclasses import dataclass

from fullband.listening.session import REFERENCE, Session

__all__ = ["Trial", "trials_of"]


@dataclass(frozen=True)
class Trial:
    """One screen of the test.

    Attributes:
        key: what the trial is whoever gets it: its number in the session.
        item: the index of its recording.
        stimuli: names by their places. Of `mushra` the open reference, then the hidden one, the
            anchors and the systems in random order; of `abx` A, B and X.
    """

    key: int
    item: int
    stimuli: tuple[str, ...]


def trials_of(session: Session, listener: str) -> tuple[Trial, ...]:
    """A listener's trials, in the order in which they come."""

    def rank(*what: object) -> bytes:
        said = "\0".join(map(str, (listener, *what)))
        return hmac.digest(str(session.seed).encode(), said.encode(), "sha256")

    if session.kind == "mushra":
        trials = [
            Trial(
                index,
                index,
                (REFERENCE, *sorted(session.stimuli, key=lambda name: rank(index, name))),
            )
            for index in range(len(session.items))
        ]
    else:
        places = itertools.product(range(len(session.items)), session.pairs, range(session.repeats))
        trials = []
        for key, (index, pair, _) in enumerate(places):
            first, second = sorted(pair, key=lambda name: rank(key, name))
            x = (first, second)[rank(key, "x")[0] % 2]
            trials.append(Trial(key, index, (first, second, x)))
    return tuple(sorted(trials, key=lambda trial: rank("trial", trial.key)))
