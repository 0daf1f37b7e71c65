"""The numbers of listening tests: intervals of means, paired tests, corrections, chance.

Everything is exact where it can be, so that small panels get true p values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Mean", "by_chance", "holm", "mean_interval", "signed_rank_p"]


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval.

    Attributes:
        low, high: the interval's ends; None of a single value, which has none.
        n: how many values it is of.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> Mean:
    """The mean of independent values, with the interval of Student's t distribution.

    mean ± t s / sqrt(n), with the sample's standard deviation s and n - 1 degrees of freedom
    (Student 1908): the interval that ITU-R BS.1534 reports means with.

    Shape:
        values `[N]`.
    """
    import scipy.stats

    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Mean(mean, None, None, n)
    t = float(scipy.stats.t.ppf(0.5 + confidence / 2, n - 1))
    half = t * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n)


def signed_rank_p(differences: np.ndarray) -> float:
    """The two-sided p value of Wilcoxon's signed-rank test (Wilcoxon 1945), exact also with ties.

    Zeros are left out, and equal sizes share their mean rank. Without a difference between the
    two, every sign is as likely as the other, so the sum of the positive ranks is distributed as
    the sum of ranks that are each taken or not by the toss of a coin; that distribution is added
    up rank by rank.

    Shape:
        differences `[N]`.

    >>> signed_rank_p(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))  # 2 of 32 outcomes are as far out
    0.0625
    """
    sizes = np.round(differences[np.abs(differences) > 1e-9], 9)
    if not len(sizes):
        return 1.0
    ordered = np.sort(np.abs(sizes))
    # Twice the mean rank of equal sizes: first and last rank of each, which is a whole number.
    doubled = (
        np.searchsorted(ordered, np.abs(sizes), "left")
        + np.searchsorted(ordered, np.abs(sizes), "right")
        + 1
    )
    chance = np.zeros(int(doubled.sum()) + 1)
    chance[0] = 1.0
    for rank in doubled:
        taken = np.concatenate([np.zeros(rank), chance[:-rank]])
        chance = (chance + taken) / 2
    found = int(doubled[sizes > 0].sum())
    tail = min(float(chance[: found + 1].sum()), float(chance[found:].sum()))
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, by Holm's step-down method (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1 and so on, and none gets below the one
    before it. The chance of any false finding at all then stays below the level tested at.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    least = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def by_chance(correct: int, trials: int) -> float:
    """The chance of guessing at least so many right of so many: the exact binomial test, one-sided,
    of which ABX is an example.

    >>> by_chance(9, 10)  # (10 + 1) / 1024
    0.0107421875
    """
    ways = sum(math.comb(trials, right) for right in range(correct, trials + 1))
    return float(ways / 2**trials)
