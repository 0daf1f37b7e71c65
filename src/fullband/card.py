"""A released model's card: what it is, what it was made from, what it scores."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fullband.audio.samples import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from fullband.errors import ModelError, SettingsError
from fullband.settings import build, to_dict

__all__ = ["RELEASED", "Card", "cards", "find_card", "read_card", "released", "write_card"]

RELEASED = Path(__file__).parent / "released"
"""The folder with the weights that ship."""

_MOST_SAMPLES = 1 << 20  # of stride and context: what a model sees is held in memory


@dataclass(frozen=True)
class Card:
    """Everything a user of the weights should know, and what running them needs.

    Attributes:
        architecture: its settings, as in a recipe's `[model]`.
        sample_rate: of the model's input and output, Hz.
        entry_rate: the rate that recordings are brought to first, Hz. Half of it is the bandwidth
            that the model expects. None for a model that takes recordings of any rate, each
            brought to `sample_rate` at once.
        upsampling: how they are brought from there to `sample_rate`: `spline` or `sinc`.
        stride: lengths are padded to a multiple of it, inside the graph.
        context: samples to each side that can change an output sample.
        data: the corpora it was trained on, with their licences.
        licence: of the weights.
        command: what made them.
        scores: where, by which command, and the figures.
        sha256: of the ONNX file.
        bandwidth_range_hz: for a model of any rate, where the content of the recordings that it
            widens may end, lowest and highest. Its graph has a second input, `bandwidth_hz`
            `[B, F]`: where content ends, once for all (F = 1) or at every `stride` samples
            (F = 1 + T // stride, value i at sample i * stride).
        memory: for a model that runs frame by frame, how many numbers a stream keeps from one run
            to the next. Its graph takes `audio` `[B, N, stride]`, `bandwidth_hz` `[B, N]`, `mix`
            `[B, 2]` (how much is added of the new band and of the lows) and `memory` `[B, memory]`,
            zeros at first, and gives `wide` `[B, N, stride]`, a stride later, and `memory_after`.
    """

    name: str
    summary: str
    architecture: dict[str, Any]
    sample_rate: int
    entry_rate: int | None
    upsampling: str
    stride: int
    context: int
    parameters: int
    data: tuple[str, ...]
    licence: str
    command: str
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    bandwidth_range_hz: tuple[float, float] | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        if (self.entry_rate is None) != (self.bandwidth_range_hz is not None):
            raise SettingsError("a model has either an entry_rate or a bandwidth_range_hz")
        low_hz, high_hz = self.bandwidth_range_hz or (1.0, 2.0)
        if not 0 < low_hz < high_hz < math.inf:
            raise SettingsError("bandwidth_range_hz must rise, from above 0")
        for name in ("sample_rate", "entry_rate"):
            rate = getattr(self, name)
            if rate is not None and not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
                limits = f"{MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz"
                raise SettingsError(f"{name} {rate} Hz is outside {limits}")
        if self.upsampling not in ("spline", "sinc"):
            raise SettingsError(f"upsampling must be spline or sinc, not '{self.upsampling}'")
        if self.memory is not None:
            if self.bandwidth_range_hz is None:
                raise SettingsError("a model with a memory needs a bandwidth_range_hz")
            if not 1 <= self.memory <= _MOST_SAMPLES:
                raise SettingsError(f"memory must be 1 to {_MOST_SAMPLES} numbers")
        if not 1 <= self.stride <= _MOST_SAMPLES or not 0 <= self.context <= _MOST_SAMPLES:
            raise SettingsError(f"stride and context must be 1 and 0 to {_MOST_SAMPLES} samples")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the graph's inputs."""
        if self.memory is not None:
            return ("audio", "bandwidth_hz", "mix", "memory")
        return ("audio",) if self.bandwidth_range_hz is None else ("audio", "bandwidth_hz")

    @property
    def fills_holes(self) -> bool:
        """Whether it also says what a codec left out below the end of content."""
        return bool(self.architecture.get("fills_holes", False))


def cards() -> list[Card]:
    """The cards of all released models, by name."""
    return [read_card(path) for path in sorted(RELEASED.glob("*.json"))]


def released() -> list[str]:
    """The names of all released models, without reading their cards."""
    return [path.stem for path in sorted(RELEASED.glob("*.json"))]


def find_card(name: str) -> tuple[Card, Path]:
    """The card and the ONNX file of a released model, or of an exported one by its path.

    Raises:
        ModelError: there is no such model, its card is damaged, or its file is not what the card
            says.
    """
    from fullband.models.registry import BASELINES

    if name.endswith((".onnx", ".json")):
        weights = Path(name).with_suffix(".onnx")
        card_path = weights.with_suffix(".json")
        if not weights.is_file() or not card_path.is_file():
            raise ModelError(f"{name}: a model needs both {weights.name} and {card_path.name}")
    else:
        weights, card_path = RELEASED / f"{name}.onnx", RELEASED / f"{name}.json"
        known = released()
        if name in BASELINES:
            raise ModelError(f"'{name}' is computed, not trained: it has no card")
        if name not in known:
            known = [*BASELINES, *known]
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"one of {', '.join(known)}"
            raise ModelError(f"unknown model '{name}'; {hint}")
    card = read_card(card_path)
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError:
        raise ModelError(f"{weights}: the weights cannot be read; install fullband again") from None
    if digest != card.sha256:
        raise ModelError(f"{weights}: the weights are not those of the card (sha256 differs)")
    return card, weights


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        ModelError: it is not one.
    """
    try:
        return build(Card, json.loads(path.read_text(encoding="utf-8")), str(path))
    except SettingsError as error:
        raise ModelError(str(error)) from None
    except RecursionError:
        raise ModelError(f"{path}: not a model card (nested too deeply)") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a model card ({error})") from None


def write_card(card: Card, path: Path) -> None:
    """Write a card as JSON."""
    path.write_text(json.dumps(to_dict(card), indent=2) + "\n", encoding="utf-8")
