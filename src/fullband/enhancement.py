"""Narrow audio in, wide audio out: the one path that every front end calls.

First the recording is heard once to find its level and where its content ends (`Analysis`). Then it
goes through in blocks, along two ways that meet again (`EnhanceStage`):

    source -- soxr to the target rate ----------------------------------------------+--> wide
       |                                                                            |
       +-- soxr to the model's rate --+-- subtracted --------+-- high-pass -- soxr -+
       |                              |                      |
       +-- to its entry rate, up -----+-- model -- predicted +

Mirror images that a cheap way of raising the rate left in the source are taken out in front of it.
A model of any rate is given what the second line has, and told where content ends at every moment;
one that was made for a single entry rate is given what the third line has. Where the target rate is
the model's, the first two lines are one.

What is added is only what the model says beyond the input, above the frequency where the input's
content ends; what is there passes through untouched. Where a codec at a low rate has riddled a
recording with holes, and the model fills them, what is added may lie below that frequency as well.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.bandwidth import BandwidthMeter, Segment
from fullband.audio.content import ContentKind, ContentMeter
from fullband.audio.file import BLOCK_SAMPLES, AudioReader, AudioWriter, refuse_existing
from fullband.audio.filters import (
    Fir,
    SwitchedFir,
    crossover_width_hz,
    highpass_kernel,
    lowpass_kernel,
)
from fullband.audio.formats import check_installed, not_written, subtype_like
from fullband.audio.holes import LOOKED_AT_HZ, RIDDLED, HoleMeter
from fullband.audio.level import LevelMeter, model_gain
from fullband.audio.mirror import BELOW_MIRROR
from fullband.audio.raw import RawFormat
from fullband.audio.resample import PASSED, REACH, Resampler
from fullband.audio.samples import Audio, as_audio, check_sample_rate
from fullband.audio.sandbox import Limits, open_reader
from fullband.engine import Model, Stage, choose_model, open_model
from fullband.errors import AudioError, AudioFileError, OutputError
from fullband.models.spline import SplineInterpolator

__all__ = [
    "Analysis",
    "EnhanceStage",
    "Enhancer",
    "Summary",
    "analyse",
    "check_bandwidth",
    "enhance",
    "enhance_file",
    "load",
]

AUTO = "auto"

LOWEST_BANDWIDTH_HZ = 400.0
"""The lowest bandwidth that can be given."""

FULL_DETAIL = 1.0
"""How loud the new band is, as a factor of its amplitude, where nothing else is asked for."""

_HOLES_BELOW = 0.95  # of the bandwidth are holes looked for
_FILLED_FROM_HZ = 800.0  # a crossover below where they are filled
_GATE_HZ = 50.0  # models that are told the bandwidth begin to add so far below it
_FADE_S = 0.05  # where the bandwidth changes
_BASELINE_RATE = 16_000
_QUIETER_DB = 30.0  # a channel further below the whole is not brought to the same level


@dataclass(frozen=True)
class Analysis:
    """What is known of a recording once it has been heard.

    Attributes:
        bandwidth_hz: where its content ends, over the whole of it.
        segments: the same as time goes by; more than one where it clearly and lastingly changes.
        mirror_hz: above what frequency there are but mirror images of what is below, see
            `fullband.audio.mirror`; None where that is not so.
        level_db: its active level, relative to full scale.
        channel_levels_db: the same of each channel.
        peak: its highest absolute sample.
        kind: whether it is speech or music, see `fullband.audio.content`.
        holes: how large a share of its spectrum between 2 and 12 kHz a codec seems to have left
            empty, see `fullband.audio.holes`.
    """

    sample_rate: int
    channels: int
    frames: int
    bandwidth_hz: float
    segments: tuple[Segment, ...]
    level_db: float
    channel_levels_db: tuple[float, ...]
    peak: float
    mirror_hz: float | None = None
    kind: ContentKind = "speech"
    holes: float = 0.0

    @property
    def riddled(self) -> bool:
        """Whether a codec has left so many holes that they are to be filled."""
        return self.holes >= RIDDLED


@dataclass(frozen=True)
class Summary:
    """What was done to one file.

    Attributes:
        added: whether anything was added; False where the content is already as wide as the model.
        filled: whether that could be below the end of content too, in a codec's holes.
        seconds: the time it took.
        limited: samples that were beyond full scale and had to be limited, because the output's
            format cannot hold them.
        peak: the highest absolute sample before that.
        notes: what was chosen for the caller or could not be kept, in words.
    """

    source: str
    target: str
    analysis: Analysis
    target_rate: int
    frames: int
    model: str
    added: bool
    seconds: float
    limited: int
    peak: float
    filled: bool = False
    notes: tuple[str, ...] = ()

    @property
    def times_real_time(self) -> float:
        duration_s = self.analysis.frames / self.analysis.sample_rate
        return duration_s / max(self.seconds, 1e-9)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of, a line each."""
        if not self.limited:
            return ()
        return (
            f"{self.limited} samples beyond full scale were limited (peak "
            f"{20 * math.log10(self.peak):+.1f} dBFS); lower the input's level to avoid it",
        )


