"""The dense baseline: its size by hand, patches that do not meet, learning and exporting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fullband.engine import open_model
from fullband.errors import SettingsError
from fullband.models.dnn import DNN, DNNConfig
from fullband.train.config import read_recipe
from fullband.train.export import export_run
from fullband.train.loop import train
from signals import noise, split

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"


def small(**options) -> DNN:
    """A network of one-millisecond patches whose output is not almost its input."""
    torch.manual_seed(0)
    network = DNN(DNNConfig(patch=60, **options)).eval()
    torch.nn.init.constant_(network.normalise[-1].weight, 1.0)
    return network


def added(network: DNN, audio: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(audio) - audio


@pytest.mark.parametrize(
    ("depth", "units"), [(1, (60,)), (2, (10, 60)), (3, (10, 30, 60)), (4, (10, 30, 30, 60))]
)
def test_the_layers_by_hand(depth, units):
    network = small(depth=depth)
    assert network.config.units == units
    inputs = (60, *units[:-1])
    expected = sum(i * o + o + 2 * o for i, o in zip(inputs, units, strict=True))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_patches_do_not_meet():
    network = small()
    audio = torch.randn(1, 300)
    changed = audio.clone()
    changed[:, 130] += 1  # in the third patch
    difference = (added(network, changed) - added(network, audio)).abs()[0]
    assert float(difference[120:180].max()) > 1e-3
    assert float(difference[:120].max()) == 0
    assert float(difference[180:].max()) == 0


def test_within_a_patch_every_sample_sees_every_other():
    network = small()
    audio = torch.randn(1, 60)
    changed = audio.clone()
    changed[:, 0] += 1
    assert float((added(network, changed) - added(network, audio)).abs().min()) > 0


@pytest.mark.parametrize("time", [1, 59, 60, 61, 200])
def test_lengths_are_padded_with_silence(time):
    network = small()
    audio = torch.randn(2, time)
    padded = torch.nn.functional.pad(audio, (0, -time % 60))
    torch.testing.assert_close(added(network, audio), added(network, padded)[:, :time])


def test_it_begins_next_to_the_spline():
    torch.manual_seed(0)
    network = DNN(DNNConfig(patch=60)).train()
    audio = torch.randn(8, 600)
    assert float((network(audio) - audio).detach().std()) < 0.01


@pytest.mark.parametrize("options", [{"depth": 0}, {"patch": 5}, {"ratio": 1}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(SettingsError):
        DNNConfig(**options)


def test_it_trains_and_its_exported_blocks_equal_the_whole(tmp_path, monkeypatch):
    settings = "model={name = 'dnn', ratio = 2, patch = 256}"
    config = read_recipe(TINY, (settings, "schedule.steps=100", "run.validate_every=50"))
    losses = []
    train(config, tmp_path / "run", report=lambda *state: losses.append(state[2]["loss"]))
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 1024)
    model = open_model(str(export_run(tmp_path / "run", "dense", tmp_path)))
    audio = 0.1 * noise(1, 16_000)[None]
    stage = model.stage(1)
    blocks = split(audio, np.random.default_rng(0), longest=3000)
    streamed = np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)
    np.testing.assert_allclose(streamed, model.run(audio), atol=1e-5)
