"""All calls of a server, run together in one thread: what waits of each goes into one batch.

The event loop puts audio in and is called back with what becomes of it; it never waits here. A call
that falls behind is bypassed until there is room, as `fullband.live` does with one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from fullband.audio.samples import Audio
from fullband.errors import FullbandError
from fullband.live.loop import Durations, Overload, due
from fullband.streaming import LIVE, Streams

__all__ = ["Call", "Hub"]

_GATHER_S = 0.004  # after the first of a batch has come
_MOST_AT_ONCE_S = 0.1


class Call:
    """One client's stream; made by `Hub.open`.

    Attributes:
        stream: the stream. Its `adjust` may be called from anywhere.
        bypassed: whether it is because the machine cannot keep up.
        waiting: samples that came and were not yet run.
    """

    def __init__(self, stream: Any, deliver: Callable[[Audio | Exception | None], None]) -> None:
        self.stream = stream
        self.bypassed = False
        self.waiting = 0
        self._deliver = deliver
        self._blocks: deque[tuple[Audio, float]] = deque()
        self._overload: Overload | None = None
        self._due_s = 0.0
        self._ends = False


class Hub:
    """The calls and the thread that runs them; to be closed.

    Args:
        max_lag_s: how late audio may be taken before its call is bypassed.

    Attributes:
        work: how long batches took.

    Raises:
        ModelError: see `Streams`.
    """

    def __init__(self, model: str = LIVE, max_lag_s: float = 0.2) -> None:
        self._streams = Streams(model)
        self._max_lag_s = max_lag_s
        self._calls: set[Call] = set()
        self._changed = threading.Condition()
        self._closed = False
        self.work = Durations()
        self._thread = threading.Thread(target=self._run, name="fullband-calls", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._calls)

    def open(self, deliver: Callable[[Audio | Exception | None], None], **settings: Any) -> Call:
        """A new call.

        Args:
            deliver: is given what becomes of its audio `[C, T]`, in order, from the hub's thread;
                at its end None, or what went wrong.
            settings: see `fullband.stream`.

        Raises:
            AudioError: see `fullband.stream`.
        """
        call = Call(self._streams.open(**settings), deliver)
        call._overload = Overload(self._max_lag_s)
        with self._changed:
            self._calls.add(call)
        return call

    def put(self, call: Call, audio: Audio) -> None:
        """The call's next audio. Shape: `[C, T]`."""
        with self._changed:
            if call in self._calls and audio.shape[-1]:
                duration_s = audio.shape[-1] / call.stream.source_rate
                due_s, call._due_s = due(call._due_s, duration_s)
                call._blocks.append((audio, due_s))
                call.waiting += audio.shape[-1]
                self._changed.notify()

    def end(self, call: Call) -> None:
        """No more comes: the rest is delivered, then None."""
        with self._changed:
            call._ends = True
            self._changed.notify()

    def drop(self, call: Call) -> None:
        """Nobody wants any more of it."""
        with self._changed:
            self._calls.discard(call)
            call._blocks.clear()
            call.waiting = 0

    def close(self) -> None:
        """End the thread; calls that are open end with it."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._ready():
                    self._changed.wait()
                if self._closed:
                    return
            time.sleep(_GATHER_S)
            begun_s = time.monotonic()
            with self._changed:
                batch = {call: self._take(call, begun_s) for call in self._calls if call._blocks}
                ending = [call for call in self._calls if call._ends and not call._blocks]
            self._push(batch)
            for call in ending:
                self._finish(call)
            if batch:
                self.work.add(time.monotonic() - begun_s)

    def _ready(self) -> bool:
        return any(call._blocks or call._ends for call in self._calls)

    def _take(self, call: Call, now_s: float) -> Audio:
        first, due_s = call._blocks.popleft()
        parts, length = [first], first.shape[-1]
        most = _MOST_AT_ONCE_S * call.stream.source_rate
        while call._blocks and length + call._blocks[0][0].shape[-1] <= most:
            parts.append(call._blocks.popleft()[0])
            length += parts[-1].shape[-1]
        call.waiting -= length
        assert call._overload is not None
        call.bypassed = call._overload.judge(now_s - due_s, now_s)
        call.stream.overloaded = call.bypassed
        return np.concatenate(parts, axis=-1) if len(parts) > 1 else first

    def _push(self, batch: dict[Call, Audio]) -> None:
        blocks = {call.stream: audio for call, audio in batch.items()}
        try:
            found = self._streams.push(blocks)
        except FullbandError as error:  # a graph that cannot be run: all of them are over
            for call in batch:
                self._fail(call, error)
            return
        for call in batch:
            call._deliver(found[call.stream])

    def _finish(self, call: Call) -> None:
        try:
            rest = np.atleast_2d(call.stream.flush())
        except FullbandError as error:
            self._fail(call, error)
            return
        call._deliver(rest)
        call._deliver(None)
        self.drop(call)

    def _fail(self, call: Call, error: Exception) -> None:
        call._deliver(error)
        self.drop(call)
