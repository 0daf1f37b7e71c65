"""Runs a model over audio, whole or as a stream. Nothing else knows about ONNX Runtime.

Every model is used through `Model`: its rates, and a `stage` that takes upsampled blocks and gives
predicted ones. A stage's output equals what the model would make of the whole recording at once,
because every block is run with as much of its surroundings as the network can see.

There are two kinds. Some expect a recording that was brought to one low rate first. Others take any
and are told, for every moment, where its content ends.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fullband.audio.bandwidth import Segment, bandwidths_at
from fullband.audio.samples import Audio
from fullband.card import Card, cards, find_card, released
from fullband.errors import ModelError
from fullband.models.registry import BASELINES

__all__ = [
    "BlockRunner",
    "Model",
    "OnnxModel",
    "Stage",
    "StepRunner",
    "StreamingModel",
    "available_cores",
    "choose_model",
    "onnx_model",
    "open_model",
    "use_cores",
]

DEFAULT_MODEL = "speech"
"""What `auto` takes of everything that has no model of its own."""

_BLOCK_SAMPLES = 1 << 16  # over all channels; with ~100 floats per sample inside the network
_CONTEXTS = 8  # or so many contexts to a block, so that most of the work is not context
_STEPS = 128  # strides that a streaming model takes at a time where all of a recording is there
_WINDOW_SAMPLES = 1 << 18  # of a block of all channels, where the network is a small one


def available_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_CORES = available_cores()
_ABREAST = min(2, _CORES)  # windows that are run at a time, on a core each or several


def use_cores(count: int, abreast: int = 2) -> None:
    """Have models that are opened from now on run on so many cores, where several processes share
    a machine. With four and more, what is computed may differ in the last bit of a float.

    Args:
        abreast: how many windows are run at a time, each on its share of the cores; as many as
            recordings, where one process enhances several at a time.
    """
    global _CORES, _ABREAST
    _CORES, _ABREAST = count, min(abreast, count)
    open_model.cache_clear()
    _threads.cache_clear()


class Stage(Protocol):
    """A step of the signal path: `[C, T]` blocks in, `[C, T']` blocks out, then the rest."""

    def push(self, block: Audio) -> Audio: ...

    def flush(self) -> Audio: ...


class Model(Protocol):
    """A model ready to run.

    Attributes:
        sample_rate: of its input and output in Hz; None for a baseline that works at any.
        entry_rate: the rate that recordings are brought to first; None for the recording's own.
        upsampling: how they get from there to `sample_rate`: `sinc` or `spline`.
        stride: where a stream may begin, see `stage`.
        bandwidth_range_hz: where the content of what it widens may end, for a model that is told;
            else None. See `Card`.
    """

    @property
    def name(self) -> str: ...

    @property
    def sample_rate(self) -> int | None: ...

    @property
    def entry_rate(self) -> int | None: ...

    @property
    def upsampling(self) -> str: ...

    @property
    def stride(self) -> int: ...

    @property
    def bandwidth_range_hz(self) -> tuple[float, float] | None: ...

    @property
    def fills_holes(self) -> bool: ...

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        """Upsampled audio `[B, T]` to predicted audio `[B, T]`, in one piece.

        Args:
            bandwidth_hz: where content ends, for a model that is told: a number, or `[F]`.
        """

    def stage(
        self, channels: int, segments: Sequence[Segment] = (), start: int = 0
    ) -> BlockRunner | StepRunner | None:
        """The same over a stream; None where the model adds nothing to its upsampled input.

        Args:
            segments: where content ends, for a model that is told; positions at `sample_rate`.
            start: the position of the stream's first sample, a multiple of `stride`.
        """


class Baseline:
    """`sinc` or `spline`: upsampling and nothing else."""

    sample_rate = None
    entry_rate = None
    stride = 1
    bandwidth_range_hz = None
    fills_holes = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.upsampling = name

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        return audio

    def stage(self, channels: int, segments: Sequence[Segment] = (), start: int = 0) -> None:
        return None


class OnnxModel:
    """A released or exported model, in ONNX Runtime on the CPU.

    Raises:
        ModelError: the file is not a graph of audio `[B, T]`, and of `bandwidth_hz` `[B, F]` where
            its card says so, to audio `[B, T]`.
    """

    def __init__(self, card: Card, weights: Path) -> None:
        self._weights = weights
        # Two windows on a core each go faster than one after the other on both.
        self._session = self._open(_CORES // _ABREAST)
        inputs = [(node.name, len(node.shape)) for node in self._session.get_inputs()]
        outputs = [(node.name, len(node.shape)) for node in self._session.get_outputs()]
        if (inputs, outputs) != self._graph(card):
            expected = " and ".join(card.inputs)
            raise ModelError(f"{weights}: is not a graph from {expected} to wide, as its card says")
        self.card = card
        self.name = card.name
        self.sample_rate = card.sample_rate
        self.entry_rate = card.entry_rate
        self.upsampling = card.upsampling
        self.stride = card.stride
        self.bandwidth_range_hz = card.bandwidth_range_hz
        self.fills_holes = card.fills_holes

    @staticmethod
    def _graph(card: Card) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """The names of what goes in and comes out, and how many axes each has."""
        return [(name, 2) for name in card.inputs], [("wide", 2)]

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        return self._run(self._whole_session, audio, bandwidth_hz)

    @functools.cached_property
    def _whole_session(self) -> Any:
        """For audio in one piece: on all cores."""
        return self._session if _ABREAST == 1 else self._open(_CORES)

    def _open(self, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # A plan of all of a window's buffers at once takes a quarter more memory and no less time.
        options.enable_mem_pattern = False
        try:
            return onnxruntime.InferenceSession(
                os.fspath(self._weights), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._weights}: cannot be loaded ({reason})") from None

    def _run(self, session: Any, audio: Audio, bandwidth_hz: Any) -> Audio:
        given = {"audio": np.ascontiguousarray(audio)}
        if self.bandwidth_range_hz is not None:
            if bandwidth_hz is None:
                raise ModelError(f"{self.name}: has to be told bandwidth_hz")
            frames = np.atleast_1d(np.asarray(bandwidth_hz, np.float32))
            given["bandwidth_hz"] = np.tile(frames, (audio.shape[0], 1))
        try:
            (wide,) = session.run(["wide"], given)
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._weights}: cannot be run ({reason})") from None
        wide = np.asarray(wide)
        if wide.shape != audio.shape or wide.dtype != np.float32:
            said = f"{wide.dtype} {list(wide.shape)}"
            raise ModelError(f"{self._weights}: makes {said} of float32 {list(audio.shape)}")
        if not np.isfinite(np.dot(wide.ravel(), wide.ravel())):
            raise ModelError(f"{self._weights}: makes samples that are NaN or infinite")
        return wide

    def stage(
        self, channels: int, segments: Sequence[Segment] = (), start: int = 0
    ) -> BlockRunner | StepRunner:
        stride = self.stride

        def run(audio: Audio, position: int) -> Audio:
            if len(segments) < 2 or self.bandwidth_range_hz is None:
                known_hz = segments[0].bandwidth_hz if segments else None
                return self._run(self._session, audio, known_hz)
            frames = position + stride * np.arange(1 + audio.shape[-1] // stride)
            bandwidth_hz = bandwidths_at(segments, frames)
            if np.all(bandwidth_hz >= self.bandwidth_range_hz[1]):
                return audio  # nothing is missing here, and what the graph says is not used
            return self._run(self._session, audio, bandwidth_hz)

        together = 2 if self.card.architecture.get("in_tune") else 1
        return BlockRunner(run, stride, self.card.context, channels, start, together)


class StreamingModel(OnnxModel):
    """A model that runs frame by frame, each stream with a memory of its own.

    Attributes:
        memory: numbers that a stream keeps, zeros at first.

    Raises:
        ModelError: see `OnnxModel`.
    """

    def __init__(self, card: Card, weights: Path) -> None:
        super().__init__(card, weights)
        assert card.memory is not None
        self.memory = card.memory

    @staticmethod
    def _graph(card: Card) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        axes = {"audio": 3, "bandwidth_hz": 2, "mix": 2, "memory": 2}
        return [(name, axes[name]) for name in card.inputs], [("wide", 3), ("memory_after", 2)]

    def step(
        self, audio: Audio, bandwidth_hz: Audio, mix: Audio, memory: Audio
    ) -> tuple[Audio, Audio]:
        """The next strides of several streams: what the model makes of them, one stride later.

        Args:
            mix: how much of the new band and of the lows is added, 1 being all.

        Shape:
            audio `[B, N, stride]`, bandwidth_hz `[B, N]`, mix `[B, 2]`, memory `[B, memory]`, all
            float32; result as audio and memory.

        Raises:
            ModelError: the graph cannot be run, or makes something that is not audio.
        """
        given = {"audio": audio, "bandwidth_hz": bandwidth_hz, "mix": mix, "memory": memory}
        try:
            wide, after = self._session.run(["wide", "memory_after"], given)
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._weights}: cannot be run ({reason})") from None
        if wide.shape != audio.shape or after.shape != memory.shape:
            raise ModelError(f"{self._weights}: makes {list(wide.shape)} of {list(audio.shape)}")
        if not np.isfinite(np.dot(wide.ravel(), wide.ravel())):
            raise ModelError(f"{self._weights}: makes samples that are NaN or infinite")
        result: tuple[Audio, Audio] = wide, after
        return result

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        frames = np.atleast_1d(np.asarray(bandwidth_hz, np.float32))

        def told(positions: np.ndarray) -> np.ndarray:
            taken: np.ndarray = frames[np.minimum(positions // self.stride, len(frames) - 1)]
            return taken

        runner = StepRunner(self, told, len(audio), lows=1.0)
        return np.concatenate([runner.push(audio), runner.flush()], axis=-1)

    def stage(self, channels: int, segments: Sequence[Segment] = (), start: int = 0) -> StepRunner:
        return StepRunner(
            self, lambda positions: bandwidths_at(segments, positions), channels, start
        )


class StepRunner:
    """A streaming model as a stage: results lie where the input lay, and `flush` gives the rest.

    Args:
        bandwidths_hz: where content ends at positions `[N]`, to `[N]`.
        start: the position of the first sample that will be pushed, a multiple of the stride. Steps
            lie on one grid, as the blocks of `BlockRunner`.
        lows: how much is added of what lies below 300 Hz.
    """

    def __init__(
        self,
        model: StreamingModel,
        bandwidths_hz: Callable[[np.ndarray], np.ndarray],
        channels: int,
        start: int = 0,
        lows: float = 0.0,
    ) -> None:
        self._model = model
        self._bandwidths_hz = bandwidths_hz
        self._block = _STEPS * model.stride
        self._memory = np.zeros((channels, model.memory), np.float32)
        self._mix = np.tile(np.array([[1, lows]], np.float32), (channels, 1))
        self._held = np.zeros((channels, 0), np.float32)
        self._position = start  # of the first sample that is held
        self._early = model.stride  # samples of the result that lie before the start

    @property
    def reach(self) -> int:
        """Samples to each side that can change a sample of the result, be it by rounding."""
        return self._block + self._model.card.context

    def push(self, block: Audio) -> Audio:
        self._held = np.concatenate([self._held, block], axis=-1)
        pieces = []
        while self._held.shape[-1] >= self._next():
            pieces.append(self._step(self._next()))
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def flush(self) -> Audio:
        left = self._held.shape[-1] + self._model.stride - self._early
        tail = np.zeros((len(self._held), self._block + self._model.stride), np.float32)
        return self.push(tail)[:, :left]

    def _next(self) -> int:
        """How long the next block is: up to the next line of the grid."""
        return self._block - self._position % self._block

    def _step(self, length: int) -> Audio:
        stride = self._model.stride
        audio = np.ascontiguousarray(self._held[:, :length]).reshape(len(self._held), -1, stride)
        told = self._bandwidths_hz(self._position + stride * np.arange(length // stride))
        told = np.tile(np.asarray(told, np.float32), (len(audio), 1))
        wide, self._memory = self._model.step(audio, told, self._mix, self._memory)
        self._held = self._held[:, length:]
        self._position += length
        result = wide.reshape(len(wide), -1)[:, self._early :]
        self._early = 0
        return result


class BlockRunner:
    """Runs a function of whole audio over a stream, block by block, with the same result.

    Blocks are run beside the caller's own work, two at a time where there are two cores; what
    `push` gives is what is done by then. Few are ever waiting, so memory is bounded.

    Args:
        run: `[B, T]` and the position of its first sample to `[B, T]`, depending on at most
            `context` samples to each side, and the same wherever a block begins as long as that is
            a multiple of `stride`.
        start: the position of the first sample that will be pushed, a multiple of `stride`. Blocks
            lie on one grid, so that a part of a recording rounds as the whole does, `reach` from
            the part's ends.
        together: how many channels are run at a time: two where a model listens to both of a pair,
            as an `Extender` that copies in tune does; one takes half the memory.
    """

    def __init__(
        self,
        run: Callable[[Audio, int], Audio],
        stride: int,
        context: int,
        channels: int,
        start: int = 0,
        together: int = 2,
    ) -> None:
        self._run = run
        self._together = together
        self._context = -(-context // stride) * stride
        # What is run at a time has so much in all, and of many channels what is held is bounded.
        shares = max(min(together, channels), -(-channels // 4))
        samples = max(
            _BLOCK_SAMPLES // channels,
            _CONTEXTS * context // shares,
            min(2 * _CONTEXTS * context, _WINDOW_SAMPLES) // channels,  # a small network
        )
        self._block = max(stride, samples // stride * stride)
        self._held = np.zeros((channels, 0), np.float32)
        self._lead = 0  # samples held in front of the next one to be given out
        self._position = start  # of the first sample that is held
        self._running: deque[Future[Audio]] = deque()

    @property
    def reach(self) -> int:
        """Samples to each side that can change a sample of the result, be it by rounding."""
        return self._block + self._context

    def push(self, block: Audio) -> Audio:
        self._held = np.concatenate([self._held, block], axis=-1)
        pieces = []
        while self._held.shape[-1] >= self._lead + self._next() + self._context:
            self._begin(self._next())
            pieces += self._finished(_ABREAST)
        pieces += self._finished(_ABREAST)
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def flush(self) -> Audio:
        pieces = []
        while self._held.shape[-1] > self._lead:
            self._begin(min(self._next(), self._held.shape[-1] - self._lead))
            pieces += self._finished(_ABREAST)
        pieces += self._finished(0)
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def _next(self) -> int:
        """How long the next block is: up to the next line of the grid."""
        return self._block - (self._position + self._lead) % self._block

    def _begin(self, length: int) -> None:
        """Have the next block run."""
        window = self._held[:, : self._lead + length + self._context]
        wanted = slice(self._lead, self._lead + length)
        self._running.append(_threads().submit(self._run_window, window, self._position, wanted))
        keep_from = max(0, self._lead + length - self._context)
        self._lead += length - keep_from
        self._position += keep_from
        self._held = self._held[:, keep_from:]

    def _run_window(self, window: Audio, position: int, wanted: slice) -> Audio:
        count = self._together
        results = [
            self._run(window[i : i + count], position)[:, wanted]
            for i in range(0, len(window), count)
        ]
        return np.concatenate(results) if len(results) > 1 else results[0]

    def _finished(self, waiting: int) -> list[Audio]:
        """What is done, in order; and what else there is beyond so many that may still wait."""
        pieces = []
        while self._running and (len(self._running) > waiting or self._running[0].done()):
            pieces.append(self._running.popleft().result())
        return pieces


@functools.lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_ABREAST, thread_name_prefix="fullband")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads do not survive it


@functools.lru_cache(maxsize=4)
def open_model(name: str) -> Model:
    """A model by name (see `fullband models`) or by the path of an exported ONNX file.

    Raises:
        ModelError: there is none, or its file is damaged.
    """
    if name in BASELINES:
        return Baseline(name)
    return onnx_model(*find_card(name))


def onnx_model(card: Card, weights: Path) -> OnnxModel:
    """The model in a file, as its card says it is to be run.

    Raises:
        ModelError: see `OnnxModel`.
    """
    return (OnnxModel if card.memory is None else StreamingModel)(card, weights)


def choose_model(bandwidth_hz: float, kind: str = DEFAULT_MODEL) -> str:
    """What `auto` means: the released model for this kind of recording, else `speech`.

    Where neither is installed, the released model whose entry rate suits the bandwidth best, by
    ratio.

    Args:
        kind: `speech` or `music`, which is also what the models are called.

    Raises:
        ModelError: no model is released.
    """
    names = released()
    for name in (kind, DEFAULT_MODEL):
        if name in names:
            return name
    distance: dict[str, float] = {}
    for card in cards():
        if card.entry_rate is not None:
            distance[card.name] = abs(np.log(2 * bandwidth_hz / card.entry_rate))
    if not distance:
        raise ModelError("no released model is installed; name a baseline: --model sinc or spline")
    return min(distance, key=lambda name: (distance[name], name))
