"""How loud the active part of a recording is, so that models see every recording at one level."""

from __future__ import annotations

import numpy as np

from fullband.audio.samples import Audio, Rate

__all__ = ["REFERENCE_LEVEL_DB", "LevelMeter", "active_level_db", "busiest_start", "model_gain"]

REFERENCE_LEVEL_DB = -26.0
"""The active level at which models see a recording: the nominal speech level of ITU-T P.56."""

SILENCE_DB = -100.0

_BLOCK_S = 0.1
_GATE_DB = 10.0


class LevelMeter:
    """The active level of a recording that arrives in blocks.

    Mean power over the 100 ms blocks that lie within 10 dB of the mean power of all of them: the
    relative gate of ITU-R BS.1770, without its frequency weighting. Pauses do not count, so a
    sentence and the same sentence with silence around it have the same level.
    """

    def __init__(self, sample_rate: Rate) -> None:
        self._block = max(1, round(_BLOCK_S * sample_rate))
        self._rest = np.zeros(0, np.float64)
        self._powers: list[np.ndarray] = []

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples; channels are averaged in power."""
        power = np.square(block, dtype=np.float64)
        power = power[0] if len(power) == 1 else power.mean(axis=0)
        power = np.concatenate([self._rest, power])
        whole = len(power) // self._block * self._block
        if whole:
            self._powers.append(power[:whole].reshape(-1, self._block).mean(axis=1))
        self._rest = power[whole:]

    def level_db(self) -> float:
        """The level in dB relative to full scale (a full-scale square wave is 0), at least -100."""
        powers = list(self._powers)
        if len(self._rest) and (not powers or len(self._rest) >= self._block // 2):
            powers.append(np.array([self._rest.mean()]))
        if not powers:
            return SILENCE_DB
        power = np.concatenate(powers)
        gate = power.mean() * 10 ** (-_GATE_DB / 10)
        active = power[power >= gate].mean()
        return max(SILENCE_DB, float(10 * np.log10(active + 1e-20)))


def active_level_db(audio: Audio, sample_rate: Rate) -> float:
    """The active level of whole audio in dB relative to full scale; see `LevelMeter`.

    Shape:
        audio `[*, T]`.
    """
    meter = LevelMeter(sample_rate)
    meter.push(audio.reshape(-1, audio.shape[-1]))
    return meter.level_db()


def busiest_start(audio: Audio, sample_rate: int, frames: int) -> int:
    """Where the stretch of so many samples begins in which there is most to hear.

    That is the stretch with the largest number of active blocks of 100 ms, active being within
    10 dB of the recording's mean power.

    Shape:
        audio `[*, T]`; `frames` at most T.
    """
    last: int = audio.shape[-1] - frames
    if last == 0:
        return 0
    block = max(1, round(_BLOCK_S * sample_rate))
    power = np.square(audio.reshape(-1, audio.shape[-1]), dtype=np.float64).mean(axis=0)
    power = power[: len(power) // block * block].reshape(-1, block).mean(axis=1)
    active = np.concatenate([[0], np.cumsum(power >= 10 ** (-_GATE_DB / 10) * power.mean())])
    blocks = frames // block
    most = int(np.argmax(active[blocks:] - active[: len(active) - blocks]))
    return min(most * block, last)


def model_gain(level_db: float) -> float:
    """The factor that brings a recording of that active level to the reference level.

    At most 60 dB, so that near-silence is not blown up into something.
    """
    return float(10 ** (min(REFERENCE_LEVEL_DB - level_db, 60.0) / 20))
