"""Wide to narrow: the ways in which treble goes missing, pure and seeded. Needs scipy."""

from fullband.degrade.bandlimit import METHODS, degrade, ideal_lowpass, lower_rate
from fullband.degrade.draw import Degradation, draw

__all__ = ["METHODS", "Degradation", "degrade", "draw", "ideal_lowpass", "lower_rate"]
