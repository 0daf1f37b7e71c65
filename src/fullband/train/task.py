"""What is trained on and how it is judged, for the two kinds of models.

`PairTask`: models made for one bandwidth, on pairs made as the field makes them, scored raw as the
2017 paper does. `NarrowingTask`: models that take any bandwidth, on patches varied and narrowed at
random, judged on whole recordings at several cutoffs as far as these are true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from fullband.audio.level import active_level_db, model_gain
from fullband.audio.resample import resample
from fullband.audio.samples import Audio
from fullband.audio.spectrum import power_spectrogram
from fullband.corpora.dataset import Decoded, PairDataset
from fullband.corpora.narrowing import MOST_HOLES, Example, NarrowingDataset
from fullband.corpora.notes import Notes
from fullband.corpora.splits import by_turns
from fullband.degrade import Degradation, degrade, lower_rate
from fullband.errors import AudioFileError
from fullband.evaluate.metrics import snr_db
from fullband.evaluate.run import evaluate_recordings, fit_length, mean_scores, raw_system
from fullband.losses.neurogram import dissimilarity
from fullband.losses.new_band import Spectra
from fullband.models.network import NetworkConfig
from fullband.train.config import TrainConfig
from fullband.train.step import NewBand

__all__ = ["Batch", "Drawn", "NarrowingTask", "PairTask", "Part", "Run", "Task"]

_LEAST_NEW_HZ = 2000.0  # a recording has to be true for so much above the cutoff it is judged at

Drawn = TypeVar("Drawn")
Part = tuple[Decoded, Notes]
"""A split's samples and what is known of its recordings."""

Run = Callable[..., Audio]
"""A network on arrays: audio `[B, T]` and what else it takes, to audio `[B, T]`."""


class Batch(NamedTuple):
    """What the network is given, what it should give, and where that is judged."""

    inputs: tuple[Tensor, ...]
    wide: Tensor
    band: NewBand | None = None


class Task(Protocol[Drawn]):
    """What the loop needs; batches are drawn apart from it, where another process may do it."""

    def fitting(self, batches: int) -> Iterator[tuple[Audio, Audio]]: ...
    def narrowed(self, wide: Audio) -> Audio: ...
    def draw(self, step: int) -> Drawn: ...
    def batch(self, drawn: Drawn, fabric: lightning_fabric.Fabric) -> Batch: ...
    def validate(self, run_model: Run, model: NetworkConfig) -> dict[str, float]: ...


class PairTask:
    """Narrow and wide patches at the recipe's methods and ratios."""

    def __init__(
        self, config: TrainConfig, model: NetworkConfig, training: Decoded, validation: Decoded
    ) -> None:
        ratios = config.degrade.ratios or (model.ratio,)
        methods = config.degrade.methods
        rate = model.sample_rate
        self._pairs = PairDataset(training, config.data, methods, ratios, config.run.seed)
        self._judged = Degradation(methods[0], rate, lower_rate(rate, ratios[0]))
        self._validation = validation

    def fitting(self, batches: int) -> Iterator[tuple[Audio, Audio]]:
        """What things that are solved for are fitted to."""
        return (self._pairs.batch(step) for step in range(batches))

    def narrowed(self, wide: Audio) -> Audio:
        """Narrow audio of any other."""
        return self._pairs.narrowed(wide)

    def draw(self, step: int) -> tuple[Audio, Audio]:
        """The narrow and wide patches of a step."""
        return self._pairs.batch(step)

    def batch(self, drawn: tuple[Audio, Audio], fabric: lightning_fabric.Fabric) -> Batch:
        """What was drawn, as the network and the losses take it."""
        narrow, wide = (_tensor(side, fabric) for side in drawn)
        return Batch((narrow,), wide)

    def validate(self, run_model: Run, model: NetworkConfig) -> dict[str, float]:
        """Mean scores on the validation split, raw as the paper's."""
        system = raw_system(run_model, model)
        return mean_scores(evaluate_recordings(system, self._validation, self._judged))


