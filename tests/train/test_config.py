"""Recipes: the ones that ship are valid, and a wrong one says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullband.degrade import METHODS
from fullband.errors import MissingFileError, SettingsError
from fullband.models.registry import build_model, model_config
from fullband.settings import build, to_dict
from fullband.train.config import DataConfig, LossConfig, ScheduleConfig, TrainConfig, read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_opens_with_what_it_is(path):
    config = read_recipe(path)
    shape = model_config(config.model)
    assert set(config.degrade.methods) <= set(METHODS)
    assert config.data.patch_samples % shape.stride == 0
    assert build(TrainConfig, to_dict(config)) == config
    opening = path.read_text(encoding="utf-8").split("\n[")[0]
    for promised in ("Data:", "Hardware:", "Command:"):
        assert promised in opening


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_checkpoint_of_every_recipe_fits_the_limit(path):
    # 16 MB a file: weights and their average are files of their own.
    network = build_model(read_recipe(path).model)
    assert 4 * sum(parameter.numel() for parameter in network.parameters()) < 16e6


def test_assignments_change_a_recipe():
    changed = read_recipe(RECIPES[0], ("schedule.steps=7", "data.corpus=elsewhere"))
    assert changed.schedule.steps == 7
    assert changed.data.corpus == "elsewhere"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("schedule.stesp=7", "schedule: unknown key 'stesp'; did you mean 'steps'"),
        ("schedule.steps=seven", "schedule: steps: expected int, got str 'seven'"),
        ("schedule.steps=0", "steps >= 1"),
        ("optimiser.name=sgd", "'sgd' is not one of 'adam', 'adamw'"),
        ("data.speed=0.9", "speed in"),
        ("steps", "section.key=value"),
    ],
)
def test_wrong_assignments_are_refused(assignment, message):
    with pytest.raises(SettingsError) as caught:
        read_recipe(RECIPES[0], (assignment,))
    assert message in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.toml: no such recipe"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_needs_model_and_data(tmp_path):
    (tmp_path / "half.toml").write_text('[model]\nname = "audiounet"\n')
    with pytest.raises(SettingsError, match=r"half\.toml: 'data' is missing"):
        read_recipe(tmp_path / "half.toml")


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (DataConfig, {"corpus": "x", "patch_samples": 0}),
        (DataConfig, {"corpus": "x", "batch_size": 0}),
        (LossConfig, {"spectral_error_band": 0.0}),
        (LossConfig, {"spectral_error_band": 1.1}),
        (ScheduleConfig, {"steps": 0}),
        (ScheduleConfig, {"warmup_steps": -1}),
    ],
)
def test_impossible_values_are_refused(cls, options):
    with pytest.raises(SettingsError):
        cls(**options)
