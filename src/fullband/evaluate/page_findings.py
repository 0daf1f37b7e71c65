"""Where a system goes wrong the most: moments worth hearing, found by measuring every recording.

Two questions are asked of each system: where does it put sound above the cutoff that was never
there, and where is it worse than the cubic spline, which invents nothing. The page shows the
answers; nothing here draws or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fullband.audio.samples import Audio
from fullband.audio.spectrum import power_spectrogram
from fullband.corpora.dataset import Decoded
from fullband.degrade import Degradation
from fullband.evaluate.metrics import lsd, snr_db
from fullband.evaluate.run import System, fit_length
from fullband.models.spline import interpolate

__all__ = [
    "AUDIBLE_DB",
    "FRAME_S",
    "INVENTED_DB",
    "QUIETEST_DB",
    "Finding",
    "find_moments",
    "invented_moment",
    "new_band_level_db",
    "splined",
    "spread_indices",
]

FRAME_S = 0.064
"""The step between the frames that are looked at; each is twice as long."""

AUDIBLE_DB = -50.0
"""A new band below this level (dB re full scale) is not counted as heard: 24 dB below speech at
the nominal level."""

QUIETEST_DB = -70.0
"""What the reference's new band counts as where it is quieter, so that digital silence does not
turn a whisper into an endless excess."""

INVENTED_DB = 10.0
"""An excess is called invented from here: ten times the power that was there."""


@dataclass(frozen=True)
class Finding:
    """The worst moment of one system by one measure.

    Attributes:
        kind: `invented`, `snr` or `lsd`.
        recording: its index among the decoded ones.
        at_s: the moment, from the start of the recording.
        amount: by how much: dB above the reference's new band, dB of SNR below the spline, or lsd
            above the spline's.
        own: the system's own level in dB, SNR in dB or lsd.
        other: that of the reference, or the spline's.
    """

    kind: str
    system: str
    recording: int
    at_s: float
    amount: float
    own: float
    other: float


def find_moments(
    decoded: Decoded,
    degradation: Degradation,
    systems: Mapping[str, System],
    at_most: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """The worst moment of every system by every measure, where there is one.

    Args:
        at_most: so many recordings are searched, evenly spread.
        progress: called with the recordings done and those in all.
    """
    worst: dict[tuple[str, str], Finding] = {}
    searched = spread_indices(len(decoded), at_most)
    for done, index in enumerate(searched):
        if progress is not None:
            progress(done, len(searched))
        wide = decoded.recording(index)
        narrow = degradation.apply(wide)
        spline = splined(narrow, degradation, len(wide))
        for name, system in systems.items():
            if name == "spline":
                continue
            predicted = system(narrow, degradation, len(wide))
            for found in _measured(name, index, predicted, wide, spline, degradation):
                known = worst.get((name, found.kind))
                if known is None or found.amount > known.amount:
                    worst[name, found.kind] = found
    return list(worst.values())


def invented_moment(
    predicted: Audio, wide: Audio, sample_rate: int, cutoff_hz: float
) -> tuple[float, float, float, float] | None:
    """Where the predicted new band exceeds the reference's the most, if anywhere by enough.

    A frame of the reference counts as loud as its loudest neighbour (64 ms before or after): sound
    that comes a little early or late was there.

    Returns:
        The moment in seconds, the excess, the predicted and the reference's level, in dB.

    Shape:
        both `[T]`.
    """
    own = new_band_level_db(predicted, sample_rate, cutoff_hz)
    there = np.pad(new_band_level_db(wide, sample_rate, cutoff_hz), 1, constant_values=-np.inf)
    there = np.maximum(np.maximum(there[:-2], there[1:-1]), there[2:])
    excess = np.where(own > AUDIBLE_DB, own - np.maximum(there, QUIETEST_DB), -np.inf)
    frame = int(np.argmax(excess))
    if excess[frame] < INVENTED_DB:
        return None
    at_s = min(frame * _hop(sample_rate), len(wide)) / sample_rate
    return at_s, float(excess[frame]), float(own[frame]), float(there[frame])


def new_band_level_db(audio: Audio, sample_rate: int, cutoff_hz: float) -> np.ndarray:
    """The level above the cutoff, per frame of 128 ms every 64 ms, in dB re full scale.

    The power of a Hann-windowed frame of N samples is, by Parseval's theorem and because the
    window's mean square is 3/8, the sum of 2 |X|^2 over the bins divided by 3/8 N^2. A full-scale
    sine has -3 dB.

    Shape:
        audio `[T]`; result `[1 + T // hop]`.
    """
    hop = _hop(sample_rate)
    power = power_spectrogram(audio, 2 * hop, hop)
    new = np.linspace(0, sample_rate / 2, len(power)) >= cutoff_hz
    band = power[new].sum(axis=0) * 2 / (3 / 8 * (2 * hop) ** 2)
    level_db: np.ndarray = 10 * np.log10(band + 1e-20)
    return level_db


def spread_indices(count: int, at_most: int) -> list[int]:
    """At most so many of `count` indices, each the middle of an equal share.

    >>> spread_indices(10, 3)
    [1, 5, 8]
    """
    wanted = min(count, at_most)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def splined(narrow: Audio, degradation: Degradation, length: int) -> Audio:
    """The cubic spline as a system: what the others are measured against."""
    wide = interpolate(narrow, degradation.narrow_rate, degradation.sample_rate)
    return fit_length(wide, length)


def _measured(
    name: str,
    index: int,
    predicted: Audio,
    wide: Audio,
    spline: Audio,
    degradation: Degradation,
) -> list[Finding]:
    rate, found = degradation.sample_rate, []
    moment = invented_moment(predicted, wide, rate, degradation.cutoff_hz)
    if moment is not None:
        found.append(Finding("invented", name, index, *moment))
    own, other = snr_db(predicted, wide), snr_db(spline, wide)
    if own < other:
        more = _error_power(predicted, wide, rate) - _error_power(spline, wide, rate)
        at_s = _moment(more, _hop(rate), wide, rate)
        found.append(Finding("snr", name, index, at_s, other - own, own, other))
    own, other = lsd(predicted, wide), lsd(spline, wide)
    if own > other:
        more = _distance(predicted, wide) - _distance(spline, wide)
        at_s = _moment(more, 512, wide, rate)
        found.append(Finding("lsd", name, index, at_s, own - other, own, other))
    return found


def _moment(more: np.ndarray, hop: int, wide: Audio, sample_rate: int) -> float:
    """When a series of frames is highest, in seconds."""
    return min(int(np.argmax(more)) * hop, len(wide)) / sample_rate


def _error_power(predicted: Audio, wide: Audio, sample_rate: int) -> np.ndarray:
    hop = _hop(sample_rate)
    total: np.ndarray = power_spectrogram(predicted - wide, 2 * hop, hop).sum(axis=0)
    return total


def _distance(predicted: Audio, wide: Audio) -> np.ndarray:
    """The log-spectral distance of each frame, before `lsd` takes the mean."""
    x, y = (np.log10(np.maximum(power_spectrogram(a), 1e-8)) for a in (predicted, wide))
    result: np.ndarray = np.sqrt(np.mean((y - x) ** 2, axis=0))
    return result


def _hop(sample_rate: int) -> int:
    return max(1, round(FRAME_S * sample_rate))
