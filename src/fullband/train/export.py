"""A run's best weights to an ONNX graph from audio to audio, with its card beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fullband.card import Card, write_card
from fullband.engine import OnnxModel, onnx_model
from fullband.errors import ModelError
from fullband.models.network import Network, NetworkConfig
from fullband.train.checkpoint import load_average

__all__ = [
    "HALF",
    "TOLERANCE",
    "average_weights",
    "compare_exported",
    "export_model",
    "export_run",
    "write_graph",
]

TOLERANCE = 1e-4
"""The most that the ONNX graph's output may differ from the torch model's, at full scale 1."""

HALF = "_half"
"""What the names of constants end in that are stored in 16 bits."""

_OPSET = 20
_LOWEST_HZ = 1700.0  # of the bandwidths that models of any bandwidth are trained for


def export_run(
    run: Path,
    name: str,
    folder: Path,
    summary: str = "",
    data: Sequence[str] = (),
    licence: str = "",
    command: str = "",
    half: bool = False,
    others: Mapping[str, Network] | None = None,
) -> Path:
    """Write `NAME.onnx` and `NAME.json` from the best checkpoint of a run.

    Args:
        summary, data, licence, command: go on the card, see `fullband.card.Card`.
        half: round weights to 16-bit floats and store them so. Computation stays in 32 bits.
        others: networks of the same shape, by what the card shall call them, whose weights are
            averaged with the run's; see `average_weights`.

    Returns:
        The path of the ONNX file.

    Raises:
        MissingFileError: the run has no checkpoint.
        ModelError: the graph does not compute what the torch model does, or what it computes is
            not a number; or another network has another shape.
    """
    model, settings, progress = load_average(run)
    training: dict[str, Any] = {
        "steps": progress.best_step,
        "minutes": round(progress.seconds / 60, 1),
    }
    recipe = run / "config.json"
    if recipe.is_file():
        training["recipe"] = json.loads(recipe.read_text(encoding="utf-8"))
        training["recipe"]["data"]["corpus"] = Path(training["recipe"]["data"]["corpus"]).name
    if others:
        average_weights(model, list(others.values()))
        training["averaged_with"] = list(others)
    return export_model(
        model, settings, name, folder, summary, data, licence, command, training, half
    )


def average_weights(model: Network, others: Sequence[Network]) -> None:
    """Give a network the mean of its own weights and those of others trained on from one start.

    Such networks lie in one basin, and their mean does better on what none was trained on than each
    (Wortsman et al., "Model soups", ICML 2022).

    Raises:
        ModelError: one of them has another shape.
    """
    states = [network.state_dict() for network in (model, *others)]
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes[1:]):
        raise ModelError("only the weights of networks of the same shape can be averaged")
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.stack([state[name].double() for state in states]).mean(dim=0))


def export_model(
    model: Network,
    settings: dict[str, Any],
    name: str,
    folder: Path,
    summary: str = "",
    data: Sequence[str] = (),
    licence: str = "",
    command: str = "",
    training: dict[str, Any] | None = None,
    half: bool = False,
) -> Path:
    """Write a torch model as `NAME.onnx` with its card, and check that both compute the same.

    Raises:
        ModelError: they differ by more than `TOLERANCE`, or are not numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    model = model.eval()
    if half:
        _round_weights(model)
    write_graph(model, path, half)
    config = model.config
    card = Card(
        name=name,
        summary=summary or f"{settings['name']} from {_rates(config)}",
        architecture=settings,
        sample_rate=config.sample_rate,
        entry_rate=None if model.takes_bandwidth else config.sample_rate // config.ratio,
        bandwidth_range_hz=_bandwidths_hz(config) if model.takes_bandwidth else None,
        upsampling=config.upsampling,
        stride=config.stride,
        context=config.context,
        memory=model.memory,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        data=tuple(data),
        licence=licence,
        command=command,
        training=training or {},
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    write_card(card, path.with_suffix(".json"))
    compare_exported(model, onnx_model(card, path))
    return path


def write_graph(model: Network, path: Path, half: bool = False) -> None:
    """The network as an ONNX graph from `audio` to `wide`, both `[B, T]`.

    One that takes any bandwidth has a second input, `bandwidth_hz` `[B, N]`, and one that runs
    frame by frame is written so, see `fullband.card.Card`.

    Args:
        half: store what loses nothing by it in 16 bits.
    """
    any_number = torch.export.Dim.DYNAMIC
    any_size, rows = {0: any_number, 1: any_number}, {0: any_number}
    module: torch.nn.Module = model
    names, outputs = ["audio", "bandwidth_hz"], ["wide"]
    shapes: tuple[dict[int, Any], ...] = (any_size, any_size)
    inputs = [torch.zeros(2, 40 * model.config.stride + 3)]
    if model.memory is not None:
        module = model.step().eval()
        names, outputs = [*names, "mix", "memory"], ["wide", "memory_after"]
        shapes = (any_size, any_size, rows, rows)
        inputs = [torch.zeros(2, 3, model.config.stride), torch.full((2, 3), 4000.0)]
        inputs += [torch.ones(2, 2), torch.zeros(2, model.memory)]
    elif model.takes_bandwidth:
        inputs.append(torch.full((2, 5), 4000.0))
    with _quiet_exporter():
        program = torch.onnx.export(
            module,
            tuple(inputs),
            input_names=names[: len(inputs)],
            output_names=outputs,
            dynamic_shapes=shapes[: len(inputs)],
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    _slim(path, half)


def _round_weights(model: Network) -> None:
    """To the nearest 16-bit floats; what was solved for rather than trained is left as it is."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(parameter.half().float())


def _slim(path: Path, half: bool) -> None:
    """Leave out where in the source each node came from, which says nothing outside.

    Args:
        half: also store every constant that loses nothing by it in 16 bits, cast when it is loaded.
    """
    import onnx

    proto = onnx.load(path)
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    if half:
        _store_halves(proto.graph)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _store_halves(graph: Any) -> None:
    import onnx

    casts = []
    for stored in graph.initializer:
        values = onnx.numpy_helper.to_array(stored)
        if values.dtype != np.float32 or values.size < 256:
            continue
        halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        name = stored.name
        stored.CopyFrom(onnx.numpy_helper.from_array(halves, name + HALF))
        casts.append(
            onnx.helper.make_node("Cast", [name + HALF], [name], to=onnx.TensorProto.FLOAT)
        )
    for node in reversed(casts):
        graph.node.insert(0, node)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's own deprecations and remarks about packages we do not use to itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _bandwidths_hz(config: NetworkConfig) -> tuple[float, float]:
    """The bandwidths that a model of any bandwidth is trained for: up to 20 kHz at 48 kHz."""
    return _LOWEST_HZ, config.sample_rate * 5 / 12


def _rates(config: NetworkConfig) -> str:
    """`4 to 16 kHz` for a model of ratio 4 at 16 kHz, `any rate to` for one of ratio 1."""
    if config.ratio == 1:
        return f"any rate to {config.sample_rate / 1000:g} kHz"
    return f"{config.sample_rate / config.ratio / 1000:g} to {config.sample_rate / 1000:g} kHz"


def compare_exported(model: Network, exported: OnnxModel) -> None:
    """Run both on noise that begins in silence, of lengths that are and are not whole strides.

    Raises:
        ModelError: they differ by more than `TOLERANCE`.
    """
    generator = np.random.default_rng(0)
    for batch, length in ((1, 1), (2, 1000), (1, 8192), (3, 20_001)):
        audio = 0.1 * generator.standard_normal((batch, length)).astype(np.float32)
        audio[:, : length // 2] = 0.0
        told: list[np.ndarray] = []
        if model.takes_bandwidth:
            frames = 1 + length // model.config.stride
            told = [generator.uniform(*_bandwidths_hz(model.config), frames).astype(np.float32)]
        with torch.inference_mode():
            inputs = [torch.from_numpy(each).expand(batch, -1) for each in (audio, *told)]
            expected = model(*inputs).numpy()
        difference = float(np.max(np.abs(exported.run(audio, *told) - expected)))
        if not difference <= TOLERANCE:  # also where it is not a number
            raise ModelError(
                f"{exported.name}: the exported graph differs from the model by {difference:.2g} "
                f"on audio of shape {audio.shape}"
            )
