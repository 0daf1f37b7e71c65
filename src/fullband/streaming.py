"""Streams in real time: blocks of any length in, wide audio out, a few milliseconds behind.

A stream's samples take one path, whatever lengths they come in:

    source -- polyphase to the model's rate -- hops -- model, frame by frame -- polyphase -- wide

and what is there passes through it with what the model adds, which is nothing where a stream is
bypassed. Many streams at once are run as one batch: those whose blocks have the same length, rates
and position share every step. Recordings that are there as a whole are better served by
`fullband.enhancement`, which hears all of them first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fullband.audio.bandwidth import BandwidthMeter
from fullband.audio.polyphase import Polyphase
from fullband.audio.samples import MAX_CHANNELS, Audio, as_audio, output_length
from fullband.engine import StreamingModel, available_cores, open_model
from fullband.errors import AudioError, ModelError

__all__ = ["LIVE", "Stream", "Streams", "stream"]

LIVE = "live"
"""The released model for streams."""

LOWEST_RATE = 4_000
_AHEAD_S = 0.005  # the filter from the source's rate looks so far ahead at 8 kHz, and at least
_LEAST_AHEAD_S = 0.004  # so far at any; its slope is measured in hertz, not in octaves
_BACK_S = 0.003  # the filter down to the target's rate
_HEARD_S = 3.0  # of a stream before its own end of content is believed, then twice as much, ...
_LONGEST_S = 60.0  # ... and then anew every minute
_LEAST_TOGETHER = 8  # streams that a core runs as one batch
_TELLING_DB = -60.0  # a stretch quieter than that tells nothing of where content ends


class Streams:
    """Streams of one model, run together.

        calls = Streams()
        first, second = calls.open(8000), calls.open(8000)
        wide = calls.push({first: block, second: other})  # {first: ..., second: ...}

    Args:
        model: the name of a released model that runs frame by frame, or the path of an exported
            one.

    Raises:
        ModelError: there is no such model, or it does not run frame by frame.
    """

    def __init__(self, model: str = LIVE) -> None:
        opened = open_model(model)
        if not isinstance(opened, StreamingModel):
            raise ModelError(f"'{model}' does not run frame by frame; '{LIVE}' does")
        self.model = opened
        self._filters: dict[tuple[int, int], Polyphase] = {}
        self._threads = ThreadPoolExecutor(available_cores(), thread_name_prefix="fullband-streams")
        self._warm()

    def open(
        self,
        source_rate: int,
        target_rate: int | None = None,
        channels: int = 1,
        bandwidth_hz: float | None = None,
        detail: float = 1.0,
        lows: float = 0.0,
        bypass: bool = False,
    ) -> Stream:
        """A new stream; see `fullband.stream`."""
        return Stream(self, source_rate, target_rate, channels, bandwidth_hz, detail, lows, bypass)

    def push(self, blocks: Mapping[Stream, Any]) -> dict[Stream, Audio]:
        """The next block of each of some streams, whose lengths may differ.

        Nothing is taken from any of them where one of the blocks cannot be.

        Shape:
            as `Stream.__call__`.

        Raises:
            AudioError: a block is not audio, or has other channels than its stream.
            ModelError: the model cannot be run.
        """
        taken = {stream: stream._check(block) for stream, block in blocks.items()}
        for stream, block in taken.items():
            stream._hear(block)
        groups: dict[tuple[Any, ...], list[Stream]] = {}
        for stream, block in taken.items():
            groups.setdefault(stream._alike(block), []).append(stream)
        parts = [part for group in groups.values() for part in _shared_out(group)]
        work = [(part, np.concatenate([taken[stream] for stream in part])) for part in parts]
        found: dict[Stream, Audio] = {}
        if len(work) == 1:
            found = self._push(*work[0])
        else:
            for one in self._threads.map(lambda each: self._push(*each), work):
                found |= one
        return {stream: stream._give(found[stream]) for stream in blocks}

    def filter(self, source_rate: int, target_rate: int, delay_s: float) -> Polyphase:
        """The filter between two rates."""
        key = (source_rate, target_rate)
        if key not in self._filters:
            self._filters[key] = Polyphase(source_rate, target_rate, delay_s)
        return self._filters[key]

    def _warm(self) -> None:
        """Run the model once: what a runtime sets up at its first run would come too late."""
        silence = np.zeros((1, 4, self.model.stride), np.float32)
        told, mix = np.full((1, 4), 4000.0, np.float32), np.ones((1, 2), np.float32)
        self.model.step(silence, told, mix, np.zeros((1, self.model.memory), np.float32))

    def _push(self, group: list[Stream], block: Audio) -> dict[Stream, Audio]:
        """Blocks of streams that are alike, their channels one after the other."""
        one = group[0]

        def stacked(name: str) -> Audio:
            rows = [getattr(stream, name) for stream in group]
            return rows[0] if len(rows) == 1 else np.concatenate(rows)

        upsampled, before, up_position = one._up.push(stacked("_before"), block, one._up_position)
        held = np.concatenate([stacked("_pending"), upsampled], axis=-1)
        hop = self.model.stride
        whole = held.shape[-1] // hop * hop
        pending = held[:, whole:]
        wide, memory = held[:, :0], None
        if whole:
            audio = held[:, :whole].reshape(len(held), -1, hop)
            step = _passed if one._passes else self._step
            wide, memory = step(group, np.ascontiguousarray(audio), stacked("_memory"))
            wide = wide.reshape(len(held), -1)[:, one._early :]
        back, behind, down_position = one._down.push(stacked("_behind"), wide, one._down_position)
        result = {}
        row = 0
        for stream in group:
            rows = slice(row, row + stream.channels)
            row += stream.channels
            # Copies: a stream that is not pushed for long would keep all the others' alive.
            stream._before, stream._up_position = before[rows].copy(), up_position
            stream._pending = pending[rows].copy()
            stream._behind, stream._down_position = behind[rows].copy(), down_position
            if memory is not None:
                stream._memory = memory[rows].copy()
                stream._hops += whole // hop
                stream._early = 0
            result[stream] = back[rows]
        return result

    def _step(self, group: list[Stream], audio: Audio, memory: Audio) -> tuple[Audio, Audio]:
        rows, count = audio.shape[:2]
        told, mix = np.empty((rows, count), np.float32), np.empty((rows, 2), np.float32)
        row = 0
        for stream in group:
            own = slice(row, row + stream.channels)
            told[own] = stream._told_hz(count)
            mix[own] = stream.detail, stream.lows
            row += stream.channels
        return self.model.step(audio, told, mix, memory)


def _shared_out(group: list[Stream]) -> list[list[Stream]]:
    """A group in as many parts as there are cores, none of them small."""
    count = max(1, min(available_cores(), len(group) // _LEAST_TOGETHER))
    return [group[number::count] for number in range(count)]


def _passed(group: list[Stream], audio: Audio, memory: Audio) -> tuple[Audio, Audio]:
    """What a step gives where nothing is added, without running the model: what was begun of the
    new band fades out, and what comes later will fade in."""
    hop = audio.shape[-1]
    wide = np.concatenate([memory[:, None, :hop], audio[:, :-1]], axis=1)
    wide[:, 0] += memory[:, hop : 2 * hop]
    after = np.zeros_like(memory)
    after[:, :hop] = audio[:, -1]
    return wide, after


class Stream:
    """One stream; see `fullband.stream`, which makes it.

    Attributes:
        delay_s: how far what was given lies behind what was taken, at most, in seconds: the
            algorithmic delay, of filters, frame and hop together.
        detail, lows: how much is added of the new band, and of what lies below 300 Hz; they may be
            changed between blocks.
        bypass: whether nothing is added and the model is not run; it may be changed between blocks,
            and the new band then fades within a hop.
        overloaded: the same, for whoever runs the stream rather than whoever asked for it.
        taken, given: samples so far, of each channel.
    """

    def __init__(
        self,
        streams: Streams,
        source_rate: int,
        target_rate: int | None = None,
        channels: int = 1,
        bandwidth_hz: float | None = None,
        detail: float = 1.0,
        lows: float = 0.0,
        bypass: bool = False,
    ) -> None:
        model = streams.model
        model_rate = model.sample_rate
        assert model_rate is not None
        target_rate = model_rate if target_rate is None else target_rate
        _check_rates(source_rate, target_rate, model_rate)
        if not isinstance(channels, int) or not 1 <= channels <= MAX_CHANNELS:
            raise AudioError(f"a stream has 1 to {MAX_CHANNELS} channels, not {channels!r}")
        ahead_s = max(_LEAST_AHEAD_S, _AHEAD_S * 8000 / source_rate)
        try:
            self._up = streams.filter(source_rate, model_rate, ahead_s)
            self._down = streams.filter(model_rate, target_rate, _BACK_S)
        except ValueError:
            raise AudioError(f"no stream from {source_rate} to {target_rate} Hz") from None
        assert model.bandwidth_range_hz is not None
        lowest_hz, highest_hz = model.bandwidth_range_hz
        nominal_hz = min(highest_hz, self._up.passed_hz)
        if bandwidth_hz is not None:
            if not isinstance(bandwidth_hz, (int, float)) or not 0 < bandwidth_hz <= 1e6:
                raise AudioError(f"bandwidth must be a number in Hz, got {bandwidth_hz!r}")
            nominal_hz = min(nominal_hz, max(lowest_hz, float(bandwidth_hz)))
        self._streams = streams
        self.source_rate, self.target_rate, self.channels = source_rate, target_rate, channels
        self.detail, self.lows, self.bypass, self.overloaded = 1.0, 0.0, False, False
        self.adjust(detail, lows, bypass)
        self.taken = self.given = 0
        self._hop, self._model_rate = model.stride, model_rate
        self.delay_s = (
            self._up.ahead / source_rate + (2 * self._hop + self._down.ahead) / model_rate
        )
        self._flushed, self._flat = False, channels == 1
        self._before = np.zeros((channels, self._up.history), np.float32)
        self._up_position = self._up.start
        self._pending = np.zeros((channels, 0), np.float32)
        self._memory = np.zeros((channels, model.memory), np.float32)
        self._early = self._hop  # samples of the model's that lie before the start
        self._behind = np.zeros((channels, self._down.history), np.float32)
        self._down_position = self._down.start
        self._hops = 0
        self._course = [(0, nominal_hz)]  # from which hop on content ends where
        self._ear = None if bandwidth_hz is not None else _Ear(source_rate, lowest_hz, nominal_hz)

    def __call__(self, block: Any) -> Audio:
        """The next block, of any length, and what can be said by then.

        The results one after the other lie where the input lay: there is no silence in front. They
        come `delay_s` after what they belong to.

        Shape:
            block `[T]`, or `[C, T]` with as many channels as the stream has, floats at full scale
            1.0 or integers; result float32 of the same number of axes.

        Raises:
            AudioError: it is not audio, has other channels, or the stream was flushed.
        """
        return self._streams.push({self: block})[self]

    def flush(self) -> Audio:
        """The rest, so that all results together have `round(T * target_rate / source_rate)`
        samples. The stream then takes no more."""
        total = output_length(self.taken, self.source_rate, self.target_rate)
        missing = total - self.given
        behind_s = self.delay_s + (2 * self._hop) / self._model_rate
        silence = np.zeros((self.channels, math.ceil(behind_s * self.source_rate) + 2), np.float32)
        self._ear, taken = None, self.taken
        rest = self(silence[0] if self._flat else silence)[..., :missing]
        self.taken, self.given = taken, total
        self._flushed = True
        return rest

    def adjust(
        self, detail: float | None = None, lows: float | None = None, bypass: bool | None = None
    ) -> None:
        """Change what is given, from the next block on.

        Raises:
            AudioError: it is not a number from 0 to 1, or not true or false; nothing is changed.
        """
        for name, value in (("detail", detail), ("lows", lows)):
            numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (numeric and 0 <= value <= 1):
                raise AudioError(f"{name} must be a number from 0 to 1, got {value!r}")
        if bypass is not None and not isinstance(bypass, bool):
            raise AudioError(f"bypass must be true or false, got {bypass!r}")
        self.detail = self.detail if detail is None else float(detail)
        self.lows = self.lows if lows is None else float(lows)
        self.bypass = self.bypass if bypass is None else bypass

    @property
    def _passes(self) -> bool:
        return self.bypass or self.overloaded

    @property
    def bandwidth_hz(self) -> float:
        """Where content ends, as far as is known so far."""
        return self._course[-1][1]

    def _check(self, block: Any) -> Audio:
        if self._flushed:
            raise AudioError("the stream was flushed; open another one")
        audio = as_audio(block)
        self._flat = audio.ndim == 1
        if self._flat:
            audio = audio[None]
        if len(audio) != self.channels:
            raise AudioError(f"a block has {len(audio)} channels, its stream {self.channels}")
        return audio

    def _hear(self, block: Audio) -> None:
        """Find out where content ends, at times that depend on the samples alone."""
        if self._ear is not None:
            for position, bandwidth_hz in self._ear.push(block):
                hop = -(-position * self._model_rate // (self.source_rate * self._hop))
                self._course.append((hop, bandwidth_hz))
        self.taken += block.shape[-1]

    def _alike(self, block: Audio) -> tuple[Any, ...]:
        """What streams have to share to be run together."""
        return (
            *(self.source_rate, self.target_rate, self._passes, block.shape[-1]),
            *(self._up_position, self._pending.shape[-1], self._early, self._down_position),
        )

    def _told_hz(self, count: int) -> np.ndarray | float:
        """Where content ends, for each of the next hops or all; what is past is forgotten."""
        if len(self._course) == 1:
            return self._course[0][1]
        hops = self._hops + np.arange(count)
        starts = np.array([start for start, _ in self._course])
        index = np.searchsorted(starts, hops, side="right") - 1
        told = np.array([hz for _, hz in self._course])[index]
        del self._course[: index[-1]]
        return told

    def _give(self, result: Audio) -> Audio:
        self.given += result.shape[-1]
        return result[0] if self._flat else result


def stream(
    model: str = LIVE,
    *,
    source_rate: int,
    target_rate: int | None = None,
    channels: int = 1,
    bandwidth_hz: float | None = None,
    detail: float = 1.0,
    lows: float = 0.0,
    bypass: bool = False,
) -> Stream:
    """A stream that is widened as it comes.

        widen = fullband.stream("live", source_rate=8000, target_rate=48000)
        for block in source:
            play(widen(block))
        play(widen.flush())

    For many at once, in one process: `fullband.streaming.Streams`.

    Args:
        source_rate: of what comes in, 4,000 to 48,000 Hz.
        target_rate: of what goes out, from the source's to 48,000 Hz; None is the model's.
        bandwidth_hz: where the input's content ends; None begins with what its rate allows, and
            goes by what was heard after three seconds.
        detail: how much of the new band is added, 0 to 1.
        lows: how much is added below 300 Hz where a telephone left nothing, 0 to 1.
        bypass: begin without adding anything.

    Raises:
        AudioError: a rate, the channels, the bandwidth, detail or lows is outside the limits.
        ModelError: there is no such model, or it does not run frame by frame.
    """
    return Streams(model).open(
        source_rate, target_rate, channels, bandwidth_hz, detail, lows, bypass
    )


class _Ear:
    """Finds where a stream's content ends: after 3 s that were not silent, after 6, 12 and so on,
    and then anew every minute."""

    def __init__(self, sample_rate: int, lowest_hz: float, highest_hz: float) -> None:
        self._sample_rate = sample_rate
        self._range_hz = (lowest_hz, highest_hz)
        self._stretch = round(0.5 * sample_rate)  # blocks are heard so long at a time
        self._held: list[Audio] = []
        self._length = 0
        self._position = 0
        self._meter = BandwidthMeter(sample_rate)
        self._heard_s = 0.0
        self._next_s = _HEARD_S

    def push(self, block: Audio) -> list[tuple[int, float]]:
        """At which of the stream's samples something new was found, and what."""
        found = []
        while block.shape[-1]:
            part = block[:, : self._stretch - self._length]
            block = block[:, part.shape[-1] :]
            self._held.append(part)
            self._length += part.shape[-1]
            self._position += part.shape[-1]
            if self._length < self._stretch:
                break
            stretch = np.concatenate(self._held, axis=-1)
            self._held, self._length = [], 0
            if np.mean(np.square(stretch)) > 10 ** (_TELLING_DB / 10):
                end_hz = self._hear(stretch)
                if end_hz is not None:
                    found.append((self._position, end_hz))
        return found

    def _hear(self, stretch: Audio) -> float | None:
        self._meter.push(stretch)
        self._heard_s += stretch.shape[-1] / self._sample_rate
        if self._heard_s < self._next_s:
            return None
        end_hz = float(np.clip(self._meter.bandwidth_hz(), *self._range_hz))
        if self._next_s >= _LONGEST_S:
            self._meter, self._heard_s = BandwidthMeter(self._sample_rate), 0.0
        else:
            self._next_s = min(2 * self._next_s, _LONGEST_S)
        return end_hz


def _check_rates(source_rate: Any, target_rate: Any, model_rate: int) -> None:
    for name, rate, lowest in (
        ("source", source_rate, LOWEST_RATE),
        ("target", target_rate, source_rate),
    ):
        if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)):
            raise AudioError(f"a stream's {name} rate must be a whole number in Hz, got {rate!r}")
        if not lowest <= rate <= model_rate:
            raise AudioError(
                f"a stream's {name} rate must be {lowest} to {model_rate} Hz, got {rate}"
            )
