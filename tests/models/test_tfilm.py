"""The TFiLM U-Net: its size by hand, what can reach what, blocks against the whole, learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fullband.engine import BlockRunner, open_model
from fullband.errors import SettingsError
from fullband.models.tfilm import TFiLMUNet, TFiLMUNetConfig
from fullband.train.config import read_recipe
from fullband.train.export import export_run
from fullband.train.loop import train
from signals import noise

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
SMALL = {"width": 1 / 32, "depth": 2, "block": 16, "memory": 4}


def small(**options) -> TFiLMUNet:
    """A network whose recurrent parts begin anew every 128 samples, and that adds something."""
    torch.manual_seed(0)
    network = TFiLMUNet(TFiLMUNetConfig(**{**SMALL, **options})).eval()
    with torch.no_grad():
        network.last.weight *= 300
    return network


def added(network: TFiLMUNet, audio: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(audio) - audio


def test_the_parameters_by_hand():
    # Depth 1, 4 filters: AudioUNet's, and an LSTM of 4 units (4 gates of 4 x 4 twice and two
    # biases) after each of three convolutions.
    network = TFiLMUNet(TFiLMUNetConfig(width=1 / 32, depth=1, block=16, memory=2))
    unet = (65 * 4 + 4) + (65 * 16 + 4) + (65 * 32 + 8) + (9 * 16 + 2)
    assert sum(p.numel() for p in network.parameters()) == unet + 3 * 4 * (16 + 16 + 4 + 4)


def test_the_authors_blocks_are_16_milliseconds_and_their_patches_half_a_second():
    config = TFiLMUNetConfig()
    assert config.stride == 8192
    network = TFiLMUNet(TFiLMUNetConfig(width=1 / 32))
    blocks = [stage.modulate.block for stage in network.down]
    assert blocks == [128, 64, 32, 16]
    assert network.bottleneck.modulate.block == 8
    assert [stage.modulate.block for stage in network.up] == [16, 32, 64, 128]


@pytest.mark.parametrize("time", [1, 127, 128, 129, 1000])
def test_any_length_keeps_its_shape(time):
    assert small()(torch.randn(2, time)).shape == (2, time)


def test_what_lies_ahead_matters_within_reach_only_and_what_lies_behind_within_the_context():
    network = small()
    context, stride = network.config.context, network.config.stride
    middle = -(-context // stride + 1) * stride
    audio = torch.randn(1, 2 * middle)
    changed = audio.clone()
    changed[:, middle] += 10
    difference = (added(network, changed) - added(network, audio)).abs()[0]
    reached = torch.nonzero(difference > 0).flatten()
    assert middle - context <= int(reached.min())
    assert int(reached.max()) <= middle + context
    assert int(reached.max()) > middle + stride  # the recurrence carries beyond the kernels


def test_blocks_equal_the_whole():
    network = small(equaliser_taps=33)
    config = network.config

    def run(audio, start=0):
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(audio))).numpy()

    audio = np.stack([noise(7.5, 16_000, seed) for seed in (1, 2)])
    runner = BlockRunner(run, config.stride, config.context, 2)
    pieces = [runner.push(audio[:, at : at + 7001]) for at in range(0, 120_000, 7001)]
    blocks = np.concatenate([*pieces, runner.flush()], axis=-1)
    np.testing.assert_allclose(blocks, run(audio), atol=1e-5)


def test_without_biases_silence_stays_silence():
    network = small(bias=False)
    assert not added(network, torch.zeros(1, 500)).any()


@pytest.mark.parametrize("options", [{"block": 6}, {"memory": 0}, {"width": 0}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(SettingsError):
        TFiLMUNetConfig(**{**SMALL, **options})


def test_it_trains_exports_and_runs(tmp_path):
    recipe = read_recipe(TINY, ("schedule.steps=40", "run.validate_every=40"))
    model = {"name": "tfilm", "ratio": 2, "dropout": 0.0, **SMALL}
    settings = recipe.__class__(**{**recipe.__dict__, "model": model})
    losses = []
    train(
        settings, tmp_path / "run", report=lambda step, steps, parts: losses.append(parts["loss"])
    )
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    path = export_run(tmp_path / "run", "tiny-tfilm", tmp_path)
    exported = open_model(str(path))
    assert exported.run(noise(1, 5000)[None]).shape == (1, 5000)
