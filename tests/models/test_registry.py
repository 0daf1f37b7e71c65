"""Architectures by name, and what is refused."""

from __future__ import annotations

import sys

import pytest

from fullband.errors import DependencyError, ModelError, SettingsError
from fullband.models.audiounet import AudioUNet, AudioUNetConfig
from fullband.models.network import Network
from fullband.models.registry import ARCHITECTURES, architecture, build_model, model_config

SMALL = {
    "audiounet": {"width": 1 / 32},
    "causal-extender": {"width": 4, "depth": 1},
    "dnn": {"patch": 64},
    "extender": {"width": 4, "depth": 1},
    "translator": {"width": 4, "depth": 1},
    "tfilm": {"width": 1 / 32},
    "unfolder": {"equaliser_taps": 65, "frame": 256, "width": 4, "depth": 1},
    "wiener": {"taps": 65},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_keeps_the_contract(name):
    import torch

    network, config_class = architecture(name)
    assert issubclass(network, Network)
    config = config_class()
    assert config.ratio >= (1 if network.takes_bandwidth else 2)
    assert config.upsampling in ("spline", "sinc")
    assert config.stride >= 1
    assert config.context >= 0
    settings = {"name": name, **SMALL[name]}
    audio = torch.randn(2, 333)
    told = [torch.full((2, 1), 4000.0)] if network.takes_bandwidth else []
    assert build_model(settings).eval()(audio, *told).shape == audio.shape


def test_options_reach_the_configuration():
    config = model_config({"name": "audiounet", "ratio": 2, "width": 0.5})
    assert config == AudioUNetConfig(ratio=2, width=0.5)
    network = build_model({"name": "audiounet", "width": 1 / 32, "bias": False})
    assert isinstance(network, AudioUNet)
    assert network.last.bias is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"name": "audionet"}, ModelError, "did you mean 'audiounet'"),
        ({"name": "zzz"}, ModelError, "one of audiounet, causal-extender"),
        ({"name": "audiounet", "widht": 1.0}, SettingsError, "did you mean 'width'"),
        ({"name": "audiounet", "ratio": 1}, SettingsError, "model 'audiounet'"),
        ({"name": 3}, ModelError, "needs a name"),
        ({}, ModelError, "needs a name"),
    ],
)
def test_what_is_not_a_model_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        model_config(settings)


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "fullband.models.audiounet", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DependencyError, match=r"fullband\[train\]"):
        architecture("audiounet")
