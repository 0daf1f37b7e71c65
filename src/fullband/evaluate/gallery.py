"""Spectrograms of telling moments: input, what a system made of it, and the original.

The moments are found by measuring, not by looking: in frames of 40 ms of every recording, how loud
it is, how periodic, how much of it lies high up, and how fast it rises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullband.audio.level import active_level_db
from fullband.audio.picture import Panel, SpectrogramMeter, draw_spectrograms
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.evaluate.checks import Enhance
from fullband.evaluate.cutoffs import SAMPLE_RATE, Recording

__all__ = ["GALLERY_CUTOFFS_HZ", "MOMENTS", "Moment", "draw_gallery", "find_moments"]

GALLERY_CUTOFFS_HZ = (4000, 6000, 8000, 12_000)
MOMENTS = ("harmonics", "fricatives", "onset", "silence", "breath")

_FRAME = 1920  # 40 ms
_AROUND_S = 0.5
_FADE = 480  # 10 ms
_SHOWN_HZ = 24_000.0


@dataclass(frozen=True)
class Moment:
    """Where a kind of sound is at its clearest.

    Attributes:
        kind: one of `MOMENTS`.
        at_s: its middle.
    """

    kind: str
    recording: Recording
    at_s: float


def find_moments(recordings: Sequence[Recording]) -> list[Moment]:
    """The clearest moment of each kind in any of the recordings.

    - `harmonics`: the most periodic stretch of 0.2 s that is loud.
    - `fricatives`: the stretch with the most of its power above 4 kHz, within 25 dB of the speech's
      level.
    - `onset`: the fastest rise, from a quiet 80 ms to a loud 80 ms.
    - `silence`: the quietest stretch between the first and the last word.
    - `breath`: the least periodic stretch that lies 20 to 40 dB below the speech's level, 6 dB
      above the recording's floor.
    """
    best: dict[str, tuple[float, Moment]] = {}
    for recording in recordings:
        wide = recording.wide()
        for kind, scores in _scores(wide).items():
            frame = int(np.argmax(scores))
            found = Moment(kind, recording, (frame + 0.5) * _FRAME / SAMPLE_RATE)
            if np.isfinite(scores[frame]) and scores[frame] > best.get(kind, (-np.inf,))[0]:
                best[kind] = float(scores[frame]), found
    return [best[kind][1] for kind in MOMENTS if kind in best]


def draw_gallery(
    moments: Sequence[Moment],
    enhance: Enhance,
    folder: Path,
    name: str = "ours",
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """One picture `KIND-HZ.png` per moment and cutoff: input, output and original above each other.

    Args:
        name: what the output is called in the picture.
        progress: called with a picture's name, the pictures done and those in all.

    Returns:
        The pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    total = len(moments) * len(GALLERY_CUTOFFS_HZ)
    for moment in moments:
        wide = moment.recording.wide()
        for cutoff_hz in GALLERY_CUTOFFS_HZ:
            path = folder / f"{moment.kind}-{cutoff_hz}.png"
            if progress is not None:
                progress(path.name, len(paths), total)
            narrow = resample(wide, SAMPLE_RATE, 2 * cutoff_hz)
            shown = {
                f"input, to {cutoff_hz / 1000:g} kHz": resample(narrow, 2 * cutoff_hz, SAMPLE_RATE),
                name: enhance(narrow, 2 * cutoff_hz, SAMPLE_RATE),
                f"original, {moment.recording.file} at {moment.at_s:.2f} s": wide,
            }
            panels = [
                _panel(title, audio, moment.at_s, cutoff_hz) for title, audio in shown.items()
            ]
            draw_spectrograms(path, panels)
            paths.append(path)
    return paths


def _panel(title: str, audio: Audio, at_s: float, cutoff_hz: float) -> Panel:
    start = max(0, round((at_s - _AROUND_S) * SAMPLE_RATE))
    shown = audio[start : start + round(2 * _AROUND_S * SAMPLE_RATE)].copy()
    ramp = np.linspace(0, 1, min(_FADE, len(shown)), dtype=np.float32)
    shown[: len(ramp)] *= ramp  # cut out as it is, its ends would be bright lines
    shown[len(shown) - len(ramp) :] *= ramp[::-1]
    meter = SpectrogramMeter(SAMPLE_RATE, len(shown), _SHOWN_HZ)
    meter.push(shown[None])
    return meter.panel(title, cutoff_hz)


def _scores(wide: Audio) -> dict[str, np.ndarray]:
    """How much every frame is a moment of each kind; minus infinity where it is none."""
    count = len(wide) // _FRAME
    if count < 12:
        return {}
    frames = wide[: count * _FRAME].reshape(count, _FRAME).astype(np.float64)
    power = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=1)) ** 2
    hz = np.fft.rfftfreq(_FRAME, 1 / SAMPLE_RATE)
    total = power.sum(axis=1) + 1e-12
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    below_speech_db = active_level_db(wide, SAMPLE_RATE) - level_db
    high = power[:, hz >= 4000].sum(axis=1) / total
    periodic = _periodicity(frames)
    # Over five frames, so that one frame's accident is no moment.
    steady, hissing = _smooth(periodic), _smooth(high)
    quiet, loud = _smooth(below_speech_db, np.max), _smooth(below_speech_db, np.min)
    rise_db = np.full(count, -np.inf)
    before, after = level_db[:-3], level_db[2:-1]
    rise_db[1:-2] = np.minimum(after, level_db[3:]) - np.maximum(before, level_db[1:-2])
    floor_db = np.percentile(level_db, 5)
    words = np.flatnonzero(below_speech_db < 15)
    inside = np.zeros(count, bool)
    if len(words):
        inside[words[0] : words[-1]] = True
    breathy = (below_speech_db > 20) & (below_speech_db < 40) & (level_db > floor_db + 6)
    return {
        "harmonics": np.where(quiet < 10, steady, -np.inf),
        "fricatives": np.where(quiet < 25, hissing, -np.inf),
        "onset": np.where(_after(below_speech_db) < 10, rise_db, -np.inf),
        "silence": np.where(inside, loud, -np.inf),
        "breath": np.where(breathy & inside & (high < 0.5), -steady, -np.inf),
    }


def _periodicity(frames: np.ndarray) -> np.ndarray:
    """The highest autocorrelation at a lag of 2.5 to 14 ms (70 to 400 Hz), relative to lag 0."""
    spectrum = np.abs(np.fft.rfft(frames, 2 * _FRAME, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)
    lags = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 70)
    unbiased = correlation[:, lags] / (1 - lags / _FRAME)
    highest: np.ndarray = unbiased.max(axis=1) / (correlation[:, 0] + 1e-12)
    return highest


def _smooth(values: np.ndarray, over: Callable[..., np.ndarray] = np.mean) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 2, mode="edge"), 5)
    return np.asarray(over(windows, axis=1))


def _after(values: np.ndarray) -> np.ndarray:
    """Each frame's next but one."""
    return np.concatenate([values[2:], values[-1:], values[-1:]])
