"""The samples of a corpus, decoded once into a memory map, and training pairs drawn from it.

Decoding, resampling and measuring levels happen once per corpus, split and rate; the result is
kept under the cache folder and found again by a hash of what it was made from. Pairs are drawn by
a generator that depends on the seed and the step alone, so a resumed training sees exactly what an
uninterrupted one would.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from fullband.audio.file import read
from fullband.audio.level import active_level_db, model_gain
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.corpora.manifest import Corpus
from fullband.degrade import degrade, draw, lower_rate
from fullband.errors import AudioFileError, MissingFileError
from fullband.models.spline import interpolate

__all__ = ["Decoded", "PairDataset", "PairSettings", "decode", "default_cache", "random_colour"]

_FORMAT = 1  # raise it when decoding changes, so that old memory maps are not used
_EDGE = 512  # samples around a patch that are degraded with it and then cut off


@dataclass(frozen=True)
class Decoded:
    """All samples of one split at one rate, one file after the other.

    Attributes:
        samples: float32 `[total]`, memory-mapped.
        starts: where each file begins, and the total at the end.
        levels_db: each file's active level.
    """

    samples: np.ndarray
    starts: tuple[int, ...]
    levels_db: tuple[float, ...]
    names: tuple[str, ...]
    sample_rate: int

    def __len__(self) -> int:
        return len(self.names)

    def recording(self, index: int) -> Audio:
        """The samples `[T]` of one file."""
        return np.asarray(self.samples[self.starts[index] : self.starts[index + 1]])


def default_cache() -> Path:
    """Where decoded corpora are kept: `$FULLBAND_CACHE`, else `fullband` in the user's cache."""
    if "FULLBAND_CACHE" in os.environ:
        return Path(os.environ["FULLBAND_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fullband"


def decode(corpus: Corpus, split: str, sample_rate: int, cache: Path | None = None) -> Decoded:
    """Decode a split to mono at one rate, or find it decoded already.

    Raises:
        MissingFileError: the split or one of its files does not exist.
        AudioFileError: a file cannot be read.
    """
    cache = cache or default_cache()
    names = corpus.split(split)
    key = _key(corpus, names, sample_rate)
    data, index = cache / f"{key}.npy", cache / f"{key}.json"
    if not (data.is_file() and index.is_file()):
        _decode_to(corpus, names, sample_rate, data, index)
    described = json.loads(index.read_text(encoding="utf-8"))
    return Decoded(
        samples=np.load(data, mmap_mode="r", allow_pickle=False),
        starts=tuple(described["starts"]),
        levels_db=tuple(described["levels_db"]),
        names=names,
        sample_rate=sample_rate,
    )


class PairSettings(Protocol):
    """What drawing a batch needs to know; `fullband.train.config` declares and explains it."""

    @property
    def patch_samples(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def gain_db(self) -> float: ...

    @property
    def speed(self) -> float: ...

    @property
    def transpose(self) -> int: ...

    @property
    def colour_db(self) -> float: ...


class PairDataset:
    """Training pairs: patches of wide audio and the narrow audio made from them, back at its rate.

    Args:
        methods: degradations to choose from, see `fullband.degrade`.
        ratios: how many times lower the narrow rate is; one is drawn per batch.
    """

    def __init__(
        self,
        decoded: Decoded,
        settings: PairSettings,
        methods: tuple[str, ...],
        ratios: tuple[int, ...],
        seed: int,
    ) -> None:
        fastest = (1 + settings.speed) * 2 ** (settings.transpose / 12)
        needed = round((settings.patch_samples + 2 * _EDGE) * fastest) + 1
        lengths = np.diff(decoded.starts)
        self._usable = np.flatnonzero(lengths >= needed)
        if not len(self._usable):
            longest = lengths.max() / decoded.sample_rate
            raise AudioFileError(
                f"no recording is as long as a training patch of {needed / decoded.sample_rate:.2f}"
                f" s (the longest has {longest:.2f} s); lower data.patch_samples"
            )
        # Long recordings are drawn more often, so that every second of audio counts the same.
        self._weights = lengths[self._usable] / lengths[self._usable].sum()
        self._decoded = decoded
        self._settings = settings
        self._methods = methods
        self._rates = tuple(lower_rate(decoded.sample_rate, ratio) for ratio in ratios)
        self._seed = seed

    def batch(self, step: int) -> tuple[Audio, Audio]:
        """The narrow (spline-interpolated) and wide patches of one step.

        Shape:
            two arrays `[B, T]`.
        """
        settings = self._settings
        generator = np.random.default_rng([self._seed, step])
        length = settings.patch_samples + 2 * _EDGE
        wide = np.stack([self._patch(generator, length) for _ in range(settings.batch_size)])
        rate = self._decoded.sample_rate
        narrow, degradation = draw(wide, rate, generator, self._methods, self._rates)
        narrow = interpolate(narrow, degradation.narrow_rate, rate)
        inside = slice(_EDGE, _EDGE + settings.patch_samples)
        return np.ascontiguousarray(narrow[:, inside]), np.ascontiguousarray(wide[:, inside])

    def narrowed(self, wide: Audio) -> Audio:
        """Narrow audio of any other, by the first method and at the first ratio. `[B, T]` twice."""
        rate, narrow_rate = self._decoded.sample_rate, self._rates[0]
        narrow = degrade(wide, rate, narrow_rate, self._methods[0])
        return interpolate(narrow, narrow_rate, rate)[..., : wide.shape[-1]]

    def _patch(self, generator: np.random.Generator, length: int) -> Audio:
        settings = self._settings
        index = int(generator.choice(self._usable, p=self._weights))
        speed = float(generator.uniform(1 - settings.speed, 1 + settings.speed))
        if settings.transpose:
            semitones = int(generator.integers(-settings.transpose, settings.transpose + 1))
            speed *= 2 ** (semitones / 12)
        taken = length if speed == 1 else int(length * speed) + 1
        first, last = self._decoded.starts[index], self._decoded.starts[index + 1]
        start = int(generator.integers(first, last - taken + 1))
        patch = np.asarray(self._decoded.samples[start : start + taken])
        if speed != 1:
            rate = self._decoded.sample_rate
            patch = resample(patch, round(rate * speed), rate)[:length]
            patch = np.pad(patch, (0, length - len(patch)))
        if settings.colour_db:
            patch = _coloured(generator, patch, self._decoded.sample_rate, settings.colour_db)
        gain_db = 20 * math.log10(model_gain(self._decoded.levels_db[index]))
        gain_db += float(generator.uniform(-settings.gain_db, settings.gain_db))
        sign = 1.0 if generator.random() < 0.5 else -1.0
        scaled: Audio = patch * np.float32(sign * 10 ** (gain_db / 20))
        return scaled


def random_colour(
    generator: np.random.Generator,
    hz: np.ndarray,
    points: np.ndarray,
    most_db: float,
    bend_db: float,
    tilt_db: float,
) -> np.ndarray:
    """The gains of a smooth random equaliser: a tilt, and a bend at each of some points.

    Args:
        points: in octaves from 1 kHz.
        bend_db, tilt_db: deviations of a bend, and of the tilt in an octave.
        most_db: half of what a gain may come to.
    """
    octave = np.log2(np.maximum(hz, 60.0) / 1000.0)
    bends = generator.normal(0, bend_db, len(points))
    gain_db = generator.normal(0, tilt_db) * octave + np.interp(octave, points, bends)
    gain: np.ndarray = 10 ** (np.clip(gain_db, -2 * most_db, 2 * most_db) / 20)
    return gain


def _coloured(
    generator: np.random.Generator, patch: Audio, sample_rate: int, most_db: float
) -> Audio:
    """Through a random equaliser that bends every three quarters of an octave."""
    length = 2 * len(patch)  # twice, so that its response does not wrap around
    hz = np.fft.rfftfreq(length, 1 / sample_rate)
    points = np.arange(-4.5, 5.0, 0.75)
    gain = random_colour(generator, hz, points, most_db, most_db / 2, most_db / 4)
    spectrum = np.fft.rfft(patch, length) * gain
    coloured: Audio = np.fft.irfft(spectrum, length)[: len(patch)].astype(np.float32)
    return coloured


def _key(corpus: Corpus, names: tuple[str, ...], sample_rate: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {sample_rate}".encode())
    for name in names:
        try:
            status = (corpus.folder / name).stat()
        except OSError:
            raise MissingFileError(
                f"{corpus.folder / name}: named by the corpus, not there"
            ) from None
        digest.update(f"\n{name} {status.st_size} {status.st_mtime_ns}".encode())
    return f"{corpus.name}-{sample_rate}-{digest.hexdigest()[:16]}"


def _decode_to(
    corpus: Corpus, names: tuple[str, ...], sample_rate: int, data: Path, index: Path
) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    starts, levels = [0], []
    mark = secrets.token_hex(4)
    decoded, part = (path.with_name(f"{path.name}.{mark}.part") for path in (data, index))
    try:
        with decoded.open("wb") as out:
            _write_header(out, 0)
            for name in names:
                audio, rate = read(corpus.folder / name)
                mono = audio if audio.ndim == 1 else audio.mean(axis=0)
                mono = resample(mono, rate, sample_rate)
                if not len(mono):
                    where = corpus.folder / name
                    raise AudioFileError(f"{where}: nothing is left of it at {sample_rate} Hz")
                levels.append(active_level_db(mono, sample_rate))
                starts.append(starts[-1] + len(mono))
                out.write(mono.astype(np.float32, copy=False).tobytes())
            out.seek(0)
            _write_header(out, starts[-1])
        described = {"starts": starts, "levels_db": levels}
        part.write_text(json.dumps(described), encoding="utf-8")
        # Renamed, so that a process that reads what another decoded before keeps what it reads.
        decoded.replace(data)
        part.replace(index)  # last: it marks completeness
    finally:
        decoded.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _write_header(out: BinaryIO, samples: int) -> None:
    """Of a `.npy` file of so many float32; numpy leaves room for a longer shape."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (samples,)}
    np.lib.format.write_array_header_1_0(out, header)
