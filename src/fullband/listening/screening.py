"""Which listeners a MUSHRA test keeps: the post-screening of ITU-R BS.1534-3, section 4.1.2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Screened", "screen"]

_GOOD = 90
_TOLERATED = 0.15  # of a listener's items
_TOO_MANY = 0.25  # of an item's listeners


@dataclass(frozen=True)
class Screened:
    """What post-screening found.

    Attributes:
        reasons: why a listener is excluded, in words, by the listener's index.
        spared: indices of items whose mid anchor was not judged, because too many rated it high.
    """

    reasons: dict[int, str]
    spared: tuple[int, ...]


def screen(reference: np.ndarray, mid_anchor: np.ndarray) -> Screened:
    """Exclude who does not hear the hidden reference, or does not hear the mid anchor's lack.

    A listener is excluded who rates the hidden reference below 90 for more than 15 % of the items,
    or the mid anchor above 90 for more than 15 %. Where more than 25 % of all listeners rate an
    item's mid anchor above 90, the item has little treble to lose, and that item counts against
    nobody by the second rule.

    Args:
        reference, mid_anchor: scores, 0 to 100.

    Shape:
        reference, mid_anchor `[L, I]`: listeners, items.
    """
    high = mid_anchor > _GOOD
    spared = high.mean(axis=0) > _TOO_MANY if len(high) else np.zeros(high.shape[1], bool)
    high, low = high[:, ~spared], reference < _GOOD
    reasons = {}
    for listener in range(len(reference)):
        said = []
        for which, what in (
            (low[listener], f"hidden reference below {_GOOD}"),
            (high[listener], f"mid anchor above {_GOOD}"),
        ):
            if len(which) and which.mean() > _TOLERATED:
                said.append(f"{what} in {which.sum()} of {len(which)} items")
        if said:
            reasons[listener] = "; ".join(said)
    return Screened(reasons, tuple(int(index) for index in np.flatnonzero(spared)))
