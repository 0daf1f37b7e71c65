"""Training examples for a model that takes any bandwidth: wide audio varied, then narrowed.

What a network must not learn is its corpora: their microphones, rooms, noise floors and levels, and
where their codecs ended. So every patch is played a little faster or slower, equalised, put into a
room, given a stationary noise floor that reaches over the whole band, and levelled at random, all
before it is narrowed; and beside it stands up to which frequency its recording is true, above which
no loss may look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.fft

from fullband.audio.bandwidth import BandwidthMeter
from fullband.audio.holes import HOLES_FROM_HZ
from fullband.audio.level import model_gain
from fullband.audio.resample import PASSED, resample
from fullband.audio.samples import Audio
from fullband.corpora.dataset import Decoded, PairSettings, random_colour
from fullband.corpora.notes import Notes
from fullband.degrade.codec import Coding
from fullband.degrade.response import bandlimit_spectrum, draw_response
from fullband.errors import AudioFileError

__all__ = ["MOST_HOLES", "Example", "NarrowingDataset", "VarySettings"]

_USUAL_HZ = (2000.0, 3400.0, 4000.0, 5512.5, 6000.0, 8000.0, 11025.0, 12000.0, 16000.0)
MOST_HOLES = 0.035  # a tenth as many is what noise has by itself
_RISING = 0.75  # so many noise floors have a slope over frequency beside that over octaves
_LEAST_NEW_HZ = 1000.0  # a patch has to be true for so much above its cutoff
_TELEPHONE_HZ = 300.0  # below it a telephone passes next to nothing
_LEVEL_HZ = 4000.0  # where a noise floor has the level that is drawn for it
_FLOOR_POINTS = 129  # frequencies at which a noise floor is told of
_NO_FLOOR = -20.0  # log10 of the power of no noise
_FILLS_NOTHING = 0.25  # of the patches without holes, so many are judged as if they had some


@dataclass(frozen=True)
class Example:
    """A batch.

    Attributes:
        narrow, wide: `[B, T]`.
        bandwidth_hz: `[B]`, where the narrow audio's content ends.
        from_hz: `[B]`, from where on it may lack something: its bandwidth, or where holes begin.
        true_hz: `[B]`, up to where the wide audio is to be believed.
        fine: `[B]`, 1 where its fine structure is, 0 where a codec left holes.
        floor: `[B, K]`, the noise added to it, log10 of the mean power of a sample, at frequencies
            from 0 Hz to Nyquist. It reaches over codecs' walls.
    """

    narrow: Audio
    wide: Audio
    bandwidth_hz: np.ndarray
    from_hz: np.ndarray
    true_hz: np.ndarray
    fine: np.ndarray
    floor: np.ndarray


class VarySettings(PairSettings, Protocol):
    """How patches are varied; `fullband.train.config` declares and explains it."""

    @property
    def equaliser_db(self) -> float: ...
    @property
    def room(self) -> float: ...
    @property
    def noise(self) -> float: ...
    @property
    def noise_db(self) -> tuple[float, float]: ...
    @property
    def lowest_hz(self) -> float: ...
    @property
    def highest_hz(self) -> float: ...
    @property
    def balance(self) -> float: ...
    @property
    def telephone(self) -> float: ...
    @property
    def coded(self) -> float: ...
    @property
    def codings(self) -> tuple[tuple[str, float, float], ...]: ...


class NarrowingDataset:
    """Draws batches by a generator that depends on the seed and the step alone.

    Recordings of one speaker stand end to end, and a patch may reach over several of them.

    Args:
        notes: who speaks in each recording, and how far it is to be believed.
    """

    def __init__(
        self,
        decoded: Decoded,
        notes: Notes,
        settings: VarySettings,
        seed: int,
    ) -> None:
        self._decoded = decoded
        self._settings = settings
        self._seed = seed
        speakers = notes.speakers
        self._true_hz, self._holes = notes.true_hz, notes.holes
        self._gains = np.array([model_gain(level) for level in decoded.levels_db])
        starts = np.array(decoded.starts)
        # Runs of recordings of one speaker.
        change = [i for i in range(len(speakers)) if i == 0 or speakers[i] != speakers[i - 1]]
        ends = [*change[1:], len(speakers)]
        needed = int(settings.patch_samples * (1 + settings.speed)) + 2
        runs = [
            (first, last)
            for first, last in zip(change, ends, strict=True)
            if starts[last] - starts[first] >= needed
        ]
        if not runs:
            raise AudioFileError("no speaker has as much audio as one training patch")
        lengths: dict[str, float] = {}
        for first, last in runs:
            name = speakers[first]
            lengths[name] = lengths.get(name, 0.0) + float(starts[last] - starts[first])
        weights = np.array(
            [
                float(starts[last] - starts[first])
                * _worth(self._true_hz[first:last], self._holes[first:last])
                * lengths[speakers[first]] ** (-settings.balance)
                for first, last in runs
            ]
        )
        self._runs, self._weights = runs, weights / weights.sum()
        self._starts = starts

    def batch(self, step: int) -> Example:
        """The patches of one step."""
        generator = np.random.default_rng([self._seed, step])
        items = [self._item(generator) for _ in range(self._settings.batch_size)]
        narrow, wide, bandwidth_hz, from_hz, true_hz, fine, floor = zip(*items, strict=True)
        return Example(
            np.stack(narrow),
            np.stack(wide),
            np.array(bandwidth_hz, np.float32),
            np.array(from_hz, np.float32),
            np.array(true_hz, np.float32),
            np.array(fine, np.float32),
            np.stack(floor),
        )

    def _item(
        self, generator: np.random.Generator
    ) -> tuple[Audio, Audio, float, float, float, float, np.ndarray]:
        settings, rate = self._settings, self._decoded.sample_rate
        length = settings.patch_samples
        speed = float(generator.uniform(1 - settings.speed, 1 + settings.speed))
        patch, true_hz, holes = self._cut(generator, round(length * speed / 2) * 2)
        spectrum = scipy.fft.rfft(patch)
        # Played faster or slower: the same cycles in fewer or more samples.
        bins = length // 2 + 1
        spectrum = np.pad(spectrum[:bins], (0, max(0, bins - len(spectrum)))) * (
            length / len(patch)
        )
        true_hz = min(
            true_hz * len(patch) / length, 0.98 * rate / 2 * min(1.0, len(patch) / length)
        )
        bin_hz = rate / length
        frequency = np.arange(bins) * bin_hz
        spectrum *= self._colour(generator, frequency)
        if generator.random() < settings.room:
            spectrum *= _room(generator, length, rate)
        spectrum *= _level(generator, settings.gain_db)
        floor_db = np.full(bins, 10 * _NO_FLOOR)
        if generator.random() < settings.noise:
            floor_db = self._floor_db(generator, frequency)
            spectrum += _noise(generator, floor_db, length)

        points = np.linspace(0, frequency[-1], _FLOOR_POINTS)
        floor = (np.interp(points, frequency, floor_db) / 10).astype(np.float32)
        about = true_hz, float(holes < MOST_HOLES), floor
        if settings.coded and generator.random() < settings.coded:
            wide = scipy.fft.irfft(spectrum, length).astype(np.float32)
            return self._code(generator, wide) + about

        cutoff_hz = self._cutoff(generator, true_hz)
        drawn = draw_response(generator, cutoff_hz)
        narrow = bandlimit_spectrum(spectrum, bin_hz, drawn)
        if generator.random() < settings.telephone:
            narrow /= 1 + (_TELEPHONE_HZ / np.maximum(frequency, 1.0)) ** 8
        bandwidth_hz = drawn.bandwidth_hz * float(generator.uniform(0.97, 1.02))
        sides = scipy.fft.irfft(np.stack([narrow, spectrum]), length).astype(np.float32)
        if generator.random() < 0.5:  # 16 bits, at the narrow rate or at the wide one
            step = 2.0**-15 * 10 ** (generator.uniform(-6, 20) / 20)
            noise = generator.random(length, np.float32) - np.float32(0.5)
            if generator.random() < 0.7:
                inside = scipy.fft.rfft(noise)
                inside[frequency > cutoff_hz] = 0
                noise = scipy.fft.irfft(inside, length)
            sides[0] += np.float32(step) * noise
        from_hz = bandwidth_hz
        if settings.coded and generator.random() < _FILLS_NOTHING:
            from_hz = min(from_hz, HOLES_FROM_HZ)
        return sides[0], sides[1], bandwidth_hz, from_hz, *about

    def _code(
        self, generator: np.random.Generator, wide: Audio
    ) -> tuple[Audio, Audio, float, float]:
        """What a codec makes of a patch at a rate drawn by octaves, and where that may lack some.

        A telephone codec's audio lacks what is above its end; others may leave holes below it.
        """
        settings, rate = self._settings, self._decoded.sample_rate
        codec, low, high = settings.codings[int(generator.integers(len(settings.codings)))]
        octaves = np.log2([max(low, 1.0), max(high, 1.0)])
        coding = Coding.nearest(codec, float(2 ** generator.uniform(*octaves)) if low else 0.0)
        # Codecs have a full scale, which a patch need not know.
        scale = np.float32(min(1.0, 0.9 / max(float(np.max(np.abs(wide))), 1e-9)))
        narrow, coded_rate = coding.apply(wide * scale, rate)
        narrow = resample(narrow, coded_rate, rate)[: len(wide)] / scale
        narrow = np.pad(narrow, (0, len(wide) - len(narrow)))
        meter = BandwidthMeter(rate)
        meter.push(narrow[None])
        heard_hz = float(np.clip(meter.bandwidth_hz(), HOLES_FROM_HZ, 0.98 * rate / 2))
        if coding.telephone:
            heard_hz = min(heard_hz, PASSED * coded_rate / 2)
            return narrow, wide, heard_hz, heard_hz
        return narrow, wide, heard_hz, HOLES_FROM_HZ

    def _cut(self, generator: np.random.Generator, length: int) -> tuple[np.ndarray, float, float]:
        """`length` samples of one speaker, each recording at the reference level."""
        first, last = self._runs[int(generator.choice(len(self._runs), p=self._weights))]
        begin = int(generator.integers(self._starts[first], self._starts[last] - length + 1))
        touched = np.searchsorted(self._starts, [begin, begin + length - 1], side="right") - 1
        patch = np.asarray(self._decoded.samples[begin : begin + length], np.float32).copy()
        for index in range(touched[0], touched[1] + 1):
            inside = slice(
                max(0, self._starts[index] - begin), max(0, self._starts[index + 1] - begin)
            )
            patch[inside] *= self._gains[index]
        if generator.random() < 0.5:
            patch *= -1
        inside = slice(touched[0], touched[1] + 1)
        return patch, float(self._true_hz[inside].min()), float(self._holes[inside].max())

    def _cutoff(self, generator: np.random.Generator, true_hz: float) -> float:
        settings = self._settings
        highest = min(settings.highest_hz, true_hz - _LEAST_NEW_HZ)
        if generator.random() < 0.6:
            fitting = [hz for hz in _USUAL_HZ if settings.lowest_hz <= hz <= highest]
            if fitting:
                return float(generator.choice(fitting))
        low, high = np.log(settings.lowest_hz), np.log(max(highest, settings.lowest_hz + 1))
        return float(np.exp(generator.uniform(low, high)))

    def _colour(self, generator: np.random.Generator, frequency: np.ndarray) -> np.ndarray:
        """A smooth equalisation: a tilt and gentle bends over octaves."""
        most = self._settings.equaliser_db
        points = np.arange(-4.5, 5.5, 1.0)
        gain = random_colour(generator, frequency, points, most, most / 3, most / 6)
        return gain.astype(np.float32)

    def _floor_db(self, generator: np.random.Generator, frequency: np.ndarray) -> np.ndarray:
        """A noise floor of random level and colour: the mean power of a sample, in dB.

        A room's noise falls by octaves, that of a microphone's capsule and of white dither does
        not, and converters and shaped dither push theirs up towards the Nyquist frequency.
        """
        low, high = self._settings.noise_db
        octave = np.log2(np.maximum(frequency, 100.0) / _LEVEL_HZ)
        points = np.arange(-6.0, 4.0, 1.0)
        colour_db = generator.uniform(-5.0, 3.0) * octave
        colour_db += np.interp(octave, points, generator.normal(0, 2.5, len(points)))
        if generator.random() < _RISING:
            rising = (frequency - _LEVEL_HZ) / frequency[-1]
            colour_db += generator.uniform(-5.0, 30.0) * rising
        floor_db: np.ndarray = generator.uniform(low, high) + np.clip(colour_db, -40, 40)
        return floor_db


def _worth(true_hz: np.ndarray, holes: np.ndarray) -> float:
    """How much recordings teach: more where they are true higher up, and without holes."""
    return float(np.mean(true_hz**2 / (1 + (holes / MOST_HOLES) ** 2)))


def _noise(generator: np.random.Generator, floor_db: np.ndarray, length: int) -> np.ndarray:
    """The spectrum of stationary noise of so much power."""
    parts = generator.standard_normal((len(floor_db), 2), np.float32)
    noise: np.ndarray = parts.view(np.complex64)[:, 0]
    noise *= (math.sqrt(length / 2) * 10 ** (floor_db / 20)).astype(np.float32)
    return noise


def _level(generator: np.random.Generator, gain_db: float) -> float:
    return float(10 ** (generator.uniform(-gain_db, gain_db) / 20))


def _room(generator: np.random.Generator, length: int, sample_rate: int) -> np.ndarray:
    """The spectrum of a room's response: the direct sound, then noise that dies away."""
    decay_s = generator.uniform(0.1, 0.6)
    samples = min(length // 2, int(decay_s * sample_rate))
    time_s = np.arange(samples) / sample_rate
    tail = generator.standard_normal(samples, np.float32)
    tail *= 10 ** (-3 * time_s / decay_s)
    # Treble dies away sooner.
    smoothing = generator.uniform(0.0, 0.6)
    tail[1:] = tail[1:] * (1 - smoothing) + smoothing * (tail[1:] + tail[:-1]) / 2
    tail[: int(0.002 * sample_rate)] = 0
    share_db = generator.uniform(-25, -3)
    tail *= 10 ** (share_db / 20) / max(1e-9, float(np.sqrt(np.sum(tail**2))))
    tail[0] = 1.0
    return np.asarray(scipy.fft.rfft(tail, length))
