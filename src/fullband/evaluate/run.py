"""A system on a corpus: one row of scores per file, with everything needed to make it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from fullband.audio.level import active_level_db, model_gain
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.corpora.dataset import Decoded
from fullband.degrade import Degradation
from fullband.evaluate.metrics import score
from fullband.models.spline import interpolate

__all__ = ["ModelShape", "System", "evaluate_recordings", "fit_length", "mean_scores", "raw_system"]

System = Callable[[Audio, Degradation, int], Audio]
"""Narrow audio `[T']`, how it was made and the wide length T, to predicted audio `[T]`."""


class ModelShape(Protocol):
    """What a model's configuration says about its input."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def upsampling(self) -> str: ...


def raw_system(run_model: Callable[[Audio], Audio], config: ModelShape) -> System:
    """A model alone, as the 2017 paper scores it: upsampled input in, output taken as it is.

    The input is brought to the reference level that models are trained at, and the output back.

    Args:
        run_model: audio `[B, T]` to `[B, T]`.
    """

    def system(narrow: Audio, degradation: Degradation, length: int) -> Audio:
        gain = np.float32(model_gain(active_level_db(narrow, degradation.narrow_rate)))
        bring_up = interpolate if config.upsampling == "spline" else resample
        upsampled = bring_up(narrow * gain, degradation.narrow_rate, config.sample_rate)
        return fit_length(run_model(upsampled[None])[0] / gain, length)

    return system


def evaluate_recordings(
    system: System,
    decoded: Decoded,
    degradation: Degradation,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    extra: Callable[[int, Audio, Audio], dict[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """Degrade every recording, let the system bring it back and score the result.

    Args:
        progress: wraps the loop over files, to show a bar.
        extra: more scores of a file, from its index, the predicted and the wide audio.

    Returns:
        One dictionary per file: `file`, `seconds` and the metrics of `fullband.evaluate.metrics`.
    """
    rows = []
    for index in progress(range(len(decoded))):
        wide = decoded.recording(index)
        predicted = system(degradation.apply(wide), degradation, len(wide))
        scores = score(predicted, wide, decoded.sample_rate, degradation.cutoff_hz)
        if extra is not None:
            scores |= extra(index, predicted, wide)
        seconds = round(len(wide) / decoded.sample_rate, 3)
        rows.append({"file": decoded.names[index], "seconds": seconds, **scores})
    return rows


def mean_scores(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The mean over files of every number in the rows, `seconds` left out."""
    numbers = [k for k, v in rows[0].items() if isinstance(v, float) and k != "seconds"]
    return {name: float(np.mean([row[name] for row in rows])) for name in numbers}


def fit_length(audio: Audio, length: int) -> Audio:
    """Cut or pad `[T]` audio at its end to exactly `length` samples."""
    return np.pad(audio[:length], (0, max(0, length - len(audio))))