def analyse(
    blocks: Iterable[Audio], sample_rate: int, bandwidth_hz: float | None = None
) -> Analysis:
    """Listen to a recording that comes in `[C, T]` blocks.

    Args:
        bandwidth_hz: where its content ends, if that is known and need not be found.
    """
    bandwidth = None if bandwidth_hz is not None else BandwidthMeter(sample_rate)
    level, levels = LevelMeter(sample_rate), [LevelMeter(sample_rate)]
    content, holes = ContentMeter(sample_rate), HoleMeter(sample_rate)
    frames, channels, peak = 0, 1, 0.0
    for block in blocks:
        if bandwidth is not None:
            bandwidth.push(block)
        level.push(block)
        content.push(block)
        holes.push(block)
        if frames == 0:
            levels = [LevelMeter(sample_rate) for _ in block]
        if len(block) > 1:
            for meter, channel in zip(levels, block, strict=True):
                meter.push(channel[None])
        channels = block.shape[0]
        frames += block.shape[-1]
        peak = max(peak, float(np.max(block, initial=0.0)), -float(np.min(block, initial=0.0)))
    segments = [Segment(0, bandwidth_hz or 0.0)] if bandwidth is None else bandwidth.segments()
    if bandwidth is not None:
        bandwidth_hz = bandwidth.bandwidth_hz()
    bandwidth_hz = bandwidth_hz or 0.0
    level_db = level.level_db()
    channel_levels_db = [each.level_db() for each in levels] if channels > 1 else [level_db]
    return Analysis(
        sample_rate=sample_rate,
        channels=channels,
        frames=frames,
        bandwidth_hz=bandwidth_hz,
        segments=tuple(segments),
        level_db=level_db,
        channel_levels_db=tuple(channel_levels_db),
        peak=peak,
        mirror_hz=None if bandwidth is None else bandwidth.mirror_hz(),
        kind=content.kind(),
        holes=holes.share(LOOKED_AT_HZ[0], min(LOOKED_AT_HZ[1], _HOLES_BELOW * bandwidth_hz)),
    )


