"""A model behind an equaliser solved for anew: what training from it would begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from fullband.card import read_card
from fullband.cli import main
from fullband.engine import open_model
from fullband.errors import FullbandError, ModelError, OutputError
from fullband.models.registry import build_model
from fullband.train.config import read_recipe
from fullband.train.export import export_model, export_run
from fullband.train.loop import train
from fullband.train.refit import refit_exported
from signals import pink_noise

WEIGHTS = Path(__file__).parents[2] / "weights" / "paper"
TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    for split in ("train", "valid"):
        (folder / split).mkdir()
        soundfile.write(folder / split / "a.wav", 0.1 * pink_noise(2, 16_000, 1), 16_000)
    return folder


def recipe(corpus, *assignments):
    common = ("model.equaliser_taps=33", "schedule.steps=1", "data.patch_samples=512")
    return read_recipe(TINY, (*common, f"data.corpus={corpus}", *assignments))


@pytest.fixture(scope="module")
def model(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    train(recipe(corpus), folder / "run")
    return export_run(folder / "run", "one", folder)


def kernels(path):
    stored = onnx.load(path).graph.initializer
    return next(onnx.numpy_helper.to_array(one) for one in stored if "kernels" in one.name)


def test_it_is_what_training_from_the_model_begins_with(corpus, model, tmp_path):
    path = refit_exported(str(model), str(corpus), "chebyshev-causal", "two", tmp_path)
    begun = recipe(corpus, 'degrade.methods=["chebyshev-causal"]', "optimiser.learning_rate=0.0")
    train(begun, tmp_path / "run", start_from=model)
    weights = load_file(tmp_path / "run" / "last" / "weights.safetensors")
    np.testing.assert_array_equal(kernels(path), weights["equaliser.kernels"].numpy())
    # And the network behind it is the old one.
    for name in ("last.weight", "down.0.conv.weight"):
        before = load_file(model.parent / "run" / "best" / "average.safetensors")[name]
        assert torch.equal(weights[name], before)
    old = {one.name: one for one in onnx.load(model).graph.initializer}
    for one in onnx.load(path).graph.initializer:
        assert one.name == "equaliser.kernels" or one == old[one.name]


def test_the_same_low_pass_gives_the_same_model(corpus, model, tmp_path):
    path = refit_exported(str(model), str(corpus), "chebyshev", "two", tmp_path, "said so")
    np.testing.assert_array_equal(kernels(path), kernels(model))
    card = read_card(path.with_suffix(".json"))
    assert (card.name, card.command, card.scores) == ("two", "said so", {})
    assert card.training["equaliser"]["method"] == "chebyshev"
    assert str(corpus.parent) not in path.with_suffix(".json").read_text()
    assert open_model(str(path)).run(np.zeros((1, 100), np.float32)).shape == (1, 100)


def test_what_cannot_be_refitted_is_refused(corpus, model, tmp_path):
    with pytest.raises(OutputError, match="is the model itself"):
        refit_exported(str(model), str(corpus), "chebyshev", "one", model.parent)
    settings = {"name": "audiounet", "width": 1 / 32, "depth": 1}
    bare = export_model(build_model(settings), settings, "bare", tmp_path)
    with pytest.raises(ModelError, match=r"bare\.onnx: has no equaliser"):
        refit_exported(str(bare), str(corpus), "chebyshev", "two", tmp_path)
    folding = WEIGHTS / "audiounet-piano-6x.onnx"
    with pytest.raises(ModelError, match=r"piano-6x\.onnx: also tells apart"):
        refit_exported(str(folding), str(corpus), "chebyshev-causal", "two", tmp_path)
    with pytest.raises(FullbandError, match="unknown degradation 'magic'"):
        refit_exported(str(model), str(corpus), "magic", "two", tmp_path)
    assert not (tmp_path / "two.onnx").exists()


def test_the_command(corpus, model, tmp_path):
    command = ["refit", str(model), str(corpus), "--method", "subsample", "--name", "two"]
    result = CliRunner().invoke(main, [*command, "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "two.onnx and its card" in result.output
