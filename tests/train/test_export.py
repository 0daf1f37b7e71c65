"""From a run to a released model: the graph computes what the network does, the card says how."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fullband.card import read_card
from fullband.engine import open_model
from fullband.errors import MissingFileError, ModelError
from fullband.models.registry import build_model
from fullband.train import export
from fullband.train.checkpoint import load_average
from fullband.train.config import read_recipe
from fullband.train.export import TOLERANCE, average_weights, export_model, export_run
from fullband.train.loop import train
from fullband.train.restore import load_exported
from signals import noise

pytestmark = pytest.mark.slow  # exporters take their time

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
SETTINGS = {"name": "audiounet", "width": 1 / 32, "depth": 2, "ratio": 2}


def network(settings=SETTINGS):
    torch.manual_seed(0)
    model = build_model(settings).eval()
    with torch.no_grad():
        model.last.weight *= 100
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("depth", [1, 4])
def test_the_graph_computes_what_the_network_does(tmp_path, bias, depth):
    settings = {**SETTINGS, "bias": bias, "depth": depth}
    model = network(settings)
    graph = open_model(str(export_model(model, settings, "tiny", tmp_path)))
    for channels, length in ((1, 1), (2, 31), (3, 4000), (1, 16_001)):
        audio = np.stack([noise(2, 16_000, seed=seed)[:length] for seed in range(channels)])
        with torch.inference_mode():
            expected = model(torch.from_numpy(audio)).numpy()
        actual = graph.run(audio)
        assert actual.dtype == np.float32
        assert np.max(np.abs(actual - expected)) < 1e-4


def test_a_run_becomes_a_model_with_a_card(tmp_path):
    config = read_recipe(TINY, ("schedule.steps=2", "data.patch_samples=256"))
    train(config, tmp_path / "run")
    path = export_run(
        tmp_path / "run",
        "tiny",
        tmp_path / "out",
        summary="in short",
        data=("synthetic",),
        licence="MIT",
        command="fullband train recipes/tiny.toml",
    )
    assert {p.name for p in path.parent.iterdir()} == {"tiny.onnx", "tiny.json"}
    card = read_card(path.with_suffix(".json"))
    assert (card.name, card.summary, card.licence) == ("tiny", "in short", "MIT")
    assert card.data == ("synthetic",)
    assert (card.sample_rate, card.entry_rate, card.upsampling) == (16_000, 8000, "spline")
    model = build_model(dict(config.model))
    assert card.parameters == sum(p.numel() for p in model.parameters())
    assert (card.stride, card.context) == (model.config.stride, model.config.context)
    assert card.training["steps"] == 2
    assert card.training["recipe"]["schedule"]["steps"] == 2


def test_averaged_weights_by_hand(tmp_path):
    config = read_recipe(TINY, ("schedule.steps=1", "data.patch_samples=256"))
    train(config, tmp_path / "run")
    alone = load_average(tmp_path / "run")[0]
    others = [copy.deepcopy(alone), copy.deepcopy(alone)]
    with torch.no_grad():
        for network, more in zip(others, (0.01, 0.02), strict=True):
            for parameter in network.parameters():
                parameter += more
    named = dict(zip(("one", "other"), others, strict=True))
    path = export_run(tmp_path / "run", "mean", tmp_path, others=named)
    assert read_card(path.with_suffix(".json")).training["averaged_with"] == ["one", "other"]
    mean, _ = load_exported(str(path))
    for before, after in zip(alone.parameters(), mean.parameters(), strict=True):
        assert torch.allclose(after, before + 0.01, atol=1e-6)


def test_only_what_is_of_one_shape_is_averaged():
    wider = {**SETTINGS, "width": 1 / 16}
    with pytest.raises(ModelError, match="same shape"):
        average_weights(network(), [network(wider)])


def test_no_path_of_this_machine_is_on_the_card(tmp_path):
    import fullband

    for split in ("train", "valid"):
        folder = tmp_path / "corpus" / split
        folder.mkdir(parents=True)
        fullband.write(folder / "a.wav", 0.1 * noise(1, 16_000), 16_000)
    corpus = f"data.corpus={tmp_path / 'corpus'}"
    config = read_recipe(TINY, ("schedule.steps=1", "data.patch_samples=256", corpus))
    train(config, tmp_path / "run")
    path = export_run(tmp_path / "run", "tiny", tmp_path / "out")
    assert str(tmp_path) not in path.with_suffix(".json").read_text()
    assert str(tmp_path).encode() not in path.read_bytes()


def test_the_graph_takes_audio_and_gives_audio_of_any_shape(tmp_path):
    graph = onnx.load(export_model(network(), SETTINGS, "tiny", tmp_path)).graph
    (given,), (made,) = graph.input, graph.output
    assert (given.name, made.name) == ("audio", "wide")
    for value in (given, made):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert all(dim.dim_param for dim in value.type.tensor_type.shape.dim)  # nothing fixed
        assert len(value.type.tensor_type.shape.dim) == 2


def test_a_graph_that_differs_is_refused(tmp_path, monkeypatch):
    # What would be exported if the tracer were wrong: here the tolerance is, by a hair.
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match=r"tiny: the exported graph differs from the model by"):
        export_model(network(), SETTINGS, "tiny", tmp_path)
    assert TOLERANCE == 1e-4


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(MissingFileError, match="no checkpoint"):
        export_run(tmp_path / "run", "tiny", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_can_be_read_by_anyone(tmp_path):
    path = export_model(network(), SETTINGS, "tiny", tmp_path).with_suffix(".json")
    assert json.loads(path.read_text())["architecture"] == SETTINGS


def test_half_storage_halves_the_file_and_computes_what_rounded_weights_do(tmp_path):
    settings = {"name": "audiounet", "width": 1 / 8, "equaliser_taps": 129, "bias": False}
    torch.manual_seed(0)
    wide_network = build_model(settings)
    with torch.no_grad():
        wide_network.equaliser.kernels += 1e-5 * torch.randn(2, 1, 129)
    kernels = wide_network.equaliser.kernels.clone()
    full = export_model(copy.deepcopy(wide_network), settings, "full", tmp_path)
    half = export_model(wide_network, settings, "half", tmp_path, half=True)
    assert half.stat().st_size < 0.55 * full.stat().st_size
    assert torch.equal(wide_network.equaliser.kernels, kernels)  # solved for to the last digit
    assert not wide_network.last.weight.half().float().ne(wide_network.last.weight).any()
    audio = noise(0.5, 16_000)[None]
    with torch.inference_mode():
        expected = wide_network(torch.from_numpy(audio)).numpy()
    np.testing.assert_allclose(open_model(str(half)).run(audio), expected, atol=1e-5)
