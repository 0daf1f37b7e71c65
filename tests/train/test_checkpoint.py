"""Checkpoints: everything comes back, nothing but data is in them, none is ever half there."""

from __future__ import annotations

import json

import pytest
import torch

from fullband.errors import MissingFileError, ModelError
from fullband.models.registry import build_model
from fullband.train.checkpoint import Progress, load_average, load_checkpoint, save_checkpoint

SETTINGS = {"name": "audiounet", "width": 1 / 32, "depth": 1}


def training(seed: int = 0, settings=SETTINGS, kind=torch.optim.Adam):
    """A model after one step, its average and its optimiser."""
    torch.manual_seed(seed)
    model = build_model(settings)
    average = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    optimiser = kind(model.parameters(), lr=0.1)
    model(torch.randn(1, 64)).square().sum().backward()
    optimiser.step()
    return model, average, optimiser


def save(folder, state, progress=None):
    model, average, optimiser = state
    save_checkpoint(folder, SETTINGS, model, average, optimiser, progress or Progress(step=1))


def assert_same(actual, expected):
    for ours, theirs in zip(actual[:2], expected[:2], strict=True):
        ours = ours if isinstance(ours, dict) else ours.state_dict()
        theirs = theirs if isinstance(theirs, dict) else theirs.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    states = actual[2].state_dict()["state"], expected[2].state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for index, values in states[1].items():
        assert states[0][index].keys() == values.keys()
        assert all(torch.equal(states[0][index][kind], values[kind]) for kind in values)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_everything_comes_back(tmp_path, kind):
    saved, other = training(0, kind=kind), training(1, kind=kind)
    progress = Progress(step=7, seconds=1.5, best_score=-3.25, best_step=5)
    save(tmp_path / "last", saved, progress)
    assert load_checkpoint(tmp_path / "last", *other) == progress
    assert_same(other, saved)


def test_it_replaces_the_one_before_and_leaves_nothing_behind(tmp_path):
    save(tmp_path / "last", training(0), Progress(step=1))
    later = training(1)
    save(tmp_path / "last", later, Progress(step=2))
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    restored = training(2)
    assert load_checkpoint(tmp_path / "last", *restored).step == 2
    assert_same(restored, later)


def test_stopped_before_the_new_one_is_in_place_the_old_one_counts(tmp_path, monkeypatch):
    first = training(0)
    save(tmp_path / "last", first, Progress(step=1))
    # The second rename, that of the new checkpoint into place, does not happen any more.
    rename = type(tmp_path).rename

    def stop(self, target):
        if self.name == "last.part":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "last", training(1), Progress(step=2))
    monkeypatch.undo()
    restored = training(2)
    assert load_checkpoint(tmp_path / "last", *restored).step == 1
    assert_same(restored, first)
    save(tmp_path / "last", training(3), Progress(step=3))  # and the next save goes through
    assert load_checkpoint(tmp_path / "last", *restored).step == 3


def test_there_is_no_pickle_in_it(tmp_path):
    save(tmp_path / "last", training())
    files = sorted(tmp_path.rglob("*.*"))
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for path in files:
        assert not path.read_bytes().startswith((b"PK", b"\x80"))  # torch.save and pickle


def test_the_average_rebuilds_the_model_by_itself(tmp_path):
    state = training()
    save(tmp_path / "run" / "best", state)
    model, settings, progress = load_average(tmp_path / "run")
    assert settings == SETTINGS
    assert progress.step == 1
    assert not model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state[1].items())


def test_the_best_counts_before_the_last(tmp_path):
    save(tmp_path / "last", training(), Progress(step=9))
    assert load_average(tmp_path)[2].step == 9
    save(tmp_path / "best", training(), Progress(step=4))
    assert load_average(tmp_path)[2].step == 4
    assert load_average(tmp_path / "last")[2].step == 9


def test_another_models_checkpoint_is_refused(tmp_path):
    save(tmp_path / "last", training())
    wider = training(settings={**SETTINGS, "width": 1 / 16})
    with pytest.raises(ModelError, match="last: does not fit this recipe's model"):
        load_checkpoint(tmp_path / "last", *wider)


def test_a_run_without_a_checkpoint(tmp_path):
    with pytest.raises(MissingFileError, match="train first"):
        load_average(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "no metadata", "unknown model"])
def test_a_damaged_average_is_refused(tmp_path, damage):
    save(tmp_path / "best", training())
    path = tmp_path / "best" / "average.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "text":
        path.write_text("not weights at all")
    else:
        from safetensors.torch import load_file, save_file

        metadata = {"model": json.dumps({"name": "other"})} if damage == "unknown model" else None
        save_file(load_file(path), path, metadata)
    with pytest.raises(ModelError):
        load_average(tmp_path)
