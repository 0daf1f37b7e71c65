"""Networks and losses make what they need where their input is.

The meta device computes no numbers, but refuses to join tensors of two devices as a GPU does.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch

from fullband.models.registry import build_model
from fullband.train import step
from fullband.train.config import read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(str(path.relative_to(RECIPES)) for path in RECIPES.rglob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_training_stays_on_one_device(name, monkeypatch):
    recipe = read_recipe(RECIPES / name)
    network = build_model(recipe.model).to("meta")
    # There is nothing to turn into a number, and no autocast for this device.
    monkeypatch.setattr(step, "float", lambda _: 0.0, raising=False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    audio = torch.zeros(2, 48_000, device="meta")
    hz = torch.full((2,), 4000.0, device="meta")
    band, inputs = None, (audio,)
    if network.takes_bandwidth:
        ones, floor = torch.ones(2, device="meta"), torch.zeros(2, 33, device="meta")
        band = step.NewBand(48_000, audio, hz, hz, 2 * hz, ones, floor)
        inputs = (audio, hz[:, None])
    loss, _ = step.compute_loss(recipe.loss, network(*inputs), audio, band)
    assert loss.device.type == "meta"
    if loss.requires_grad:
        loss.backward()
