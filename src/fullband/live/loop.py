"""A stream between a source and a sink that may keep real time: pipes, a microphone, a speaker.

Whoever has the samples puts them into an `Inbox`, from a thread of its own; `run` takes them out,
widens them and hands them on, and measures how long that takes. Where the machine cannot keep up it
takes more at a time, and where that does not do, the stream is bypassed until it can: what is there
goes through, late by no more than was allowed, and is said to. Nothing is dropped in silence.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from fullband.audio.pcm import PcmDecoder, bytes_per_sample, encode
from fullband.audio.samples import Audio
from fullband.errors import FullbandError
from fullband.streaming import Stream

__all__ = ["Durations", "Inbox", "LiveReport", "Overload", "due", "read_pipe", "run", "run_pipe"]

_MOST_AT_ONCE_S = 0.1  # that is taken together where blocks have gathered
_MOST_WAITING_S = 2.0  # then a pipe is left to wait
_CALM_S = 2.0  # without lag, before the new band comes back


class Durations:
    """Percentiles of any number of durations in bounded memory, each right to within 1 %."""

    _LOWEST_S, _STEP = 1e-6, 1.02

    def __init__(self) -> None:
        self._counts = np.zeros(1200, np.int64)  # up to 5 hours
        self.count = 0
        self.longest_s = 0.0

    def add(self, duration_s: float) -> None:
        """One more."""
        above = math.log(max(duration_s, self._LOWEST_S) / self._LOWEST_S) / math.log(self._STEP)
        self._counts[min(int(above), len(self._counts) - 1)] += 1
        self.count += 1
        self.longest_s = max(self.longest_s, duration_s)

    def quantile_s(self, fraction: float) -> float:
        """What so large a fraction stays below; NaN where there are none."""
        if not self.count:
            return math.nan
        needed = max(1, math.ceil(fraction * self.count))
        index = int(np.searchsorted(np.cumsum(self._counts), needed))
        return min(self.longest_s, float(self._LOWEST_S * self._STEP ** (index + 0.5)))

    def summary_ms(self) -> dict[str, float]:
        """Median, 95th and 99th percentile and the longest, in milliseconds; nothing of nothing."""
        if not self.count:
            return {}
        found = {f"p{round(100 * q)}": self.quantile_s(q) for q in (0.5, 0.95, 0.99)}
        found["longest"] = self.longest_s
        return {name: round(1000 * value, 3) for name, value in found.items()}


@dataclass(frozen=True)
class LiveReport:
    """What a run was like.

    Attributes:
        audio_s: how much audio went through.
        delay_ms: the stream's algorithmic delay.
        work_ms: how long a block took: `p50`, `p95`, `p99`, `longest`.
        latency_ms: from when a block was there, or would have been in real time, to when its result
            was handed on, the same.
        xruns: blocks that were handed on later than that by more than they last.
        bypassed_s: audio that went through without a new band because of lag.
        overloads: how often that began.
        lost: samples that a device could not hand over in time.
    """

    audio_s: float
    source_rate: int
    target_rate: int
    delay_ms: float
    times_real_time: float
    blocks: int
    work_ms: dict[str, float]
    latency_ms: dict[str, float]
    xruns: int
    bypassed_s: float
    overloads: int
    lost: int

    def to_dict(self) -> dict[str, Any]:
        """For a file of JSON."""
        return asdict(self)


class Inbox:
    """Audio that came and waits, in order; one thread puts, one takes.

    Args:
        sample_rate: of what comes.
        waits: whether `put` waits where much is waiting, as a pipe's reader may; a device's must
            not, and what does not fit is counted as lost.
    """

    def __init__(self, sample_rate: int, waits: bool = True) -> None:
        self._sample_rate = sample_rate
        self._waits = waits
        self._most = round(_MOST_WAITING_S * sample_rate)
        self._blocks: deque[tuple[Audio, float]] = deque()
        self._samples = 0
        self._due_s = 0.0
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self.lost = 0

    def put(self, block: Audio) -> bool:
        """What just came; False where nobody takes any more. Shape: `[C, T]`."""
        with self._changed:
            while self._waits and self._samples > self._most and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            if self._samples > self._most:
                self.lost += block.shape[-1]
                return True
            if block.shape[-1]:
                due_s, self._due_s = due(self._due_s, block.shape[-1] / self._sample_rate)
                self._blocks.append((block, due_s))
                self._samples += block.shape[-1]
                self._changed.notify_all()
        return True

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more comes, or nobody takes any more."""
        with self._changed:
            self._closed, self._error = True, self._error or error
            self._changed.notify_all()

    def take(self, most: int) -> tuple[Audio, float] | None:
        """The oldest block, with others behind it up to so many samples, and when its first part
        was `due`; None once all was taken and the inbox is closed.

        Raises:
            whatever the other thread closed it with.
        """
        with self._changed:
            while not self._blocks and not self._closed:
                self._changed.wait()
            if not self._blocks:
                if self._error is not None:
                    raise self._error
                return None
            first, due_s = self._blocks.popleft()
            parts = [first]
            length = first.shape[-1]
            while self._blocks and length + self._blocks[0][0].shape[-1] <= most:
                parts.append(self._blocks.popleft()[0])
                length += parts[-1].shape[-1]
            self._samples -= length
            self._changed.notify_all()
        return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)), due_s


