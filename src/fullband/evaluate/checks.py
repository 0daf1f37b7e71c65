"""What has to hold for a system whatever its scores are: pass or fail.

Silence stays silence, the length is exact, the kept band keeps its level, what begins suddenly
begins as suddenly in the new band, partials go on in their places there, and in stereo the new band
has its place: its level difference between the channels and their correlation follow the input's.
The stereo inputs are two voices put to known places by their gains alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.fft

from fullband.audio.level import active_level_db, model_gain
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.corpora.synthetic import synthetic_voice

__all__ = ["Check", "Enhance", "check_all", "check_length", "check_level", "check_silence"]
__all__ += [
    "check_onsets",
    "check_partials",
    "check_stereo",
    "coherence",
    "example_voices",
    "level_difference_db",
]
__all__ += ["mixed_correlation"]

Enhance = Callable[[Audio, int, int], Audio]
"""Audio `[T]` or `[C, T]`, its rate and the rate asked for, to wide audio."""

WIDE_RATE = 48_000
_CUTOFFS_HZ = (4000, 8000)
_SILENT_DB = -120.0
_PAUSE_DB = -90.0
_LEVEL_DB = 0.1
_EARLY_MS = 2.0  # by how much a new band may begin before the original's
_BEGUN_DB = -20.0  # below its peak a sound has begun
_IN_PLACE = 0.5  # of the new band's power
_NEAR_HZ = 40.0  # a partial
_PITCHES_HZ = (233.1, 349.2)
_PLACE_DB = 1.5  # of one voice
_MIXED_CORRELATION = 0.2  # of two at once
_ONE_VOICE = 0.95  # the correlation of one voice in two channels is 1
_NOTHING_DB = -70.0  # a new band so far below the kept one has no place
_BAND_HZ = 2000
_FADE_HZ = 500  # bands begin so far above the cutoff, beyond the crossover
_HIGHEST_HZ = 16_000
_FADE = 4800  # 0.1 s

_FAR_GAIN = 0.25  # of a voice in the channel of the other: 12 dB to the left, 12 dB to the right
_GAINS = np.array([[1.0, _FAR_GAIN], [_FAR_GAIN, 1.0]], np.float32)


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
    yield from check_onsets(enhance)
    yield from check_partials(enhance)
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


def check_onsets(enhance: Enhance) -> Iterator[Check]:
    """A drum's new band begins when the drum does: no echo runs ahead of it.

    What has begun is 20 dB below the peak, half a millisecond's power at a time.
    """
    drums, onsets = _drums()
    early_ms = []
    for cutoff_hz in _CUTOFFS_HZ:
        wide = enhance(resample(drums, WIDE_RATE, 2 * cutoff_hz), 2 * cutoff_hz, WIDE_RATE)
        if not _adds(wide, cutoff_hz):
            return
        begun = [_begun_ms(audio, onsets, cutoff_hz + _FADE_HZ) for audio in (wide, drums)]
        early_ms.append(float(np.max(begun[1] - begun[0])))
    asked = (
        f"drums: new band begins at most {_EARLY_MS:g} ms before the original's, cut at 4 and 8 kHz"
    )
    yield Check("onset", asked, max(early_ms), max(early_ms) <= _EARLY_MS)


def check_partials(enhance: Enhance) -> Iterator[Check]:
    """The partials of a steady tone go on above the cutoff where they would have been."""
    shares = []
    for cutoff_hz in _CUTOFFS_HZ:
        for pitch_hz in _PITCHES_HZ:
            tone = _tone(pitch_hz)
            wide = enhance(resample(tone, WIDE_RATE, 2 * cutoff_hz), 2 * cutoff_hz, WIDE_RATE)
            if not _adds(wide, cutoff_hz):
                return
            shares.append(_in_place(wide, pitch_hz, cutoff_hz + _FADE_HZ))
    asked = (
        f"tones of 233 and 349 Hz cut at 4 and 8 kHz: at least {_IN_PLACE:.0%} of the new band's "
        f"power within {_NEAR_HZ:g} Hz of a partial"
    )
    yield Check("partials", asked, min(shares), min(shares) >= _IN_PLACE)


def check_stereo(enhance: Enhance, voices: tuple[Audio, Audio]) -> Iterator[Check]:
    """The new band lies where the input lies: one voice, and two at once.

    Of two at once either may be the louder in a band, so where it lies is not known. But it must
    lie between the two, and with the place goes a correlation (`mixed_correlation`).
    """
    length = min(map(len, voices))
    both = np.stack(
        [
            voice[:length] * np.float32(model_gain(active_level_db(voice, WIDE_RATE)))
            for voice in voices
        ]
    )
    farthest_db = -20 * float(np.log10(_FAR_GAIN))
    off_db, least, beyond_db, off = [0.0], [1.0], [0.0], [0.0]
    found = False
    for cutoff_hz in _CUTOFFS_HZ:
        for number, place_db in enumerate((farthest_db, -farthest_db)):
            audio = _GAINS[:, number, None] * both[number]
            for low, high, wide in _new_bands(enhance, audio, cutoff_hz):
                found = True
                off_db.append(abs(level_difference_db(wide, low, high) - place_db))
                least.append(coherence(wide, low, high))
        for low, high, wide in _new_bands(enhance, _GAINS @ both, cutoff_hz):
            place_db = level_difference_db(wide, low, high)
            beyond_db.append(abs(place_db) - farthest_db)
            off.append(abs(coherence(wide, low, high) - mixed_correlation(place_db, _FAR_GAIN)))
    if not found:
        return  # nothing was added
    asked = f"one voice 12 dB to a side: new band there within {_PLACE_DB} dB"
    yield Check("stereo-place", asked, max(off_db), max(off_db) <= _PLACE_DB)
    asked = f"one voice: correlation of the new band's channels at least {_ONE_VOICE}"
    yield Check("stereo-correlation", asked, min(least), min(least) >= _ONE_VOICE)
    asked = f"a voice on each side: new band at most {_PLACE_DB} dB beyond either"
    yield Check("stereo-mix-place", asked, max(beyond_db), max(beyond_db) <= _PLACE_DB)
    asked = f"a voice on each side: correlation within {_MIXED_CORRELATION} of what its place means"
    yield Check("stereo-mix-correlation", asked, max(off), max(off) <= _MIXED_CORRELATION)


def mixed_correlation(difference_db: float, far_gain: float) -> float:
    """The correlation of two channels that hold two unrelated voices, by their level difference.

    Each voice is in its own channel with gain 1 and in the other with `far_gain` g. With powers t
    and 1 of the voices the channels have t + g^2 and g^2 t + 1, and the cross term is g (t + 1).
    The level difference gives t, and t the correlation.

    >>> round(mixed_correlation(0.0, 0.25), 3)  # t = 1: 2 g / (1 + g^2)
    0.471
    """
    ratio = 10 ** (difference_db / 10)
    squared = far_gain**2
    t = max(0.0, ratio - squared) / max(1e-9, 1 - ratio * squared)
    return float(far_gain * (t + 1) / np.sqrt((t + squared) * (squared * t + 1)))


def level_difference_db(stereo: Audio, from_hz: float, to_hz: float) -> float:
    """Left over right in a band, in dB.

    Shape:
        stereo `[2, T]` at 48 kHz.
    """
    left, right = np.sum(np.abs(_band(_spectrum(stereo), from_hz, to_hz)) ** 2, axis=-1)
    return 10 * float(np.log10((left + 1e-20) / (right + 1e-20)))


def coherence(stereo: Audio, from_hz: float, to_hz: float) -> float:
    """The correlation of the channels in a band, -1 to 1.

    By Parseval: the sum over the band's frequencies of the cross-spectrum's real part, over the
    root of both powers.

    Shape:
        stereo `[2, T]` at 48 kHz.
    """
    left, right = _band(_spectrum(stereo), from_hz, to_hz)
    power = np.sum(np.abs(left) ** 2) * np.sum(np.abs(right) ** 2)
    return float(np.sum((left * right.conj()).real) / np.sqrt(power + 1e-40))


def example_voices() -> tuple[Audio, Audio]:
    """Two synthetic voices of three seconds, where there are no recordings."""
    generators = (np.random.default_rng(seed) for seed in (1, 2))
    first, second = (synthetic_voice(WIDE_RATE, 3.0, generator) for generator in generators)
    return first, second


def _drums() -> tuple[Audio, np.ndarray]:
    """Noise that begins at once and dies away in 20 ms, seven times, and where it begins."""
    generator = np.random.default_rng(3)
    onsets = np.round(np.arange(0.3, 2.7, 0.37) * WIDE_RATE).astype(int)
    decay = np.exp(-np.arange(int(0.15 * WIDE_RATE)) / (0.02 * WIDE_RATE))
    drums = np.zeros(3 * WIDE_RATE, np.float32)
    for onset in onsets:
        drums[onset : onset + len(decay)] = 0.3 * decay * generator.standard_normal(len(decay))
    return drums, onsets


def _begun_ms(audio: Audio, onsets: np.ndarray, from_hz: float) -> np.ndarray:
    """When what is above a frequency begins at each onset, in ms after it."""
    spectrum = scipy.fft.rfft(audio)
    hz = np.linspace(0, WIDE_RATE / 2, len(spectrum))
    slope = np.minimum(hz - from_hz, _HIGHEST_HZ - hz) / 300.0
    band = scipy.fft.irfft(spectrum * np.clip(slope, 0, 1), len(audio))
    width = WIDE_RATE // 2000
    power = np.convolve(band**2, np.ones(width) / width, "same")
    before, after = WIDE_RATE // 10, WIDE_RATE // 20
    heard = np.stack([power[onset - before : onset + after] for onset in onsets])
    begun = heard > 10 ** (_BEGUN_DB / 10) * heard.max(axis=1, keepdims=True)
    found: np.ndarray = (np.argmax(begun, axis=1) - before) * 1000 / WIDE_RATE
    return found


def _tone(pitch_hz: float) -> Audio:
    """Two seconds of all partials up to 20 kHz, falling by 6 dB an octave, without a click."""
    time_s = np.arange(2 * WIDE_RATE) / WIDE_RATE
    partials = np.arange(1, int(20_000 / pitch_hz) + 1)
    tone = sum(np.sin(2 * np.pi * k * pitch_hz * time_s + k * k) / k for k in partials)
    fade = np.clip(5 * np.minimum(time_s, 2 - time_s), 0, 1)
    faded: Audio = (0.1 * tone * fade).astype(np.float32)
    return faded


def _in_place(audio: Audio, pitch_hz: float, from_hz: float) -> float:
    """The share of a band's power that lies at multiples of the pitch."""
    power = np.abs(scipy.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    hz = np.linspace(0, WIDE_RATE / 2, len(power))
    inside = (hz > from_hz) & (hz < _HIGHEST_HZ)
    off_hz = np.abs(hz - pitch_hz * np.round(hz / pitch_hz))
    return float(power[inside & (off_hz < _NEAR_HZ)].sum() / power[inside].sum())


def _adds(wide: Audio, cutoff_hz: float) -> bool:
    """Whether there is a new band at all."""
    new, kept = (
        _band_power(wide, *band) for band in ((cutoff_hz + _FADE_HZ, _HIGHEST_HZ), (100, cutoff_hz))
    )
    return new > kept * 10 ** (_NOTHING_DB / 10)


def _new_bands(
    enhance: Enhance, audio: Audio, cutoff_hz: int
) -> Iterator[tuple[float, float, Audio]]:
    """Stereo is cut off and enhanced; each new band that has anything in it, with the result."""
    wide = enhance(resample(audio, WIDE_RATE, 2 * cutoff_hz), 2 * cutoff_hz, WIDE_RATE)
    kept = _band_power(wide, 100, cutoff_hz)
    for low in range(cutoff_hz + _FADE_HZ, _HIGHEST_HZ - _BAND_HZ + 1, _BAND_HZ):
        power = _band_power(wide, low, low + _BAND_HZ)
        if power > kept * 10 ** (_NOTHING_DB / 10):
            yield low, low + _BAND_HZ, wide


def _spectrum(audio: Audio) -> np.ndarray:
    """The whole's spectrum, faded so that its ends are no clicks, with zeros added up to a length
    that is quickly transformed."""
    frames = audio.shape[-1]
    from_end = np.minimum(np.arange(frames), np.arange(frames)[::-1])
    fade = np.sin(np.clip(from_end / _FADE, 0, 1) * np.pi / 2) ** 2
    spectrum: np.ndarray = scipy.fft.rfft(audio * fade, scipy.fft.next_fast_len(frames, real=True))
    return spectrum


def _band(spectrum: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    hz = np.linspace(0, WIDE_RATE / 2, spectrum.shape[-1])
    return spectrum[..., (hz >= from_hz) & (hz < to_hz)]


def _band_power(audio: Audio, from_hz: float, to_hz: float) -> float:
    return float(np.sum(np.abs(_band(_spectrum(audio), from_hz, to_hz)) ** 2))


def _amplitude_db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude + 1e-20))
