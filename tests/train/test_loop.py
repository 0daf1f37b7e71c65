"""The loop: it learns, it resumes to the bit, it stops in time, it refuses to mix recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import load_file

from fullband.errors import AudioFileError, MissingFileError, ModelError, SettingsError
from fullband.train import loop
from fullband.train.config import read_recipe
from fullband.train.export import export_run
from fullband.train.loop import train
from signals import noise

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def tiny(*assignments: str):
    """The smallest recipe: few steps of short patches, no validation before the end."""
    return read_recipe(
        TINY,
        (
            "schedule.steps=6",
            "data.patch_samples=256",
            "run.validate_every=100",
            "run.checkpoint_every=100",
            *assignments,
        ),
    )


def weights(run: Path, name: str = "weights") -> dict[str, torch.Tensor]:
    return load_file(run / "last" / f"{name}.safetensors")


def log(run: Path, kind: str) -> list[dict]:
    lines = (run / "log.jsonl").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def assert_same_weights(one: Path, other: Path) -> None:
    for name in ("weights", "average", "optimiser-exp_avg", "optimiser-exp_avg_sq"):
        ours, theirs = weights(one, name), weights(other, name)
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert torch.equal(ours[key], value), (name, key)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The tiny recipe as it is, trained to its end."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    progress = train(read_recipe(TINY), run)
    assert progress.step == 200
    return run


def test_the_tiny_recipe_learns(trained):
    # Harmonics in phase with the fundamental: what is missing can be told from what is there. The
    # spline's own error on this validation split is what the untrained network starts from.
    from fullband.corpora.synthetic import synthetic_corpus
    from fullband.degrade import Degradation
    from fullband.evaluate.run import evaluate_recordings, fit_length, mean_scores
    from fullband.models.spline import interpolate

    def spline(narrow, degradation, length):
        wide = interpolate(narrow, degradation.narrow_rate, degradation.sample_rate)
        return fit_length(wide, length)

    corpus = synthetic_corpus(16_000, seed=2, count=2)
    rows = evaluate_recordings(spline, corpus, Degradation("chebyshev", 16_000, 8000))
    baseline = mean_scores(rows)["snr_db"]
    first, last = log(trained, "valid")
    assert last["snr_db"] > first["snr_db"]
    assert last["snr_db"] > baseline + 0.15


def test_a_run_folder_holds_what_it_promises(trained):
    assert {path.name for path in trained.iterdir()} == {
        "best",
        "config.json",
        "last",
        "log.jsonl",
        "tensorboard",
    }
    config = json.loads((trained / "config.json").read_text())
    assert config["model"]["name"] == "audiounet"
    assert config["run"]["seed"] == 0  # defaults are written out
    assert list((trained / "tensorboard").iterdir())
    assert [entry["step"] for entry in log(trained, "train")] == [50, 100, 150, 200]
    assert {"loss", "relative_error_db", "gradient_norm", "learning_rate"} <= set(
        log(trained, "train")[0]
    )


def test_the_best_validation_is_the_one_kept(trained):
    state = json.loads((trained / "best" / "state.json").read_text())
    best = max(log(trained, "valid"), key=lambda entry: entry["snr_db"])
    assert state["best_step"] == best["step"]
    assert state["best_score"] == pytest.approx(best["snr_db"], abs=1e-5)


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_resumed_training_gives_the_same_weights(tmp_path, monkeypatch, optimiser, dropout):
    options = (
        f"optimiser.name={optimiser}",
        f"model.dropout={dropout}",
        "optimiser.weight_decay=0.1",
        "run.checkpoint_every=2",
    )
    config = tiny(*options)
    train(config, tmp_path / "whole")

    def stop(step, steps, parts):
        # In the middle of step 4, with the checkpoint of step 2 as the newest.
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", report=stop)
    assert json.loads((tmp_path / "parts" / "last" / "state.json").read_text())["step"] == 2
    train(config, tmp_path / "parts")
    assert_same_weights(tmp_path / "parts", tmp_path / "whole")


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        train(tiny(f"run.seed={seed}"), tmp_path / name)
    assert_same_weights(tmp_path / "one", tmp_path / "same")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "one", tmp_path / "other")


def test_time_runs_out_with_a_checkpoint(tmp_path):
    config = tiny()
    progress = train(config, tmp_path / "run", max_minutes=0.0)
    assert progress.step == 1  # a sitting makes at least one step, or it would never end
    assert json.loads((tmp_path / "run" / "last" / "state.json").read_text())["step"] == 1
    train(config, tmp_path / "run")
    train(config, tmp_path / "whole")
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(tmp_path):
    config = tiny()
    train(config, tmp_path)
    before = (tmp_path / "last" / "weights.safetensors").stat().st_mtime_ns
    assert train(config, tmp_path).step == 6
    assert (tmp_path / "last" / "weights.safetensors").stat().st_mtime_ns == before


def test_another_recipe_does_not_go_on_with_a_run(tmp_path):
    train(tiny(), tmp_path)
    with pytest.raises(SettingsError, match=r"begun with another optimiser\.learning_rate;"):
        train(tiny("optimiser.learning_rate=1.0"), tmp_path)


def test_starting_from_another_run(tmp_path, trained):
    config = replace(
        read_recipe(TINY, ("schedule.steps=1", "optimiser.learning_rate=0.0")),
    )
    train(config, tmp_path / "run", start_from=trained)
    begun_from = load_file(trained / "best" / "average.safetensors")
    for name, value in weights(tmp_path / "run").items():
        assert torch.equal(value, begun_from[name])


def test_starting_from_a_run_of_another_shape_is_refused(tmp_path, trained):
    with pytest.raises(ModelError, match="does not fit"):
        train(tiny("model.width=0.125"), tmp_path, start_from=trained)


def test_starting_from_an_exported_model(tmp_path, trained):
    model = export_run(trained, "begun", tmp_path)
    train(
        tiny("schedule.steps=1", "optimiser.learning_rate=0.0"),
        tmp_path / "run",
        None,
        None,
        None,
        model,
    )
    begun_from = load_file(trained / "best" / "average.safetensors")
    for name, value in weights(tmp_path / "run").items():
        assert torch.equal(value, begun_from[name])


def test_what_is_solved_for_may_have_another_length(tmp_path):
    short, long = ("model.equaliser_taps=9", "schedule.steps=1"), "model.equaliser_taps=17"
    train(tiny(*short), tmp_path / "short")
    train(
        tiny(*short, long, "optimiser.learning_rate=0.0"),
        tmp_path / "long",
        start_from=tmp_path / "short",
    )
    begun_from = load_file(tmp_path / "short" / "best" / "average.safetensors")
    for name, value in weights(tmp_path / "long").items():
        if name == "equaliser.kernels":
            assert value.shape[-1] == 17
            assert value.abs().sum() > 1.001  # no longer the unit impulse it was built as
        else:
            assert torch.equal(value, begun_from[name])


def test_starting_from_two_that_hold_a_part_each(tmp_path):
    """The U-Net of one, the unfolding of another; neither fits alone."""
    plain = tiny("model.equaliser_taps=9", "schedule.steps=1")
    front = {"equaliser_taps": 9, "frame": 256, "width": 8, "depth": 1}
    parts = tmp_path / "plain", tmp_path / "front"
    train(plain, parts[0])
    train(replace(plain, model={"name": "unfolder", "ratio": 2, **front}), parts[1])
    both = tiny(
        *("model.equaliser_taps=9", "model.unfold_frame=256", "model.unfold_width=8"),
        *("model.unfold_depth=1", "schedule.steps=1", "optimiser.learning_rate=0.0"),
    )
    train(both, tmp_path / "both", start_from=parts)
    begun_from = [load_file(part / "best" / "average.safetensors") for part in parts]
    together = weights(tmp_path / "both")
    for name in ("last.weight", "unfolding.leave.weight"):
        (source,) = [part[name] for part in begun_from if name in part]
        assert torch.equal(together[name], source)
    with pytest.raises(ModelError, match="does not fit"):
        train(both, tmp_path / "neither", start_from=parts[0])


def test_training_on_some_of_the_files(tmp_path):
    """As many as were asked for, and no others: three files of constants tell which were seen."""
    for split, levels in (("train", (1, 2, 3)), ("valid", (1,))):
        (tmp_path / split).mkdir()
        for level in levels:
            audio = 0.1 * level * noise(0.5, 16_000)
            soundfile.write(tmp_path / split / f"{level}.wav", audio, 16_000)
    config = tiny(f"data.corpus={tmp_path}", "data.train_files=2")
    (training, _), (validation, _) = loop._corpus(config, 16_000, tmp_path)
    assert training.names == ("train/1.wav", "train/3.wav")
    assert len(validation) == 1
    (everything, _), _ = loop._corpus(tiny(f"data.corpus={tmp_path}"), 16_000, tmp_path)
    assert len(everything) == 3


def test_starting_from_nothing_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="train first"):
        train(tiny(), tmp_path / "run", start_from=tmp_path / "none")


@pytest.mark.parametrize(
    ("assignment", "error", "message"),
    [
        ("data.corpus=nowhere", MissingFileError, "nowhere: no such folder"),
        ("data.patch_samples=1000000", AudioFileError, "lower data.patch_samples"),
        ("run.select={mos = 1.0}", SettingsError, "no metric 'mos'"),
        ('degrade.methods=["brickwall"]', SettingsError, "unknown degradation 'brickwall'"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, assignment, error, message):
    with pytest.raises(error, match=message):
        train(tiny(assignment), tmp_path)


def test_bf16_is_what_the_hardware_decides(tmp_path, monkeypatch):
    from fullband.train.loop import _precision

    config = tiny("run.precision=auto")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)
    assert _precision(config) == "bf16-mixed"
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    assert _precision(config) == "32-true"
    assert _precision(tiny("run.precision=16-mixed")) == "16-mixed"


def test_training_in_bf16_works_on_any_machine(tmp_path):
    train(tiny("run.precision=bf16-mixed", "schedule.steps=2"), tmp_path)
    assert all(value.dtype == torch.float32 for value in weights(tmp_path).values())
