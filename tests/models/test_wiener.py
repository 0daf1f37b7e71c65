"""The linear baseline: solved for, not trained; never worse than what it starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fullband.engine import open_model
from fullband.errors import SettingsError
from fullband.models.wiener import Wiener, WienerConfig
from fullband.train.checkpoint import load_average
from fullband.train.config import read_recipe
from fullband.train.export import export_run
from fullband.train.loop import train
from signals import noise

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"


def test_it_is_its_equaliser():
    network = Wiener(WienerConfig(taps=31))
    audio = torch.randn(2, 100)
    torch.testing.assert_close(network(audio), audio)
    with torch.no_grad():
        network.equaliser.kernels *= 3
    torch.testing.assert_close(network(audio), 3 * audio)


@pytest.mark.parametrize("options", [{"taps": 30}, {"taps": 0}, {"ratio": 1}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(SettingsError):
        WienerConfig(**options)


def test_one_step_solves_it_and_it_gains_over_the_spline(tmp_path):
    recipe = read_recipe(TINY, ("schedule.steps=1", "degrade.methods=['chebyshev-causal']"))
    settings = recipe.__class__(**{**recipe.__dict__, "model": {"name": "wiener", "taps": 129}})
    progress = train(settings, tmp_path / "run")
    assert progress.step == 1
    network, _, _ = load_average(tmp_path / "run")
    untouched = Wiener(WienerConfig(taps=129))
    assert not torch.equal(network.equaliser.kernels, untouched.equaliser.kernels)
    assert progress.best_score > 10  # the delayed spline scores below 0 dB here
    path = export_run(tmp_path / "run", "tiny-wiener", tmp_path)
    assert open_model(str(path)).run(noise(0.1, 5000)[None]).shape == (1, 500)