class NarrowingTask:
    """Patches varied and narrowed at random.

    Raises:
        AudioFileError: no recording is long enough to train on, or true high enough to judge by.
    """

    usual_hz = (4000, 6000, 8000, 12_000)
    methods = ("sinc-hann", "soxr", "kaiser")

    def __init__(self, config: TrainConfig, training: Part, validation: Part) -> None:
        decoded, notes = training
        self._examples = NarrowingDataset(decoded, notes, config.data, config.run.seed)
        self._validation = validation
        self._files = config.data.valid_files
        low_hz, high_hz = config.data.lowest_hz, config.data.highest_hz
        usual_hz = [hz for hz in self.usual_hz if low_hz <= hz <= high_hz]
        self.cutoffs_hz = usual_hz or [round(low_hz)]
        if not any(self._judged_at(cutoff_hz) for cutoff_hz in self.cutoffs_hz):
            raise AudioFileError(
                f"no recording for validation is true {_LEAST_NEW_HZ / 1000:g} kHz above "
                f"{self.cutoffs_hz[0] / 1000:g} kHz"
            )

    def fitting(self, batches: int) -> Iterator[tuple[Audio, Audio]]:
        """Nothing here is solved for."""
        return iter(())

    def narrowed(self, wide: Audio) -> Audio:
        """Nothing asks for it."""
        return wide

    def draw(self, step: int) -> Example:
        """The patches of a step."""
        return self._examples.batch(step)

    def batch(self, drawn: Example, fabric: lightning_fabric.Fabric) -> Batch:
        """What was drawn, as the network and the losses take it."""
        narrow, bandwidth_hz = _tensor(drawn.narrow, fabric), _tensor(drawn.bandwidth_hz, fabric)
        band = NewBand(
            self._validation[0].sample_rate,
            narrow,
            bandwidth_hz,
            _tensor(drawn.from_hz, fabric),
            _tensor(drawn.true_hz, fabric),
            _tensor(drawn.fine, fabric),
            _tensor(drawn.floor, fabric),
        )
        return Batch((narrow, bandwidth_hz[:, None]), _tensor(drawn.wide, fabric), band)

    def validate(self, run_model: Run, model: NetworkConfig) -> dict[str, float]:
        """Mean `lsd` per cutoff over recordings spread over the split, and over all cutoffs.

        Recordings are judged at the cutoffs that lie 2 kHz below what they are true up to.

        `negative_lsd` is the mean of all with its sign turned, for `run.select`, and `similarity`
        that of `fullband.losses.neurogram`; `snr_loss_db` is what the new band costs of the input's
        SNR, `tilt_db` its mean level against the original's.
        """
        decoded, notes = self._validation
        found: dict[str, list[float]] = {}
        for cutoff_hz in self.cutoffs_hz:
            for number, index in enumerate(self._judged_at(cutoff_hz)):
                method = self.methods[number % len(self.methods)]
                wide = decoded.recording(index)
                scores = _judge(
                    run_model,
                    wide,
                    decoded.sample_rate,
                    2 * cutoff_hz,
                    method,
                    float(notes.true_hz[index]),
                )
                scores[f"lsd_{cutoff_hz}"] = scores.pop("lsd")
                for name, value in scores.items():
                    found.setdefault(name, []).append(value)
        means = {name: float(np.mean(values)) for name, values in found.items() if values}
        means["negative_lsd"] = -float(
            np.mean([value for name, value in means.items() if name.startswith("lsd_")])
        )
        return means

    def _judged_at(self, cutoff_hz: float) -> list[int]:
        """The recordings that are narrowed to that cutoff."""
        notes = self._validation[1]
        true = [i for i in _by_turns(notes) if notes.true_hz[i] > cutoff_hz + _LEAST_NEW_HZ]
        return true[: self._files]


def _judge(
    run_model: Run, wide: Audio, sample_rate: int, narrow_rate: int, method: str, true_hz: float
) -> dict[str, float]:
    narrow = degrade(wide, sample_rate, narrow_rate, method)
    gain = np.float32(model_gain(active_level_db(narrow, narrow_rate)))
    given = fit_length(resample(narrow, narrow_rate, sample_rate), len(wide))
    bandwidth = np.array([[0.95 * narrow_rate / 2]], np.float32)
    predicted = run_model(given[None] * gain, bandwidth)[0] / gain
    powers = [power_spectrogram(audio) for audio in (predicted, wide)]
    top = int(true_hz / sample_rate * 2048)
    first = int(narrow_rate / sample_rate * 1024) + 4
    logs = [np.log10(np.maximum(power[:top], 1e-8)) for power in powers]
    new = [power[first:top].mean() + 1e-12 for power in powers]
    lsd = float(np.mean(np.sqrt(np.mean((logs[0] - logs[1]) ** 2, axis=0))))
    ours, theirs = (Spectra(torch.from_numpy(audio[None] * gain)) for audio in (predicted, wide))
    place = (torch.from_numpy(bandwidth[0]), torch.tensor([true_hz]))
    return {
        "lsd": lsd,
        "similarity": 1 - float(dissimilarity(ours, theirs, sample_rate, *place)),
        "snr_loss_db": snr_db(given, wide) - snr_db(predicted, wide),
        "tilt_db": float(10 * np.log10(new[0] / new[1])),
    }


def _by_turns(notes: Notes) -> list[int]:
    """Recordings without holes, one of each speaker, then another of each."""
    whole = [index for index, holes in enumerate(notes.holes) if holes < MOST_HOLES]
    return [whole[turn] for turn in by_turns([notes.speakers[index] for index in whole])]


def _tensor(array: np.ndarray, fabric: lightning_fabric.Fabric) -> Tensor:
    return torch.from_numpy(array).to(fabric.device)
