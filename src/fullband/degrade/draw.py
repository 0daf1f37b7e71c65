"""Draw a degradation at random, and keep what was drawn beside the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fullband.audio.samples import Audio, Rate
from fullband.degrade.bandlimit import degrade

__all__ = ["Degradation", "draw"]


@dataclass(frozen=True)
class Degradation:
    """One way of losing the treble, complete enough to be repeated."""

    method: str
    sample_rate: int
    narrow_rate: Rate

    @property
    def cutoff_hz(self) -> float:
        """The Nyquist frequency of the narrow audio."""
        return float(self.narrow_rate / 2)

    def apply(self, wide: Audio) -> Audio:
        """Narrow audio at `narrow_rate`. Shape: `[*, T]` to `[*, T']`."""
        return degrade(wide, self.sample_rate, self.narrow_rate, self.method)


def draw(
    wide: Audio,
    sample_rate: int,
    generator: np.random.Generator,
    methods: Sequence[str],
    narrow_rates: Sequence[Rate],
) -> tuple[Audio, Degradation]:
    """Degrade audio in a way chosen uniformly from the methods and rates given.

    Returns:
        The narrow audio, and the `Degradation` that made it: applying it again gives the same.
    """
    method = str(generator.choice(list(methods)))
    narrow_rate = narrow_rates[int(generator.integers(len(narrow_rates)))]
    degradation = Degradation(method, sample_rate, narrow_rate)
    return degradation.apply(wide), degradation