class EnhanceStage:
    """The signal path for one recording, or from one of its samples on: push blocks, then flush.

    Args:
        start: the position of the first sample that will be pushed. It has to be a whole number of
            samples, and of the model's strides, at every rate on the way: see `fullband.spans`.

    Attributes:
        reach_s: how far from both ends of what was pushed the result equals that of the whole
            recording.

    Shape:
        push: block `[C, T]` at the source's rate, result `[C, T']` at `target_rate`; together
        exactly `round(T * target_rate / source_rate)` samples.
    """

    def __init__(
        self,
        model: Model,
        analysis: Analysis,
        target_rate: int,
        detail: float = FULL_DETAIL,
        start: int = 0,
    ) -> None:
        source_rate, channels = analysis.sample_rate, analysis.channels
        model_rate = model.sample_rate or target_rate
        self.reach_s = REACH / min(source_rate, target_rate)
        bands = _missing_bands(model, analysis, model_rate, target_rate)
        missing = any(band.stop_hz is not None for band in bands)
        self.added = missing and analysis.peak > 0 and detail > 0
        self.filled = self.added and _fills_holes(model, analysis)
        self._kept = Resampler(source_rate, target_rate, channels)
        self._cleaning: Fir | None = None
        if not self.added:
            return
        if analysis.mirror_hz is not None:
            # Open as far below the mirror as there is content, shut as far above it.
            pass_hz = BELOW_MIRROR * analysis.mirror_hz
            width_hz = 2 * (analysis.mirror_hz - pass_hz)
            self._cleaning = Fir(lowpass_kernel(source_rate, pass_hz, width_hz), channels, start)
        # The model sees every channel at the same level, so that a voice panned to a side gets the
        # same new band in both, panned likewise; but what a far quieter one holds stays quieter.
        quietest_db = analysis.level_db - _QUIETER_DB
        gains = [model_gain(max(each, quietest_db)) for each in analysis.channel_levels_db]
        self._gain = np.array(gains, np.float32)[:, None]
        self._detail = np.float32(detail)
        self._base = None
        if model_rate != target_rate:
            self._base = Resampler(source_rate, model_rate, channels)
        self._told = model.bandwidth_range_hz is not None
        segments = [Segment(band.start, band.bandwidth_hz) for band in bands]
        model_start = int(Fraction(model_rate, source_rate) * start)
        network = model.stage(channels, segments if self._told else (), model_start)
        stages = [] if self._told else _upsampling(model, analysis, model_rate)
        self._predicted = _Chain([*stages, *([] if network is None else [network])])
        kernels = [
            None
            if band.stop_hz is None
            else highpass_kernel(model_rate, band.stop_hz, crossover_width_hz(band.bandwidth_hz))
            for band in bands
        ]
        starts = [band.start for band in bands]
        fade = round(_FADE_S * model_rate)
        highpass = SwitchedFir(kernels, starts, fade, channels, model_start)
        self._new_band = _Chain([highpass, Resampler(model_rate, target_rate, channels)])
        # Source to entry to model to target rate, with a filter in front, and two at the model's.
        lowest_rate = min(source_rate, model_rate, target_rate, model.entry_rate or source_rate)
        self.reach_s = (
            3 * REACH / lowest_rate
            + (0 if self._cleaning is None else self._cleaning.reach) / source_rate
            + (highpass.reach + (0 if network is None else network.reach)) / model_rate
        )
        self._difference = _Pairs(channels)
        self._sum = _Pairs(channels)

    def push(self, block: Audio) -> Audio:
        return self._push(block if self._cleaning is None else self._cleaning.push(block))

    def flush(self) -> Audio:
        if self._cleaning is None:
            return self._flush()
        return np.concatenate([self._push(self._cleaning.flush()), self._flush()], axis=-1)

    def _push(self, block: Audio) -> Audio:
        kept = self._kept.push(block)
        if not self.added:
            return kept
        base = kept if self._base is None else self._base.push(block)
        predicted = self._predicted.push((base if self._told else block) * self._gain)
        base, predicted = self._difference.push(base, predicted)
        kept, new_band = self._sum.push(kept, self._new_band.push(self._beyond(predicted, base)))
        return kept + new_band

    def _flush(self) -> Audio:
        kept = self._kept.flush()
        if not self.added:
            return kept
        base = kept if self._base is None else self._base.flush()
        if self._told:
            predicted = self._predicted.finish(base * self._gain)
        else:
            predicted = self._predicted.flush()
        # Where rounding left the ways a sample apart, the base and the kept band set the length.
        base, predicted = self._difference.flush(base, predicted)
        new_band = self._new_band.finish(self._beyond(predicted, base))
        kept, new_band = self._sum.flush(kept, new_band)
        return kept + new_band

    def _beyond(self, predicted: Audio, base: Audio) -> Audio:
        """What the model says beyond its input, at the recording's own level, as far as wanted."""
        beyond: Audio = predicted / self._gain
        beyond -= base
        if self._detail != FULL_DETAIL:
            beyond *= self._detail
        return beyond


@dataclass(frozen=True)
class _MissingBand:
    """What is to be added from one sample on, at the model's rate.

    Attributes:
        bandwidth_hz: where content ends, as the model is told.
        stop_hz: up to where the high-pass holds back what the model says; None for all of it.
    """

    start: int
    bandwidth_hz: float
    stop_hz: float | None


