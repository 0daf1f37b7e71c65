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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fullband.audio.bandwidth import Segment, bandwidths_at
from fullband.audio.samples import Audio
from fullband.card import Card, cards, find_card
from fullband.errors import ModelError
from fullband.models.registry import BASELINES

__all__ = ["BlockRunner", "Model", "OnnxModel", "Stage", "choose_model", "open_model"]

DEFAULT_MODEL = "speech"
"""What `auto` takes wherever it is released."""

_BLOCK_SAMPLES = 1 << 16  # over all channels; with ~100 floats per sample inside the network
_CONTEXTS = 8  # or so many contexts to a block, so that most of the work is not context
_WINDOW_SAMPLES = 1 << 18  # channels beyond that are run one after the other


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
    def bandwidth_range_hz(self) -> tuple[float, float] | None: ...

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        """Upsampled audio `[B, T]` to predicted audio `[B, T]`, in one piece.

        Args:
            bandwidth_hz: where content ends, for a model that is told: a number, or `[F]`.
        """

    def stage(self, channels: int, segments: Sequence[Segment] = ()) -> Stage | None:
        """The same over a stream; None where the model adds nothing to its upsampled input.

        Args:
            segments: where content ends, for a model that is told; positions at `sample_rate`.
        """


class Baseline:
    """`sinc` or `spline`: upsampling and nothing else."""

    sample_rate = None
    entry_rate = None
    bandwidth_range_hz = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.upsampling = name

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        return audio

    def stage(self, channels: int, segments: Sequence[Segment] = ()) -> None:
        return None


class OnnxModel:
    """A released or exported model, in ONNX Runtime on the CPU.

    Raises:
        ModelError: the file is not a graph of audio `[B, T]`, and of `bandwidth_hz` `[B, F]` where
            its card says so, to audio `[B, T]`.
    """

    def __init__(self, card: Card, weights: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(weights), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{weights}: cannot be loaded ({reason})") from None
        inputs = [(node.name, len(node.shape)) for node in self._session.get_inputs()]
        outputs = [(node.name, len(node.shape)) for node in self._session.get_outputs()]
        if inputs != [(name, 2) for name in card.inputs] or outputs != [("wide", 2)]:
            expected = " and ".join(card.inputs)
            raise ModelError(f"{weights}: is not a graph from {expected} to wide, two axes each")
        self.card = card
        self.name = card.name
        self.sample_rate = card.sample_rate
        self.entry_rate = card.entry_rate
        self.upsampling = card.upsampling
        self.bandwidth_range_hz = card.bandwidth_range_hz

    def run(self, audio: Audio, bandwidth_hz: Any = None) -> Audio:
        given = {"audio": np.ascontiguousarray(audio)}
        if self.bandwidth_range_hz is not None:
            if bandwidth_hz is None:
                raise ModelError(f"{self.name}: has to be told bandwidth_hz")
            frames = np.atleast_1d(np.asarray(bandwidth_hz, np.float32))
            given["bandwidth_hz"] = np.tile(frames, (audio.shape[0], 1))
        (wide,) = self._session.run(["wide"], given)
        return np.asarray(wide)

    def stage(self, channels: int, segments: Sequence[Segment] = ()) -> BlockRunner:
        stride = self.card.stride

        def run(audio: Audio, start: int) -> Audio:
            if len(segments) < 2 or self.bandwidth_range_hz is None:
                return self.run(audio, segments[0].bandwidth_hz if segments else None)
            frames = start + stride * np.arange(1 + audio.shape[-1] // stride)
            bandwidth_hz = bandwidths_at(segments, frames)
            if np.all(bandwidth_hz >= self.bandwidth_range_hz[1]):
                return audio  # nothing is missing here, and what the graph says is not used
            return self.run(audio, bandwidth_hz)

        return BlockRunner(run, stride, self.card.context, channels)


class BlockRunner:
    """Runs a function of whole audio over a stream, block by block, with the same result.

    Args:
        run: `[B, T]` and the position of its first sample to `[B, T]`, depending on at most
            `context` samples to each side, and the same wherever a block begins as long as that is
            a multiple of `stride`.
    """

    def __init__(
        self, run: Callable[[Audio, int], Audio], stride: int, context: int, channels: int
    ) -> None:
        self._run = run
        self._context = -(-context // stride) * stride
        samples = max(_BLOCK_SAMPLES // channels, _CONTEXTS * context // -(-channels // 4))
        self._block = max(stride, samples // stride * stride)
        self._held = np.zeros((channels, 0), np.float32)
        self._lead = 0  # samples held in front of the next one to be given out
        self._position = 0  # of the first sample that is held

    def push(self, block: Audio) -> Audio:
        self._held = np.concatenate([self._held, block], axis=-1)
        pieces = []
        while self._held.shape[-1] >= self._lead + self._block + self._context:
            pieces.append(self._next(self._block))
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def flush(self) -> Audio:
        pieces = []
        while self._held.shape[-1] > self._lead:
            pieces.append(self._next(min(self._block, self._held.shape[-1] - self._lead)))
        return np.concatenate(pieces, axis=-1) if pieces else self._held[:, :0]

    def _next(self, length: int) -> Audio:
        window = self._held[:, : self._lead + length + self._context]
        together = max(1, _WINDOW_SAMPLES // window.shape[-1])
        results = [
            self._run(window[i : i + together], self._position)[:, self._lead : self._lead + length]
            for i in range(0, len(window), together)
        ]
        keep_from = max(0, self._lead + length - self._context)
        self._lead += length - keep_from
        self._position += keep_from
        self._held = self._held[:, keep_from:]
        return np.concatenate(results) if len(results) > 1 else results[0]


@functools.lru_cache(maxsize=4)
def open_model(name: str) -> Model:
    """A model by name (see `fullband models`) or by the path of an exported ONNX file.

    Raises:
        ModelError: there is none, or its file is damaged.
    """
    if name in BASELINES:
        return Baseline(name)
    return OnnxModel(*find_card(name))


def choose_model(bandwidth_hz: float) -> str:
    """What `auto` means: the released model `speech`, for whatever recording.

    Where that is not installed, the released model whose entry rate suits the bandwidth best, by
    ratio.

    Raises:
        ModelError: no model is released.
    """
    distance: dict[str, float] = {}
    for card in cards():
        if card.name == DEFAULT_MODEL:
            return card.name
        if card.entry_rate is not None:
            distance[card.name] = abs(np.log(2 * bandwidth_hz / card.entry_rate))
    if not distance:
        raise ModelError("no released model is installed; name a baseline: --model sinc or spline")
    return min(distance, key=lambda name: (distance[name], name))
