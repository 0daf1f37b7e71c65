"""What has to hold for a system whatever its scores are: pass or fail.

Silence stays silence, the length is exact, the kept band keeps its level, and in stereo the new
band has its place: its level difference between the channels and their correlation follow the
input's. The stereo inputs are two voices put to known places by their gains alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.corpora.synthetic import synthetic_voice

__all__ = ["Check", "Enhance", "check_all", "check_length", "check_level", "check_silence"]
__all__ += ["check_stereo", "coherence", "example_voices", "level_difference_db"]

Enhance = Callable[[Audio, int, int], Audio]
"""Audio `[T]` or `[C, T]`, its rate and the rate asked for, to wide audio."""

WIDE_RATE = 48_000
_CUTOFFS_HZ = (4000, 8000)
_SILENT_DB = -120.0
_PAUSE_DB = -90.0
_LEVEL_DB = 0.1
_PLACE_DB = 1.5  # of one voice
_MIXED_DB, _MIXED_CORRELATION = 3.0, 0.3  # of two at once
_ONE_VOICE = 0.95  # the correlation of one voice in two channels is 1
_NOTHING_DB = -70.0  # a new band so far below the kept one has no place
_BAND_HZ = 2000
_FADE_HZ = 500  # bands begin so far above the cutoff, beyond the crossover
_HIGHEST_HZ = 16_000

# Left and right gain of the two voices: 6 dB to the left, 12 dB to the right.
_GAINS = np.array([[1.0, 0.25], [0.5, 1.0]], np.float32)


@dataclass(frozen=True)
class Check:
    """One thing asked of a system.

    Attributes:
        asked: what must hold, with its bound.
        value: what was measured, the worst of all that were tried.
    """

    check: str
    asked: str
    value: float
    passed: bool

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "passed": int(self.passed)}


def check_all(enhance: Enhance, voices: tuple[Audio, Audio]) -> Iterator[Check]:
    """Every check, one after the other.

    Args:
        voices: two recordings `[T]` at 48 kHz.
    """
    yield from check_silence(enhance, voices[0])
    yield check_length(enhance)
    yield check_level(enhance, voices[0])
    yield from check_stereo(enhance, voices)


def check_silence(enhance: Enhance, voice: Audio) -> Iterator[Check]:
    """Digital silence stays digital silence, alone and between words."""
    peaks = [
        np.max(np.abs(enhance(np.zeros(rate + 1, np.float32), rate, WIDE_RATE)))
        for rate in (8000, 16_000, 44_100)
    ]
    worst = _amplitude_db(max(peaks))
    asked = f"zeros at 8, 16 and 44.1 kHz: peak at most {_SILENT_DB:.0f} dBFS"
    yield Check("silence", asked, worst, worst <= _SILENT_DB)
    rate = 8000
    narrow = resample(voice, WIDE_RATE, rate)[: 2 * rate]
    audio = np.concatenate([narrow, np.zeros(rate, np.float32), narrow])
    pause = slice(len(narrow) * 6 + WIDE_RATE // 4, (len(narrow) + rate) * 6 - WIDE_RATE // 4)
    worst = _amplitude_db(np.max(np.abs(enhance(audio, rate, WIDE_RATE)[pause])))
    asked = f"a second of zeros between words: peak of its middle at most {_PAUSE_DB:.0f} dBFS"
    yield Check("pause", asked, worst, worst <= _PAUSE_DB)


def check_length(enhance: Enhance) -> Check:
    """Exactly `round(T * 48000 / rate)` samples, also of a single one."""
    off = 0
    generator = np.random.default_rng(0)
    for rate, length in ((8000, 1), (8000, 12_345), (11_025, 9999), (22_050, 7), (44_100, 33_333)):
        audio = (0.1 * generator.standard_normal(length)).astype(np.float32)
        made = enhance(audio, rate, WIDE_RATE).shape[-1]
        off = max(off, abs(made - round(length * WIDE_RATE / rate)))
    return Check("length", "exact, 1 to 33,333 samples at 8 to 44.1 kHz", float(off), off == 0)


def check_level(enhance: Enhance, voice: Audio) -> Check:
    """The band that was there keeps its level, quiet or loud."""
    worst = 0.0
    peak = float(np.max(np.abs(voice)))
    for cutoff_hz in _CUTOFFS_HZ:
        narrow = resample(voice, WIDE_RATE, 2 * cutoff_hz)
        for peak_db in (-50.0, -20.0, -3.0):
            scaled = narrow * np.float32(10 ** (peak_db / 20) / peak)
            kept = resample(scaled, 2 * cutoff_hz, WIDE_RATE)
            wide = enhance(scaled, 2 * cutoff_hz, WIDE_RATE)
            change = [_band_power(audio, 100, 0.8 * cutoff_hz) for audio in (wide, kept)]
            worst = max(worst, abs(10 * float(np.log10(change[0] / change[1]))))
    asked = f"kept band at peaks of -50, -20 and -3 dBFS: within {_LEVEL_DB} dB"
    return Check("level", asked, worst, worst <= _LEVEL_DB)


def check_stereo(enhance: Enhance, voices: tuple[Audio, Audio]) -> Iterator[Check]:
    """The new band lies where the input lies: one voice, and two at once."""
    length = min(map(len, voices))
    both = np.stack([voice[:length] for voice in voices])
    off_db, least, mixed_db, mixed_correlation = [0.0], [1.0], [0.0], [0.0]
    found = False
    for cutoff_hz in _CUTOFFS_HZ:
        for number in (0, 1):
            place_db = 20 * float(np.log10(_GAINS[0, number] / _GAINS[1, number]))
            audio = _GAINS[:, number, None] * both[number]
            for low, high, wide in _new_bands(enhance, audio, cutoff_hz):
                found = True
                off_db.append(abs(level_difference_db(wide, low, high) - place_db))
                least.append(coherence(wide, low, high))
        audio = _GAINS @ both
        top = (0.5 * cutoff_hz, 0.9 * cutoff_hz)  # what there is of the input just below
        for low, high, wide in _new_bands(enhance, audio, cutoff_hz):
            difference = level_difference_db(wide, low, high) - level_difference_db(audio, *top)
            mixed_db.append(abs(difference))
            mixed_correlation.append(abs(coherence(wide, low, high) - coherence(audio, *top)))
    if not found:
        return  # nothing was added
    asked = f"one voice 6 dB left or 12 dB right: new band there within {_PLACE_DB} dB"
    yield Check("stereo-place", asked, max(off_db), max(off_db) <= _PLACE_DB)
    asked = f"one voice: correlation of the new band's channels at least {_ONE_VOICE}"
    yield Check("stereo-correlation", asked, min(least), min(least) >= _ONE_VOICE)
    asked = f"both voices: level difference within {_MIXED_DB:.0f} dB of the octave below"
    yield Check("stereo-mix-place", asked, max(mixed_db), max(mixed_db) <= _MIXED_DB)
    asked = f"both voices: correlation within {_MIXED_CORRELATION} of the octave below"
    worst = max(mixed_correlation)
    yield Check("stereo-mix-correlation", asked, worst, worst <= _MIXED_CORRELATION)


def level_difference_db(stereo: Audio, from_hz: float, to_hz: float) -> float:
    """Left over right in a band, in dB.

    Shape:
        stereo `[2, T]` at 48 kHz.
    """
    left, right = (_band_power(channel, from_hz, to_hz) for channel in stereo)
    return 10 * float(np.log10((left + 1e-20) / (right + 1e-20)))


def coherence(stereo: Audio, from_hz: float, to_hz: float) -> float:
    """The correlation of the channels in a band, -1 to 1.

    By Parseval: the sum over the band's frequencies of the cross-spectrum's real part, over the
    root of both powers.

    Shape:
        stereo `[2, T]` at 48 kHz.
    """
    left, right = (_band(channel, from_hz, to_hz) for channel in stereo)
    power = np.sum(np.abs(left) ** 2) * np.sum(np.abs(right) ** 2)
    return float(np.sum((left * right.conj()).real) / np.sqrt(power + 1e-40))


def example_voices() -> tuple[Audio, Audio]:
    """Two synthetic voices of three seconds, where there are no recordings."""
    generators = (np.random.default_rng(seed) for seed in (1, 2))
    first, second = (synthetic_voice(WIDE_RATE, 3.0, generator) for generator in generators)
    return first, second


def _new_bands(
    enhance: Enhance, audio: Audio, cutoff_hz: int
) -> Iterator[tuple[float, float, Audio]]:
    """Stereo is cut off and enhanced; each new band that has anything in it, with the result."""
    wide = enhance(resample(audio, WIDE_RATE, 2 * cutoff_hz), 2 * cutoff_hz, WIDE_RATE)
    kept = sum(_band_power(channel, 100, cutoff_hz) for channel in wide)
    for low in range(cutoff_hz + _FADE_HZ, _HIGHEST_HZ - _BAND_HZ + 1, _BAND_HZ):
        power = sum(_band_power(channel, low, low + _BAND_HZ) for channel in wide)
        if power > kept * 10 ** (_NOTHING_DB / 10):
            yield low, low + _BAND_HZ, wide


def _band(audio: Audio, from_hz: float, to_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(audio.astype(np.float64))
    hz = np.fft.rfftfreq(len(audio), 1 / WIDE_RATE)
    return spectrum[(hz >= from_hz) & (hz < to_hz)]


def _band_power(audio: Audio, from_hz: float, to_hz: float) -> float:
    return float(np.sum(np.abs(_band(audio, from_hz, to_hz)) ** 2))


def _amplitude_db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude + 1e-20))
