"""Runs a model over audio, whole or as a stream. Nothing else knows about ONNX Runtime.

Every model is used through `Model`: its rates, and a `stage` that takes upsampled blocks and gives
predicted ones. A stage's output equals what the model would make of the whole recording at once,
because every block is run with as much of its surroundings as the network can see.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Protocol

import numpy as np

from fullband.audio.samples import Audio
from fullband.card import Card, cards, find_card
from fullband.errors import ModelError
from fullband.models.registry import BASELINES

__all__ = ["BlockRunner", "Model", "OnnxModel", "Stage", "choose_model", "open_model"]

_BLOCK_SAMPLES = 1 << 16  # over all channels; with ~100 floats per sample inside the network


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
    """

    @property
    def name(self) -> str: ...

    @property
    def sample_rate(self) -> int | None: ...

    @property
    def entry_rate(self) -> int | None: ...

    @property
    def upsampling(self) -> str: ...

    def run(self, audio: Audio) -> Audio:
        """Upsampled audio `[B, T]` to predicted audio `[B, T]`, in one piece."""

    def stage(self, channels: int) -> Stage | None:
        """The same over a stream; None where the model adds nothing to its upsampled input."""


class Baseline:
    """`sinc` or `spline`: upsampling and nothing else."""

    sample_rate = None
    entry_rate = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.upsampling = name

    def run(self, audio: Audio) -> Audio:
        return audio

    def stage(self, channels: int) -> None:
        return None


class OnnxModel:
    """A released or exported model, in ONNX Runtime on the CPU.

    Raises:
        ModelError: the file is not a graph of audio `[B, T]` to audio `[B, T]`.
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
        if inputs != [("audio", 2)] or outputs != [("wide", 2)]:
            raise ModelError(f"{weights}: is not a graph from audio [B, T] to wide [B, T]")
        self.card = card
        self.name = card.name
        self.sample_rate = card.sample_rate
        self.entry_rate = card.entry_rate
        self.upsampling = card.upsampling

    def run(self, audio: Audio) -> Audio:
        (wide,) = self._session.run(["wide"], {"audio": np.ascontiguousarray(audio)})
        return np.asarray(wide)

    def stage(self, channels: int) -> BlockRunner:
        return BlockRunner(self.run, self.card.stride, self.card.context, channels)


class BlockRunner:
    """Runs a function of whole audio over a stream, block by block, with the same result.

    Args:
        run: `[B, T]` to `[B, T]`, depending on at most `context` samples to each side, and the same
            wherever a block begins as long as that is a multiple of `stride`.
    """

    def __init__(self, run: object, stride: int, context: int, channels: int) -> None:
        assert callable(run)
        self._run = run
        self._context = -(-context // stride) * stride
        self._block = max(stride, _BLOCK_SAMPLES // channels // stride * stride)
        self._held = np.zeros((channels, 0), np.float32)
        self._lead = 0  # samples held in front of the next one to be given out

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
        result: Audio = self._run(window)[:, self._lead : self._lead + length]
        keep_from = max(0, self._lead + length - self._context)
        self._lead += length - keep_from
        self._held = self._held[:, keep_from:]
        return result


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
    """The name of the released model made for the bandwidth nearest to this one, by ratio.

    Raises:
        ModelError: no model is released.
    """
    candidates = cards()
    if not candidates:
        raise ModelError("no released model is installed; name a baseline: --model sinc or spline")
    distance = {card.name: abs(np.log(2 * bandwidth_hz / card.entry_rate)) for card in candidates}
    return min(distance, key=lambda name: (distance[name], name))
