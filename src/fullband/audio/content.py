"""Whether a recording is speech or music, by how its level moves.

Speech comes in syllables with gaps between them; music fills the time. Two figures say it, both of
the level of short frames between 200 and 3600 Hz, where every telephone passes it and no mains
hums: the share of frames that are quiet, and how far levels spread (the first is the percentage of
low-energy frames of Scheirer and Slaney, "Construction and evaluation of a robust multifeature
speech/music discriminator", ICASSP 1997). The line between the two classes is a logistic regression
on excerpts of both, drawn once by a script that was not kept. `benchmarks/speech_or_music.py` draws
others, judges the line on them (docs/results.md says how often it is wrong) and prints the one that
it would have found. Singing, and speech over music, fall on the side that they resemble.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from fullband.audio.samples import Audio

__all__ = ["ContentKind", "ContentMeter", "log_odds_of_music"]

ContentKind = Literal["speech", "music"]

_FRAME_S = 0.032
_LOW_HZ, _HIGH_HZ = 200.0, 3600.0
_STEP_DB, _LOWEST_DB = 0.5, -140.0  # of the counted levels
_LOUD = 0.9  # of all frames lie below the level that others are measured against
_QUIET_DB = 15.0  # below it
_DEEPEST_DB = 40.0  # below it all frames are alike
_SHORTEST_S = 1.0  # what is shorter is taken for speech

# log-odds of music: a constant, and what a quiet frame in all and a decibel of spread take from it.
_CONSTANT, _QUIET, _SPREAD = 5.5, -9.0, -0.44


class ContentMeter:
    """Listens to a recording that arrives in blocks, in memory that does not grow with it."""

    def __init__(self, sample_rate: int) -> None:
        self._frame = max(2, round(_FRAME_S * sample_rate))
        self._window = np.hanning(self._frame).astype(np.float32)
        hz = np.fft.rfftfreq(self._frame, 1 / sample_rate)
        self._inside = slice(*np.searchsorted(hz, [_LOW_HZ, _HIGH_HZ]))
        self._scale = 1.0 / (self._frame * float(np.sum(self._window**2)))
        self._rest = np.zeros(0, np.float32)
        self._counts = np.zeros(round(-_LOWEST_DB / _STEP_DB) + 1, np.int64)

    def push(self, block: Audio) -> None:
        """Add `[C, T]` samples; channels are averaged."""
        mono = block[0] if len(block) == 1 else block.mean(axis=0)
        mono = np.concatenate([self._rest, mono]) if len(self._rest) else mono
        whole = len(mono) // self._frame * self._frame
        self._rest = mono[whole:]
        if not whole:
            return
        frames = mono[:whole].reshape(-1, self._frame) * self._window
        spectra = np.fft.rfft(frames)[:, self._inside]
        power = self._scale * (spectra.real**2 + spectra.imag**2).sum(axis=1)
        levels_db = 10 * np.log10(power + 1e-14)
        places = np.clip(levels_db / _STEP_DB + len(self._counts) - 1, 0, len(self._counts) - 1)
        self._counts += np.bincount(places.round().astype(int), minlength=len(self._counts))

    def kind(self) -> ContentKind:
        """What it is."""
        quiet, spread_db = self.figures()
        return "music" if log_odds_of_music(quiet, spread_db) > 0 else "speech"

    def figures(self) -> tuple[float, float]:
        """The share of quiet frames, and the standard deviation of levels in dB.

        Those of perfect speech, `(1, 40)`, for silence and for what is too short to be told.
        """
        total = int(self._counts.sum())
        if total * _FRAME_S < _SHORTEST_S or total == self._counts[0]:
            return 1.0, _DEEPEST_DB
        levels_db = _LOWEST_DB + _STEP_DB * np.arange(len(self._counts))
        reached = np.searchsorted(np.cumsum(self._counts), _LOUD * total)
        below_db = np.maximum(levels_db - levels_db[reached], -_DEEPEST_DB)
        shares = self._counts / total
        mean_db = shares @ below_db
        spread_db = np.sqrt(shares @ (below_db - mean_db) ** 2)
        return float(shares[below_db < -_QUIET_DB].sum()), float(spread_db)


def log_odds_of_music(quiet: float, spread_db: float) -> float:
    """Above 0 where music is more likely than speech, both as likely beforehand."""
    return _CONSTANT + _QUIET * quiet + _SPREAD * spread_db