def due(before_s: float, duration_s: float) -> tuple[float, float]:
    """When what has just come could be asked for at the earliest: now, or later where more came
    before it than real time had room for. So whoever sends faster than that is not late.

    Args:
        before_s: when the end of what came before is due.

    Returns:
        that time, and the next `before_s`.
    """
    at_s = max(time.monotonic(), before_s)
    return at_s, at_s + duration_s


class Overload:
    """Says when a stream has to be bypassed: too late, until it was not for a while.

    Args:
        max_lag_s: how old what is taken may be.
    """

    def __init__(self, max_lag_s: float) -> None:
        self._max_lag_s = max_lag_s
        self._calm_since: float | None = None
        self.on = False
        self.count = 0

    def judge(self, lag_s: float, now_s: float) -> bool:
        """Whether it is too late now, from how long ago what was just taken came."""
        if lag_s > self._max_lag_s:
            self._calm_since = None
            self.count += not self.on
            self.on = True
        elif self.on:
            if lag_s > self._max_lag_s / 2:
                self._calm_since = None
            elif self._calm_since is None:
                self._calm_since = now_s
            elif now_s - self._calm_since >= _CALM_S:
                self.on = False
        return self.on


class Decoder(Protocol):
    """Bytes of samples to audio, incomplete samples kept for later."""

    def push(self, data: bytes) -> Audio: ...


def read_pipe(descriptor: int, decoder: Decoder, inbox: Inbox, block_bytes: int) -> None:
    """Read a pipe into an inbox until it ends, what is there at a time and no more than a block.

    Made to be run in a thread; whatever goes wrong is for the one that takes.
    """
    try:
        while data := os.read(descriptor, block_bytes):
            if not inbox.put(decoder.push(data)):
                return
    except (OSError, FullbandError) as error:
        inbox.close(error)
    else:
        inbox.close()


def run(
    stream: Stream,
    inbox: Inbox,
    give: Callable[[Audio], None],
    max_lag_s: float | None = None,
    say: Callable[[str], None] | None = None,
    bypass: threading.Event | None = None,
) -> LiveReport:
    """Widen what comes until the inbox is closed, then the rest.

    Args:
        give: takes what is done, `[C, T]`.
        max_lag_s: how late what comes may be taken before the stream is bypassed; None where the
            source does not keep real time, and then nothing is late.
        say: is told when that begins and ends, in words.
        bypass: set as long as the stream is to be bypassed in any case.

    Raises:
        AudioError, ModelError: see `Stream`; and whatever `give` raises.
    """
    rate = stream.source_rate
    overload = Overload(math.inf if max_lag_s is None else max_lag_s)
    work, latency = Durations(), Durations()
    xruns, bypassed, busy_s = 0, 0, 0.0
    while (taken := inbox.take(round(_MOST_AT_ONCE_S * rate))) is not None:
        block, due_s = taken
        begun_s = time.monotonic()
        was_on, asked = overload.on, bypass is not None and bypass.is_set()
        on = overload.judge(begun_s - due_s, begun_s)
        if on != was_on and say is not None:
            at = f"at {stream.taken / rate:.1f} s"
            say(f"cannot keep up {at}: bypassed" if on else f"keeping up again {at}")
        stream.bypass = asked or on
        give(stream(block if block.ndim == 2 else block[None]))
        done_s = time.monotonic()
        bypassed += block.shape[-1] * (on and not asked)
        work.add(done_s - begun_s)
        latency.add(max(0.0, done_s - due_s))
        busy_s += done_s - begun_s
        xruns += max_lag_s is not None and done_s - due_s > block.shape[-1] / rate
    audio_s = stream.taken / rate
    give(stream.flush())
    return LiveReport(
        audio_s=audio_s,
        source_rate=rate,
        target_rate=stream.target_rate,
        delay_ms=round(1000 * stream.delay_s, 3),
        times_real_time=round(audio_s / max(busy_s, 1e-9), 2),
        blocks=work.count,
        work_ms=work.summary_ms(),
        latency_ms=latency.summary_ms(),
        xruns=xruns,
        bypassed_s=round(bypassed / rate, 3),
        overloads=overload.count,
        lost=inbox.lost,
    )


def run_pipe(
    stream: Stream,
    source_format: str,
    target_format: str,
    block_s: float = 0.02,
    max_lag_s: float | None = None,
    say: Callable[[str], None] | None = None,
    bypass: threading.Event | None = None,
    source: int = 0,
    target: int = 1,
) -> LiveReport:
    """Samples from one file descriptor to another, standard input and output unless told otherwise.

    Args:
        source_format, target_format: see `fullband.audio.pcm`.
        block_s: the most that is read at a time.
        max_lag_s, say, bypass: see `run`.

    Raises:
        OSError: one of them cannot be read or written.
        AudioError, ModelError: see `Stream`.
    """
    decoder = PcmDecoder(source_format, stream.channels)
    inbox = Inbox(stream.source_rate)
    samples = max(1, round(block_s * stream.source_rate))
    size = samples * stream.channels * bytes_per_sample(source_format)
    reader = threading.Thread(
        target=read_pipe, args=(source, decoder, inbox, size), name="fullband-read", daemon=True
    )
    reader.start()

    def give(audio: Audio) -> None:
        data = memoryview(encode(audio, target_format))
        while data:
            data = data[os.write(target, data) :]

    try:
        return run(stream, inbox, give, max_lag_s, say, bypass)
    finally:
        inbox.close()
