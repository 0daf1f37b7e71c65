"""The commands of researchers, as they type them: train, export, evaluate, models."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import fullband
from fullband.cli import main
from fullband.evaluate.report import markdown_table, read_rows
from signals import low_passed, noise

TINY = str(Path(__file__).parents[1] / "recipes" / "tiny.toml")


def fullband_command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    done = fullband_command(
        *("train", TINY, "--run", folder),
        *("--set", "schedule.steps=2", "--set", "data.patch_samples=256"),
    )
    assert done.exit_code == 0, done.output
    assert "2 of 2 steps" in done.stderr
    return folder


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two recordings to judge on, half a second each, and one to learn from."""
    for name in ("test/a.wav", "test/b.flac", "train/c.wav"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        audio = 0.1 * low_passed(noise(0.5, 16_000, seed=ord(path.stem)), 16_000, 7000)
        fullband.write(path, audio.astype("float32"), 16_000)
    return tmp_path / "corpus"


def test_from_a_recipe_to_enhanced_audio(run_folder, tmp_path, corpus):
    done = fullband_command(
        *("export", run_folder, "--name", "mine", "-o", tmp_path, "--licence", "CC0-1.0"),
        *("--data", "synthetic", "--data", "more", "--command", "fullband train"),
    )
    assert done.exit_code == 0, done.output
    model = tmp_path / "mine.onnx"
    card = json.loads(model.with_suffix(".json").read_text())
    assert (card["data"], card["licence"]) == (["synthetic", "more"], "CC0-1.0")

    done = fullband_command(
        *("export", run_folder, "--name", "mean", "-o", tmp_path, "--average", model)
    )
    assert done.exit_code == 0, done.output
    mean = json.loads((tmp_path / "mean.json").read_text())
    assert mean["training"]["averaged_with"] == [f"mine {card['sha256'][:12]}"]
    for arguments, message in (
        ((run_folder, "--set", "width=2"), "--set is for exported models"),
        ((model, "--average", model), "--average takes the folder of a run"),
        ((model, "--set", "widht=2"), "unknown key 'widht'"),
    ):
        done = fullband_command("export", *arguments, "--name", "other", "-o", tmp_path)
        assert done.exit_code == 1
        assert message in done.stderr
        assert not (tmp_path / "other.onnx").exists()

    narrow = tmp_path / "narrow.wav"
    fullband.write(narrow, 0.1 * noise(0.5, 8000), 8000)
    wide = tmp_path / "wide.wav"
    done = fullband_command("enhance", narrow, "-o", wide, "--model", model, "--rate", 16_000)
    assert done.exit_code == 0, done.output
    audio, sample_rate = fullband.read(wide)
    assert (audio.shape, sample_rate) == ((8000,), 16_000)

    rows_path = tmp_path / "rows.csv"
    done = fullband_command(
        *("evaluate", model, corpus, "--ratio", 2, "--rows", rows_path, "--update-card")
    )
    assert done.exit_code == 0, done.output
    rows = read_rows(rows_path)
    assert done.stdout.strip() == markdown_table(rows)
    systems = list(dict.fromkeys(row["system"] for row in rows))
    assert {"ideal-lowpass", "sinc", "spline"} <= set(systems)
    assert sum("mine" in system for system in systems) == 2  # raw, and as enhance gives it
    assert {row["file"] for row in rows} == {"test/a.wav", "test/b.flac"}
    (scores,) = json.loads(model.with_suffix(".json").read_text())["scores"].values()
    for system in systems:
        own = [row["snr_db"] for row in rows if row["system"] == system]
        assert scores["mean"][system]["snr_db"] == pytest.approx(sum(own) / 2, abs=1e-3)


def test_training_goes_on_where_it_stopped(tmp_path):
    options = ["--set", "schedule.steps=3", "--set", "data.patch_samples=256"]
    first = fullband_command("train", TINY, "--run", tmp_path, "--max-minutes", 0, *options)
    assert "1 of 3 steps" in first.stderr
    second = fullband_command("train", TINY, "--run", tmp_path, *options)
    assert "3 of 3 steps" in second.stderr
    other = fullband_command("train", TINY, "--run", tmp_path, "--set", "schedule.steps=4")
    assert other.exit_code == 1
    assert "was begun with another" in other.stderr


def test_starting_from_another_run(tmp_path, run_folder):
    options = ["--set", "schedule.steps=1", "--set", "data.patch_samples=256"]
    done = fullband_command("train", TINY, "--run", tmp_path, "--start-from", run_folder, *options)
    assert done.exit_code == 0, done.output


def test_evaluating_a_baseline_alone(corpus, tmp_path):
    rows_path = tmp_path / "rows.json"
    done = fullband_command(
        *("evaluate", "sinc", corpus, "--no-baselines", "--limit", 1, "--split", "train"),
        *("--method", "spectral-cut", "--rows", rows_path),
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(rows_path.read_text())
    assert {row["system"] for row in rows} == {"sinc"}
    assert [row["file"] for row in rows] == ["train/c.wav"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.toml"], "none.toml: no such recipe"),
        (["train", TINY, "--set", "schedule.stps=1"], "did you mean 'steps'"),
        (["train", TINY, "--set", "data.corpus=none"], "none: no such folder"),
        (["train", TINY, "--start-from", "none"], "none: no checkpoint in it"),
        (["export", "none", "--name", "x"], "none: no checkpoint in it"),
        (["evaluate", "spline", "none"], "none: no such folder"),
        (["evaluate", "splin", "CORPUS"], "did you mean 'spline'"),
        (["evaluate", "spline", "CORPUS", "--split", "valid"], "no split 'valid'"),
        (["evaluate", "spline", "CORPUS", "--method", "magic"], "unknown degradation 'magic'"),
        (["evaluate", "spline", "CORPUS", "--ratio", "1"], "--ratio"),
        (["evaluate", "spline", "CORPUS", "--ratio", "0"], "--ratio"),
        (["evaluate", "spline", "CORPUS", "--rate", "-5"], "--rate"),
        (["evaluate", "spline", "CORPUS", "--limit", "0"], "--limit"),
        (["evaluate", "spline", "CORPUS", "--update-card"], "it has no card"),
        (["evaluate", "spline", "CORPUS", "--rows", "rows.txt"], "rows.txt: rows are written as"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, tmp_path, corpus, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = fullband_command(*(corpus if word == "CORPUS" else word for word in arguments))
    assert done.exit_code in (1, 2)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not (tmp_path / "rows.txt").exists()


def test_rows_are_readable_by_a_spreadsheet(corpus, tmp_path):
    path = tmp_path / "rows.csv"
    fullband_command("evaluate", "spline", corpus, "--rows", path)
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    needed = {"corpus", "split", "file", "method", "narrow_rate", "sample_rate", "system", "commit"}
    assert needed <= set(rows[0])


def test_models_lists_what_there_is():
    done = fullband_command("models")
    assert done.exit_code == 0
    for name in ("sinc", "spline", *(card.name for card in fullband.card.cards())):
        assert name in done.stdout