def _missing_bands(
    model: Model, analysis: Analysis, model_rate: int, target_rate: int
) -> list[_MissingBand]:
    """What is to be added, in the course of the recording.

    A model that is told the bandwidth opens its own gate from 50 Hz below it, and was trained to
    make kept and new band right together there. The high-pass is fully open where that gate begins,
    and 80 dB down a crossover's width below. For other models it begins to open at the bandwidth.

    Resampling ends content at 0.95 of the source's Nyquist frequency, if nothing else does.
    """
    if model.bandwidth_range_hz is None:
        bandwidth_hz = analysis.bandwidth_hz
        fits = bandwidth_hz + crossover_width_hz(bandwidth_hz) < model_rate / 2
        adds = fits and model.name != "sinc"
        return [_MissingBand(0, bandwidth_hz, bandwidth_hz if adds else None)]
    lowest_hz, highest_hz = model.bandwidth_range_hz
    resampled_hz = PASSED * analysis.sample_rate / 2
    bands = []
    for segment in analysis.segments:
        bandwidth_hz = segment.bandwidth_hz
        if analysis.sample_rate != model_rate:
            bandwidth_hz = min(bandwidth_hz, resampled_hz)
        bandwidth_hz = min(max(bandwidth_hz, lowest_hz), model_rate / 2)
        adds = bandwidth_hz < min(highest_hz, target_rate / 2)
        stop_hz = bandwidth_hz - _GATE_HZ - crossover_width_hz(bandwidth_hz)
        if _fills_holes(model, analysis):
            stop_hz = min(stop_hz, _FILLED_FROM_HZ)
        start = round(segment.start * model_rate / analysis.sample_rate)
        bands.append(_MissingBand(start, bandwidth_hz, stop_hz if adds else None))
    return bands


def _fills_holes(model: Model, analysis: Analysis) -> bool:
    return model.fills_holes and analysis.riddled


def _upsampling(model: Model, analysis: Analysis, model_rate: int) -> list[Stage]:
    """To the rate that a model was made for, and from there to its own as it was trained."""
    source_rate, channels = analysis.sample_rate, analysis.channels
    entry_rate = model.entry_rate or source_rate
    upsample = SplineInterpolator if model.upsampling == "spline" else Resampler
    return [
        Resampler(source_rate, entry_rate, channels),
        upsample(entry_rate, model_rate, channels),
    ]


