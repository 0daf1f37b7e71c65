"""An exported model's weights, back in the torch module that they came from.

An exporter folds and renames: a graph holds LSTM weights with their gates in another order, and
kernels with an axis more, under names that say nothing. So which number of a graph is which
parameter is not guessed from names: a twin of the module whose every parameter is a different
number goes through the same exporter, and where a number comes out is where its parameter lies.
What was restored has to compute what the graph computes, or it is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fullband.card import find_card
from fullband.engine import onnx_model
from fullband.errors import ModelError, SettingsError
from fullband.models.network import Network
from fullband.models.registry import build_model
from fullband.settings import override
from fullband.train.export import HALF, compare_exported, export_model, write_graph

__all__ = ["change_exported", "load_exported"]

# The bits of 3.14 as a 32-bit float: counting up from here gives a different, harmless number for
# every parameter of a model of up to a billion, and none of them is a constant of a graph.
_FIRST = int(np.float32(3.14).view(np.int32))


def load_exported(path: str) -> tuple[Network, dict[str, Any]]:
    """The network of an exported model (`MODEL.onnx`, its card beside it) and its settings.

    Weights that were stored in 16 bits come back as they were stored.

    Raises:
        ModelError: there is no such model, it is not what its card says, or its weights cannot be
            found again, because the graph holds something worked out of them (a batch norm folded
            into the layer before it) or another exporter put them down in other shapes.
    """
    card, weights = find_card(path)
    settings = dict(card.architecture)
    model = build_model(settings).eval()
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder) / "twin.onnx"
        _number(model)
        write_graph(model, twin)
        places, found = _floats(twin), _floats(weights)
    restored = torch.full((_count(model),), torch.nan)
    for place, values in _pairs(places, found):
        index = place.view(np.int32).astype(np.int64) - _FIRST
        if index.min() >= 0 and index.max() < len(restored):
            restored[torch.from_numpy(index.ravel())] = torch.from_numpy(values.ravel().copy())
    if restored.isnan().any():
        raise ModelError(f"{weights}: its weights cannot be told apart in the graph")
    start = 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(restored[start : start + parameter.numel()].reshape(parameter.shape))
            start += parameter.numel()
    compare_exported(model, onnx_model(card, weights))
    return model, settings


def change_exported(
    path: str, assignments: Iterable[str], name: str, folder: Path, half: bool = False, **card: Any
) -> Path:
    """Export a model again with other settings, of those that have no weights.

    Args:
        assignments: `key=value` of the model's settings, as in a recipe's `[model]`.
        half: store weights in 16 bits.
        card: what its card shall say instead of what the model's does: `summary`, `data`, `licence`
            and `command` of `fullband.card.Card`.

    Returns:
        The path of the ONNX file.

    Raises:
        ModelError: as `load_exported`.
        SettingsError: a setting is not the model's, or its weights do not fit the new ones.
    """
    old, _ = find_card(path)
    model, settings = load_exported(path)
    changed = override(settings, assignments)
    network = build_model(changed)
    shapes = [
        {key: value.shape for key, value in each.state_dict().items()} for each in (model, network)
    ]
    if changed["name"] != settings["name"] or shapes[0] != shapes[1]:
        raise SettingsError(f"{path}: its weights do not fit {', '.join(assignments)}")
    network.load_state_dict(model.state_dict())
    kept = ("summary", "data", "licence", "command")
    said = {name: card.get(name) or getattr(old, name) for name in kept}
    training = {
        **old.training,
        "changed": list(assignments),
        "from": f"{old.name} {old.sha256[:12]}",
    }
    return export_model(network, changed, name, folder, training=training, half=half, **said)


def _pairs(
    places: dict[str, np.ndarray], found: dict[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Constants of the one graph beside those of the other: by name, the rest by shape and order.

    An exporter names what it folds by counting nodes, so order holds where names do not. Whether
    the pairs are right is seen when the network is run.
    """
    same = [name for name in places if name in found and places[name].shape == found[name].shape]
    for name in same:
        yield places[name], found[name]
    waiting: dict[tuple[int, ...], list[np.ndarray]] = {}
    for name, values in found.items():
        if name not in same:
            waiting.setdefault(values.shape, []).append(values)
    for name, place in places.items():
        others = waiting.get(place.shape)
        if name not in same and others:
            yield place, others.pop(0)


def _count(model: Network) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _number(model: Network) -> None:
    """Give every parameter a different number."""
    start = _FIRST
    with torch.no_grad():
        for parameter in model.parameters():
            codes = torch.arange(start, start + parameter.numel(), dtype=torch.int32)
            parameter.copy_(codes.view(torch.float32).reshape(parameter.shape))
            start += parameter.numel()


def _floats(path: Path) -> dict[str, np.ndarray]:
    """The float constants of a graph in order, as 32-bit floats."""
    import onnx

    floats = {}
    for stored in onnx.load(path).graph.initializer:
        values = onnx.numpy_helper.to_array(stored)
        if values.dtype.kind == "f":
            floats[stored.name.removesuffix(HALF)] = values.astype(np.float32)
    return floats
