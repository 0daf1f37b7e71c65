"""Exported models taken back into torch: the numbers that went in come out, or nothing does."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import onnx
import pytest
import torch

from fullband.errors import ModelError, SettingsError
from fullband.models.registry import build_model
from fullband.train.export import export_model
from fullband.train.restore import change_exported, load_exported

pytestmark = pytest.mark.slow  # exporters take their time

SMALL = {"width": 1 / 32, "depth": 1, "ratio": 2, "bias": False}
SETTINGS = {
    "audiounet": {"name": "audiounet", **SMALL, "equaliser_taps": 9},
    "with constants": {"name": "audiounet", **SMALL, "bias": True},
    "tfilm": {"name": "tfilm", **SMALL, "memory": 2},
    "wiener": {"name": "wiener", "taps": 17},
}


def network(settings):
    """Every parameter a number that 16-bit floats hold exactly, none of them special."""
    model = build_model(settings).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = 0.1 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(drawn.half().float())
    return model


@pytest.mark.parametrize(
    ("name", "half"),
    [("audiounet", False), ("with constants", True), ("tfilm", True), ("wiener", False)],
)
def test_every_parameter_comes_back(tmp_path, name, half):
    settings = SETTINGS[name]
    model = network(settings)
    path = export_model(model, settings, "small", tmp_path, half=half)
    restored, described = load_exported(str(path))
    assert described == settings
    assert not restored.training
    for name, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value), name


def test_a_graph_with_other_constants_comes_back(tmp_path):
    # As from an exporter of another day, whose graph holds a constant more and counts on from it.
    settings = SETTINGS["tfilm"]
    model = network(settings)
    path = export_model(model, settings, "small", tmp_path)
    proto = onnx.load(path)
    names = {}
    for stored in proto.graph.initializer:
        if stored.name.startswith("val_"):
            names[stored.name] = stored.name = f"{stored.name}_other"
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    more = onnx.numpy_helper.from_array(np.full((7, 7), 0.5, np.float32), "more")
    proto.graph.initializer.insert(0, more)
    assert names
    onnx.save(proto, path)
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    restored, _ = load_exported(str(path))
    for name, value in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value), name


def test_a_folded_normalisation_is_refused(tmp_path):
    settings = {"name": "dnn", "patch": 64}
    path = export_model(build_model(settings), settings, "dense", tmp_path)
    with pytest.raises(ModelError, match="cannot be told apart in the graph"):
        load_exported(str(path))


def test_a_graph_of_another_shape_is_refused(tmp_path):
    settings = SETTINGS["audiounet"]
    path = export_model(network(settings), settings, "small", tmp_path)
    card = json.loads(path.with_suffix(".json").read_text())
    card["architecture"]["depth"] = 2
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="cannot be told apart in the graph"):
        load_exported(str(path))


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="a model needs both"):
        load_exported(str(tmp_path / "none.onnx"))


def test_settings_without_weights_can_be_changed(tmp_path):
    settings = {
        **{"name": "extender", "sample_rate": 16_000, "hop": 160, "width": 8, "depth": 1},
        **{"kernel": 3, "dilations": [1]},
    }
    said = {"data": ("a corpus",), "licence": "MIT", "command": "as it was made"}
    path = export_model(network(settings), settings, "old", tmp_path, **said)
    new = change_exported(
        str(path), ["highest_hz=6000.0"], "new", tmp_path, command="as it was changed"
    )
    card, old = (json.loads(each.with_suffix(".json").read_text()) for each in (new, path))
    assert card["architecture"] == {**settings, "highest_hz": 6000.0}
    assert (card["data"], card["licence"]) == (["a corpus"], "MIT")
    assert card["command"] == "as it was changed"
    assert card["training"] == {
        "changed": ["highest_hz=6000.0"],
        "from": f"old {old['sha256'][:12]}",
    }
    changed, _ = load_exported(str(new))
    for key, value in load_exported(str(path))[0].state_dict().items():
        assert torch.equal(changed.state_dict()[key], value), key
    with pytest.raises(SettingsError, match=r"its weights do not fit width=16"):
        change_exported(str(path), ["width=16"], "wide", tmp_path)
    assert not (tmp_path / "wide.onnx").exists()