class Enhancer:
    """A model held ready, for repeated use. Made by `fullband.load`.

    Args:
        model: a name, the path of an exported ONNX file, or `auto`: the released model for what the
            recording is, `speech` or `music`, or without it the one made for the bandwidth nearest
            to the recording's own.
    """

    def __init__(self, model: str = AUTO) -> None:
        self.model = model
        if model != AUTO:
            open_model(model)  # say now that it does not exist, and have it loaded

    def __call__(
        self,
        audio: Any,
        sample_rate: int,
        rate: int | None = None,
        bandwidth_hz: float | None = None,
        detail: float = FULL_DETAIL,
    ) -> tuple[Audio, int]:
        """Enhance audio in memory; see `fullband.enhance`."""
        detail = _check_detail(detail)
        samples = as_audio(audio)
        source_rate = check_sample_rate(sample_rate)
        if not samples.shape[-1] or not samples.size:
            raise AudioError("audio holds no samples")
        channels = np.atleast_2d(samples)
        size = max(1, BLOCK_SAMPLES // len(channels))
        blocks = [channels[:, i : i + size] for i in range(0, channels.shape[-1], size)]
        analysis = analyse(blocks, source_rate, check_bandwidth(bandwidth_hz, source_rate))
        model, target_rate = self.plan(analysis, rate)
        stage = EnhanceStage(model, analysis, target_rate, detail)
        wide = np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)
        return (wide[0] if samples.ndim == 1 else wide), target_rate

    def file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        rate: int | None = None,
        subtype: str | None = None,
        force: bool = False,
        progress: Callable[[float], None] | None = None,
        bandwidth_hz: float | None = None,
        detail: float = FULL_DETAIL,
        raw: str | RawFormat | None = None,
        depth: str | None = None,
        bitrate_kbps: float | None = None,
        dither: bool = True,
        sandbox: Limits | None = None,
    ) -> Summary:
        """Enhance a file in blocks; see `fullband.enhance_file`."""
        begun = time.monotonic()
        detail = _check_detail(detail)
        _refuse_same(source, target, force)
        with open_reader(source, sandbox, raw) as reader:
            subtype = subtype or subtype_like(reader.info, os.fspath(target), depth)
            source_rate = reader.info.sample_rate
            known_hz = check_bandwidth(bandwidth_hz, source_rate)
            advance = _progress(progress, reader.info.frames)
            analysis = analyse(advance(reader.blocks()), source_rate, known_hz)
            model, target_rate = self.plan(analysis, rate)
            stage = EnhanceStage(model, analysis, target_rate, detail)
            frames = round(analysis.frames * target_rate / source_rate)
            with AudioWriter(
                target,
                target_rate,
                analysis.channels,
                subtype,
                force,
                frames,
                like=reader if isinstance(reader, AudioReader) else reader.info,
                dither=dither,
                bitrate_kbps=bitrate_kbps,
            ) as writer:
                # Blocks that are still of bounded size once they are at the higher rate.
                growth = max(1, target_rate // source_rate)
                left = analysis.frames
                for block in advance(reader.blocks(BLOCK_SAMPLES // growth)):
                    left -= block.shape[-1]
                    writer.write(stage.push(block))
                if left:
                    raise AudioFileError(f"{reader.name}: changed while it was read")
                writer.write(stage.flush())
        return Summary(
            source=reader.name,
            target=writer.name,
            analysis=analysis,
            target_rate=target_rate,
            frames=writer.frames,
            model=model.name,
            added=stage.added,
            seconds=time.monotonic() - begun,
            limited=writer.limited,
            peak=writer.peak,
            filled=stage.filled,
            notes=(*reader.info.notes, *_chosen(reader.name, writer), *writer.notes),
        )

    def plan(self, analysis: Analysis, rate: int | None = None) -> tuple[Model, int]:
        """The model for a recording, and the rate of its result.

        Raises:
            ModelError, AudioError: as `enhance`.
        """
        name = self.model
        if name == AUTO:
            name = choose_model(analysis.bandwidth_hz, analysis.kind)
        model = open_model(name)
        if rate is None:
            rate = max(analysis.sample_rate, model.sample_rate or _BASELINE_RATE)
        return model, check_sample_rate(rate)


def load(model: str = AUTO) -> Enhancer:
    """A model held ready, for repeated use: `fullband.load("sinc")(audio, sample_rate=8000)`.

    Args:
        model: a name that `fullband models` lists, the path of an exported ONNX file, or `auto`.

    Raises:
        ModelError: there is no such model.
    """
    return Enhancer(model)


def enhance(
    audio: Any,
    sample_rate: int,
    rate: int | None = None,
    model: str = AUTO,
    bandwidth_hz: float | None = None,
    detail: float = FULL_DETAIL,
) -> tuple[Audio, int]:
    """Give audio the treble it lacks.

    Below the frequency where its content ends the result equals the input, resampled; the level,
    the channels and the duration stay.

    Args:
        sample_rate: of the input, 2,000 to 768,000 Hz.
        rate: of the result; None takes the model's, or the input's where that is higher.
        model: a name that `fullband models` lists, the path of an exported ONNX file, or `auto`.
        bandwidth_hz: where the input's content ends, at most half its sample rate; None has it
            measured.
        detail: from 0, nothing that is not in the input, to 1, all of what the model says. Between
            them it is the amplitude of the new band, which is texture more than truth: less of it
            is nearer to the original sample by sample, and sounds duller.

    Shape:
        audio `[T]` or `[C, T]`, floats at full scale 1.0 or integers; result float32 of the same
        number of axes, with `round(T * rate / sample_rate)` samples, and the rate beside it. It may
        exceed 1.0, as any resampled audio may.

    Raises:
        AudioError: the input is not audio, or a rate, the bandwidth or the detail is outside the
            limits.
        ModelError: there is no such model.
    """
    return Enhancer(model)(audio, sample_rate, rate, bandwidth_hz, detail)


def enhance_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    rate: int | None = None,
    model: str = AUTO,
    subtype: str | None = None,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    bandwidth_hz: float | None = None,
    detail: float = FULL_DETAIL,
    raw: str | RawFormat | None = None,
    depth: str | None = None,
    bitrate_kbps: float | None = None,
    dither: bool = True,
    sandbox: Limits | None = None,
) -> Summary:
    """Enhance a file of any length in bounded memory. The target appears whole or not at all.

    Tags, cover art and the loudspeakers of channels stay, and a video keeps its picture.

    Args:
        source: a file, or `-` for standard input.
        target: a file whose ending says the format, or `-` for WAV on standard output.
        rate, model, bandwidth_hz, detail: see `enhance`.
        subtype: libsndfile's sample format for the target; None keeps the source's bit depth.
        force: replace a target that exists.
        progress: called with the fraction done, 0 to 1.
        raw: how the samples of a source without a header are stored, as in `mulaw:8000`.
        depth: `16`, `24` or `32f` bits for the target; None keeps the source's.
        bitrate_kbps: of a lossy target, for all channels together; None is 128 for each.
        dither: add noise of one step before samples are rounded to 16 bits.
        sandbox: have the source decoded in a process of its own, with these limits.

    Raises:
        MissingFileError, AudioFileError: the source cannot be read.
        OutputError: the target cannot be written, exists, or is the source itself.
        DependencyError: source or target needs the extra `formats`.
        AudioError, ModelError: see `enhance`.
    """
    enhancer = Enhancer(model)
    return enhancer.file(
        source,
        target,
        rate,
        subtype,
        force,
        progress,
        bandwidth_hz,
        detail,
        raw,
        depth,
        bitrate_kbps,
        dither,
        sandbox,
    )


def check_bandwidth(bandwidth_hz: Any, sample_rate: int) -> float | None:
    """The bandwidth that a caller gives, if this recording can have it.

    Raises:
        AudioError: it is no number, or outside the limits.
    """
    if bandwidth_hz is None:
        return None
    if not _is_number(bandwidth_hz):
        raise AudioError(f"bandwidth must be a number in Hz, got {bandwidth_hz!r}")
    if not LOWEST_BANDWIDTH_HZ <= bandwidth_hz <= sample_rate / 2:
        raise AudioError(
            f"bandwidth {bandwidth_hz:g} Hz is outside {LOWEST_BANDWIDTH_HZ:g} Hz to half the "
            f"sample rate, {sample_rate / 2:g} Hz"
        )
    return float(bandwidth_hz)


def _check_detail(detail: Any) -> float:
    if not _is_number(detail) or not 0 <= detail <= 1:
        raise AudioError(f"detail must be a number from 0 to 1, got {detail!r}")
    return float(detail)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    return is_number and not isinstance(value, bool) and math.isfinite(value)


class _Chain:
    """Stages one after the other."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    def push(self, block: Audio) -> Audio:
        for stage in self._stages:
            block = stage.push(block)
        return block

    def flush(self) -> Audio:
        result = self._stages[0].flush()
        for stage in self._stages[1:]:
            result = np.concatenate([stage.push(result), stage.flush()], axis=-1)
        return result

    def finish(self, block: Audio) -> Audio:
        """The last block and the rest."""
        return np.concatenate([self.push(block), self.flush()], axis=-1)


class _Pairs:
    """Two streams that arrive unevenly, given out in step."""

    def __init__(self, channels: int) -> None:
        self._held = [np.zeros((channels, 0), np.float32), np.zeros((channels, 0), np.float32)]

    def push(self, first: Audio, second: Audio) -> tuple[Audio, Audio]:
        self._held = [
            np.concatenate([held, block], axis=-1)
            for held, block in zip(self._held, (first, second), strict=True)
        ]
        ready = min(held.shape[-1] for held in self._held)
        given = (self._held[0][:, :ready], self._held[1][:, :ready])
        self._held = [held[:, ready:] for held in self._held]
        return given

    def flush(self, first: Audio, second: Audio) -> tuple[Audio, Audio]:
        """The rest of both, the second cut or padded to the first."""
        first = np.concatenate([self._held[0], first], axis=-1)
        second = np.concatenate([self._held[1], second], axis=-1)[:, : first.shape[-1]]
        missing = first.shape[-1] - second.shape[-1]
        return first, np.pad(second, ((0, 0), (0, missing)))


def _progress(
    report: Callable[[float], None] | None, frames: int
) -> Callable[[Iterable[Audio]], Iterator[Audio]]:
    """Wraps the two passes over a file's blocks; listening counts for a tenth of the work."""
    passes = iter(((0.0, 0.1), (0.1, 1.0)))

    def advance(blocks: Iterable[Audio]) -> Iterator[Audio]:
        start, end = next(passes)
        done = 0
        for block in blocks:
            yield block
            done += block.shape[-1]
            if report is not None:
                report(start + (end - start) * min(1.0, done / max(1, frames)))

    return advance


def _refuse_same(
    source: str | os.PathLike[str], target: str | os.PathLike[str], force: bool
) -> None:
    """Find out before any work that the target cannot be written."""
    if os.fspath(target) == "-":
        return
    check_installed(os.fspath(target))
    path = Path(target)
    try:
        is_same = os.fspath(source) != "-" and path.samefile(source)
    except (OSError, ValueError):  # one of them is not there
        is_same = False
    if is_same:
        raise OutputError(f"{path}: is the input itself; choose another output")
    refuse_existing(path, force)


def _chosen(source: str, writer: AudioWriter) -> Iterator[str]:
    """What of the target's format the source did not ask for."""
    suffix = not_written(source)
    if suffix is not None:
        yield f"{suffix} files are not written; the result is {writer.container} {writer.subtype}"
    elif writer.container == "RF64" and writer.path.lower().endswith(".wav"):
        yield "the result is beyond 4 GB and so RF64, a WAV file with long counts"
