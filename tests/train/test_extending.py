"""Models of any bandwidth from recipe to graph: they learn, resume to the bit, come out whole."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from fullband.audio.resample import resample
from fullband.card import read_card
from fullband.corpora.notes import Notes
from fullband.corpora.synthetic import synthetic_corpus
from fullband.degrade import degrade
from fullband.engine import open_model
from fullband.errors import AudioFileError, ModelError, SettingsError
from fullband.models.registry import build_model
from fullband.settings import build
from fullband.train import export
from fullband.train import task as task_module
from fullband.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from fullband.train.config import TrainConfig
from fullband.train.export import export_run
from fullband.train.loop import train
from fullband.train.task import NarrowingTask
from signals import band, noise, rms_db

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

RATE = 16_000
MODEL = {"name": "extender", "sample_rate": RATE, "hop": 48, "width": 8, "depth": 1, "kernel": 3}
LOSS = {"rmse": 0.0, "new_band_lsd": 0.5, "band_level": 1.0, "join_error": 0.1}
ADVERSARIAL = {**LOSS, "adversarial": 0.1, "feature_distance": 0.5}


def recipe(steps: int = 4, loss=LOSS, **data) -> TrainConfig:
    """A recipe of a tiny extender at 16 kHz, on synthetic audio."""
    return build(
        TrainConfig,
        {
            "model": MODEL,
            "data": {
                "corpus": "synthetic",
                "patch_samples": 4096,
                "batch_size": 4,
                "highest_hz": 6000.0,
                "speed": 0.1,
                **data,
            },
            "loss": loss,
            "optimiser": {"name": "adamw", "learning_rate": 1e-2},
            "schedule": {"steps": steps, "warmup_steps": 2},
            "run": {
                "validate_every": 1000,
                "checkpoint_every": 1000,
                "select": {"negative_lsd": 1.0},
                "ema_decay": 0.9,
                "precision": "32-true",
                "accelerator": "cpu",
            },
        },
        "tiny extender",
    )


def entries(run: Path, kind: str) -> list[dict]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [entry for entry in lines if entry["kind"] == kind]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, list[dict[str, float]]]:
    """A hundred and twenty steps with a discriminator, and the losses of each."""
    run, parts = tmp_path_factory.mktemp("runs") / "tiny", []
    train(recipe(120, ADVERSARIAL), run, report=lambda step, steps, losses: parts.append(losses))
    return run, parts


def test_it_learns(trained):
    _, parts = trained
    for name in ("new_band_lsd", "band_level"):
        first, last = (np.mean([part[name] for part in some]) for some in (parts[:5], parts[-10:]))
        assert last < 0.9 * first
    assert set(parts[0]) == {
        "loss",
        "new_band_lsd",
        "band_level",
        "join_error",
        "adversarial",
        "feature_distance",
        "discriminator",
        "gradient_norm",
    }
    assert all(math.isfinite(value) for part in parts for value in part.values())
    # An untrained judge costs about 1 for real and for predicted audio, and learns.
    assert parts[0]["discriminator"] == pytest.approx(2, abs=0.5)
    assert np.mean([part["discriminator"] for part in parts[-10:]]) < 2


def test_validation_is_in_finite_numbers(trained):
    (scores,) = entries(trained[0], "valid")
    # At 16 kHz all is true up to 7.84 kHz, which is 2 kHz above the lowest cutoff alone.
    assert {"lsd_4000", "negative_lsd", "similarity", "snr_loss_db", "tilt_db"} <= set(scores)
    assert scores["similarity"] < 1
    assert not {"lsd_6000", "lsd_8000", "lsd_12000"} & set(scores)
    assert scores["negative_lsd"] == -scores["lsd_4000"]
    assert all(math.isfinite(value) for key, value in scores.items() if key != "kind")
    assert 0 < scores["lsd_4000"] < 3


@pytest.mark.parametrize("loss", [LOSS, ADVERSARIAL], ids=["alone", "with a discriminator"])
def test_stopped_and_resumed_is_uninterrupted(tmp_path, loss):
    config = recipe(2, loss)
    train(config, tmp_path / "whole")
    for done in (1, 2):  # no minutes at all are up after every step
        progress = train(config, tmp_path / "parts", max_minutes=0.0)
        assert progress.step == done
    whole, parts = (
        {path.name: load_file(path) for path in (tmp_path / run / "last").glob("*.safetensors")}
        for run in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert ("discriminator.safetensors" in whole) == (loss is ADVERSARIAL)
    for file, tensors in whole.items():
        assert tensors.keys() == parts[file].keys()
        for name, value in tensors.items():
            assert torch.equal(parts[file][name], value), (file, name)


def test_batches_made_by_other_processes_are_the_same(tmp_path):
    for workers in (0, 2):
        train(recipe(3, workers=workers), tmp_path / str(workers))
    alone, helped = (load_file(tmp_path / run / "last" / "weights.safetensors") for run in "02")
    for name, value in alone.items():
        assert torch.equal(helped[name], value), name


def test_the_discriminator_learns_too(tmp_path):
    for steps in (1, 3):
        train(recipe(steps, ADVERSARIAL), tmp_path / str(steps))
    one, three = (
        load_file(tmp_path / steps / "last" / "discriminator.safetensors") for steps in "13"
    )
    assert all(not torch.equal(one[name], three[name]) for name in one)


def test_a_checkpoint_without_a_discriminator_is_refused_where_one_is_needed(tmp_path):
    network, judge = build_model(MODEL), torch.nn.Linear(1, 1)
    average = dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters())
    save_checkpoint(tmp_path / "last", MODEL, network, average, optimiser, Progress(step=3))
    assert load_checkpoint(tmp_path / "last", network, average, optimiser).step == 3
    adversary = (judge, torch.optim.AdamW(judge.parameters()))
    with pytest.raises(ModelError, match="last: has no discriminator"):
        load_checkpoint(tmp_path / "last", network, average, optimiser, adversary)


def judged(run_model, wide, true_hz=7840.0):
    return task_module._judge(run_model, wide, RATE, 8000, "soxr", true_hz)


def test_scores_by_hand():
    wide = noise(1, RATE)
    gains = []

    def perfect(audio, bandwidth_hz):
        assert bandwidth_hz.tolist() == [[3800.0]]
        assert rms_db(audio) == pytest.approx(-26, abs=0.3)  # the level that models see
        low = [band(each, RATE, 100, 3000) for each in (audio[0], wide)]
        gains.append(np.float32(10 ** ((rms_db(low[0]) - rms_db(low[1])) / 20)))
        return gains[0] * wide[None]

    scores = judged(perfect, wide)
    assert scores["lsd"] < 0.1
    assert scores["tilt_db"] == pytest.approx(0, abs=0.3)
    nothing = judged(lambda audio, _: audio, wide)
    assert nothing["snr_loss_db"] == pytest.approx(0, abs=1e-3)
    assert nothing["tilt_db"] < -40
    assert nothing["lsd"] > 2

    # Other noise as loud as what is missing doubles the error.
    def other(audio, _):
        new = band(noise(1, RATE, seed=1), RATE, 4000, 8001)
        return audio + gains[0] * new.astype(np.float32)

    scores = judged(other, wide)
    assert scores["snr_loss_db"] == pytest.approx(3, abs=0.2)
    assert scores["tilt_db"] == pytest.approx(0, abs=0.5)

    # What is not true is not looked at.
    def without_top(audio, _):
        return other(audio, _) - band(other(audio, _), RATE, 5200, 8001).astype(np.float32)

    one, same = (judged(system, wide, 5000.0) for system in (other, without_top))
    assert one["lsd"] == pytest.approx(same["lsd"], abs=0.01)
    assert one["tilt_db"] == pytest.approx(same["tilt_db"], abs=0.01)
    assert judged(without_top, wide)["lsd"] > scores["lsd"] + 0.5


def test_validation_takes_turns_among_speakers_and_leaves_out_holes():
    notes = Notes(
        ("a", "a", "a", "b", "b", "c"), np.full(6, 7000.0), np.array([0, 0.5, 0, 0, 0, 0.0])
    )
    assert task_module._by_turns(notes) == [0, 3, 5, 2, 4]


def part(seed, true_hz):
    decoded = synthetic_corpus(RATE, seed, count=2, duration_s=0.5)
    return decoded, Notes(("a", "b"), np.full(2, true_hz), np.zeros(2))


def test_as_many_recordings_are_judged_as_were_asked_for():
    asked = []

    def run_model(audio, bandwidth_hz):
        asked.append(float(bandwidth_hz[0, 0]))
        return audio

    network = build_model(MODEL)
    for files in (1, 5):
        asked.clear()
        task = NarrowingTask(recipe(valid_files=files), part(1, 7000.0), part(2, 7000.0))
        scores = task.validate(run_model, network.config)
        assert asked == [3800.0] * min(files, 2)
    assert scores["negative_lsd"] == -scores["lsd_4000"]


def test_nothing_to_judge_by_is_refused():
    with pytest.raises(AudioFileError, match="no recording for validation is true 2 kHz above 4"):
        NarrowingTask(recipe(), part(1, 7000.0), part(2, 5500.0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lowest_hz": 7000.0}, "0 < lowest_hz < highest_hz"),
        ({"equaliser_db": -1.0}, "equaliser_db >= 0"),
        ({"room": 1.5}, r"room, noise and balance in \[0, 1\]"),
        ({"balance": -0.1}, r"room, noise and balance in \[0, 1\]"),
        ({"valid_files": 0}, "valid_files >= 1"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(data, message):
    with pytest.raises(SettingsError, match=message):
        recipe(**data)


@pytest.mark.parametrize("quantile", [0.0, 1.0])
def test_a_quantile_that_is_none_is_refused(quantile):
    with pytest.raises(SettingsError, match="level_quantile between 0 and 1"):
        replace(recipe().loss, level_quantile=quantile)


def test_an_unknown_score_to_select_by_is_refused(tmp_path):
    config = recipe(1)
    config = replace(config, run=replace(config.run, select={"snr_db": 1.0}))
    with pytest.raises(SettingsError, match=r"run\.select: no metric 'snr_db'"):
        train(config, tmp_path / "run")


@pytest.fixture(scope="module")
def graph(trained, tmp_path_factory) -> Path:
    """The run as an ONNX file with its card."""
    return export_run(trained[0], "tiny", tmp_path_factory.mktemp("exported"), half=True)


def test_a_run_becomes_a_graph_of_audio_and_bandwidth(graph):
    card = read_card(graph.with_suffix(".json"))
    assert (card.sample_rate, card.entry_rate, card.upsampling) == (RATE, None, "sinc")
    assert card.bandwidth_range_hz == pytest.approx((1700, 20_000 / 3))
    assert (card.stride, card.context) == (48, (1 + 2) * 48)
    assert card.summary == "extender from any rate to 16 kHz"
    inputs = onnx.load(graph).graph.input
    assert [value.name for value in inputs] == ["audio", "bandwidth_hz"]
    for value in inputs:
        assert all(dim.dim_param for dim in value.type.tensor_type.shape.dim)  # nothing fixed


def test_the_graph_computes_what_the_network_does(graph, trained):
    network = build_model(MODEL).eval()
    network.load_state_dict(load_file(trained[0] / "best" / "average.safetensors"))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    model = open_model(str(graph))
    generator = np.random.default_rng(0)
    for count, length in ((1, 1), (2, 47), (1, 4800), (3, 5001)):
        audio = np.stack([noise(1, RATE, seed)[:length] for seed in range(count)])
        audio[:, 1000:2500] = 0
        ends = generator.uniform(2000, 6500, 1 + length // 48).astype(np.float32)
        with torch.inference_mode():
            told = torch.from_numpy(ends).expand(count, -1)
            expected = network(torch.from_numpy(audio), told).numpy()
        actual = model.run(audio, ends)
        assert actual.dtype == np.float32
        assert np.max(np.abs(actual - expected)) < 1e-4
        assert np.max(np.abs(expected - audio)) > 0 or length < 48
    assert np.all(model.run(np.zeros((1, 2000), np.float32), ends[:1]) == 0)


def test_it_adds_treble_where_there_was_none(graph):
    wide = synthetic_corpus(RATE, 3, count=1, duration_s=1.0).recording(0)
    narrow = resample(degrade(wide, RATE, 8000, "soxr"), 8000, RATE)
    narrow = narrow * np.float32(10 ** ((-26 - rms_db(narrow)) / 20))
    made = open_model(str(graph)).run(narrow[None], np.array([3800.0], np.float32))[0]
    given, predicted = (rms_db(band(audio, RATE, 4500, 7000)) for audio in (narrow, made))
    expected = rms_db(band(wide, RATE, 4500, 7000)) + rms_db(narrow) - rms_db(wide)
    assert given < -80
    assert predicted == pytest.approx(expected, abs=12)


def test_a_network_that_gives_no_numbers_is_refused():
    network = build_model(MODEL).eval()
    with torch.no_grad():
        network.leave.bias[0] = float("nan")

    class Same:
        """What a graph that computes the same would give."""

        name = "tiny"

        def run(self, audio, bandwidth_hz):
            told = torch.from_numpy(bandwidth_hz).expand(len(audio), -1)
            with torch.inference_mode():
                return network(torch.from_numpy(audio), told).numpy()

    with pytest.raises(ModelError, match="tiny: the exported graph differs from the model by nan"):
        export.compare_exported(network, Same())
