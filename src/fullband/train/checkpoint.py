"""Everything a training needs to go on, on disk, in files that hold data and nothing else.

A checkpoint is a folder: `weights.safetensors`, `average.safetensors` (the moving average, with the
model's name and configuration as metadata, enough to rebuild it), one `optimiser-*.safetensors`
per kind of state, and `state.json`. It appears whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fullband.errors import MissingFileError, ModelError
from fullband.models.network import Network
from fullband.models.registry import build_model

__all__ = ["Progress", "load_average", "load_checkpoint", "save_checkpoint"]


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        step: steps done.
        seconds: time spent on them, over all sittings.
        best_score: the highest weighted validation score so far.
    """

    step: int = 0
    seconds: float = 0.0
    best_score: float = float("-inf")
    best_step: int = 0


def save_checkpoint(
    folder: Path,
    model_settings: dict[str, Any],
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    adversary: tuple[nn.Module, torch.optim.Optimizer] | None = None,
) -> None:
    """Write a checkpoint, replacing the one that was there only once the new one is complete.

    Args:
        adversary: a discriminator and its optimiser, where there is one.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    metadata = {"model": json.dumps(model_settings, sort_keys=True)}
    save_file(_detached(model.state_dict()), part / "weights.safetensors", metadata)
    save_file(_detached(average), part / "average.safetensors", metadata)
    _save_optimiser(optimiser, part, "optimiser")
    if adversary is not None:
        save_file(_detached(adversary[0].state_dict()), part / "discriminator.safetensors")
        _save_optimiser(adversary[1], part, "discriminator-optimiser")
    (part / "state.json").write_text(json.dumps(progress.__dict__), encoding="utf-8")
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    adversary: tuple[nn.Module, torch.optim.Optimizer] | None = None,
) -> Progress:
    """Put everything back as `save_checkpoint` found it.

    Raises:
        ModelError: the checkpoint is of another model, or has no discriminator where one is needed.
    """
    if not folder.exists():  # stopped between the two renames of a save
        folder = folder.with_name(f"{folder.name}.old")
    if adversary is not None and not (folder / "discriminator.safetensors").is_file():
        raise ModelError(f"{folder}: has no discriminator, and this recipe needs one")
    try:
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        if adversary is not None:
            adversary[0].load_state_dict(load_file(folder / "discriminator.safetensors"))
    except (RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{folder}: does not fit this recipe's model ({reason})") from None
    for name, value in load_file(folder / "average.safetensors").items():
        average[name].copy_(value)
    _load_optimiser(optimiser, folder, "optimiser")
    if adversary is not None:
        _load_optimiser(adversary[1], folder, "discriminator-optimiser")
    return Progress(**json.loads((folder / "state.json").read_text(encoding="utf-8")))


def load_average(run: Path) -> tuple[Network, dict[str, Any], Progress]:
    """The best averaged model of a run, in evaluation mode, with its settings and progress.

    Raises:
        MissingFileError: the run has no checkpoint.
        ModelError: the checkpoint is damaged.
    """
    for folder in (run / "best", run / "last", run):
        weights = folder / "average.safetensors"
        if weights.is_file():
            break
    else:
        raise MissingFileError(f"{run}: no checkpoint in it; train first")
    try:
        with safe_open(weights, framework="pt") as opened:
            settings = json.loads((opened.metadata() or {})["model"])
        model = build_model(settings)
        model.load_state_dict(load_file(weights))
    except (SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{weights}: not a fullband checkpoint ({reason})") from None
    progress = Progress(**json.loads((folder / "state.json").read_text(encoding="utf-8")))
    return model.eval(), settings, progress


def _save_optimiser(optimiser: torch.optim.Optimizer, folder: Path, prefix: str) -> None:
    """One file per kind of state."""
    kinds: dict[str, dict[str, Tensor]] = {}
    for index, values in optimiser.state_dict()["state"].items():
        for kind, value in values.items():
            kinds.setdefault(kind, {})[str(index)] = torch.as_tensor(value)
    for kind, values in kinds.items():
        save_file(_detached(values), folder / f"{prefix}-{kind}.safetensors")


def _load_optimiser(optimiser: torch.optim.Optimizer, folder: Path, prefix: str) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for path in sorted(folder.glob(f"{prefix}-*.safetensors")):
        kind = path.stem.removeprefix(f"{prefix}-")
        for index, value in load_file(path).items():
            state.setdefault(int(index), {})[kind] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _detached(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
