"""An exported model behind an equaliser solved for anew: another low-pass, the same network.

Behind its equaliser a network sees the same band whichever low-pass made the narrow audio, so a
model goes over to another one without training, in seconds: `fullband refit`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from fullband.card import find_card, write_card
from fullband.corpora.dataset import PairDataset, decode
from fullband.corpora.manifest import read_corpus
from fullband.engine import OnnxModel
from fullband.errors import ModelError, OutputError
from fullband.models.layers import Equaliser
from fullband.settings import build, to_dict
from fullband.train.config import DataConfig, RunConfig, TrainConfig

__all__ = ["refit_exported"]

_KERNELS = "equaliser.kernels"


def refit_exported(
    model: str,
    corpus: str,
    method: str,
    name: str,
    folder: Path,
    command: str = "",
    cache: Path | None = None,
) -> Path:
    """Solve for an exported model's equaliser on the train split of a corpus, and write both.

    As `fullband train --start-from MODEL` does before its first step, with the same batches, if
    the model's card has its recipe.

    Args:
        model: the path of its ONNX file.
        method: how the narrow audio is made, see `fullband.degrade`.
        name: of the new model; everything but its equaliser is the old one's.
        command: goes on its card.
        cache: where decoded corpora are kept.

    Returns:
        The path of the new ONNX file.

    Raises:
        ModelError: there is no such model, or it has no equaliser, or one is not all that it has
            for its low-pass.
        OutputError: it would replace the model it is made from.
        MissingFileError, AudioFileError: the corpus is not there or cannot be read.
        SettingsError: the degradation is unknown.
    """
    import onnx

    card, weights = find_card(model)
    path = folder / f"{name}.onnx"
    if path.resolve() == weights.resolve():
        raise OutputError(f"{path}: is the model itself; give another name")
    proto = onnx.load(weights)
    stored = next((one for one in proto.graph.initializer if one.name == _KERNELS), None)
    if stored is None or card.entry_rate is None:
        raise ModelError(f"{weights}: has no equaliser to solve for")
    if card.architecture.get("name") == "unfolder" or card.architecture.get("unfold_frame"):
        raise ModelError(
            f"{weights}: also tells apart what one low-pass folded over; train it anew"
        )

    data, run = DataConfig(corpus=corpus), RunConfig()
    if recipe := card.training.get("recipe"):
        before = build(TrainConfig, recipe, str(weights.with_suffix(".json")))
        data, run = replace(before.data, corpus=corpus), before.run
    ratio = round(card.sample_rate / card.entry_rate)
    training = decode(read_corpus(corpus), data.train_split, card.sample_rate, cache)
    pairs = PairDataset(training, data, (method,), (ratio,), run.seed)
    equaliser = Equaliser(stored.dims[-1])
    with torch.no_grad():
        equaliser.fit(pairs.batch(step) for step in range(run.fit_batches))
    stored.CopyFrom(onnx.numpy_helper.from_array(equaliser.kernels.numpy(), _KERNELS))
    onnx.checker.check_model(proto)

    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, path)
    made = replace(
        card,
        name=name,
        command=command,
        training={
            **card.training,
            "equaliser": {
                "method": method,
                "data": to_dict(replace(data, corpus=Path(corpus).name)),
            },
        },
        scores={},
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    write_card(made, path.with_suffix(".json"))
    OnnxModel(made, path)  # it opens
    return path
