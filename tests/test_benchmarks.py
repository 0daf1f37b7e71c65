"""What the benchmarks compute, where it can be known beforehand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from fullband.corpora.dataset import Decoded
from fullband.evaluate.paper import Task
from fullband.models.registry import build_model
from signals import noise, tone

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def benchmark(name: str):
    found = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses look themselves up there
    found.loader.exec_module(module)
    return module


margin_oracle = benchmark("margin_oracle")
detail_curve = benchmark("detail_curve")
speech_or_music = benchmark("speech_or_music")
paper_training = benchmark("paper_training")


def two_tones():
    """A loud tone at 1 kHz and one 20 dB below it at 3 kHz, and the same again."""
    loud, soft = tone(1000, 1, 16_000), 0.1 * tone(3000, 1, 16_000)
    wide = (0.1 * (loud + soft)).astype(np.float32)
    ends = (0, len(wide), 2 * len(wide))
    return Decoded(np.concatenate([wide, wide]), ends, (-20.0, -20.0), ("a", "b"), 16_000)


def test_oracles_of_two_tones():
    row = margin_oracle.row_of(Task("single", "test", 4, "chebyshev"), two_tones(), 0.0)
    # What is above 2 kHz is 20 dB below the rest: no oracle is between that and perfect.
    assert row["ideal"] == pytest.approx(10 * np.log10(101), abs=0.05)
    assert row["predicted_hz"]["2250"] == pytest.approx(row["ideal"], abs=0.05)
    assert row["predicted_hz"]["4000"] > 40
    assert row["needed_hz"] is None or row["needed_hz"] < 3010


def test_to_pass_the_ideal_low_pass_everything_up_to_the_tone_is_needed():
    decoded = two_tones()
    spectra = [margin_oracle.energy_above(decoded.recording(i), 16_000) for i in (0, 1)]
    assert margin_oracle.needed_hz(spectra, 23.0, 2000) == pytest.approx(3000, abs=30)
    row = margin_oracle.row_of(Task("single", "test", 4, "chebyshev"), decoded, 10.0)
    # Half of the energy above the cutoff known is 3 dB more.
    expected = 1 - 10 ** (-(row["aim"] - row["ideal"]) / 10)
    assert row["needed_share"] == pytest.approx(expected, abs=1e-3)


def test_the_floor_of_noise_is_all_of_it_and_of_bursts_what_lies_between():
    audio = noise(4, 16_000)
    assert margin_oracle.floor_share(audio, 16_000, 2000) == pytest.approx(1, abs=0.1)
    bursts = audio * np.where(np.arange(len(audio)) % 8000 < 4000, 1.0, 0.0)
    assert margin_oracle.floor_share(bursts.astype(np.float32), 16_000, 2000) < 0.01


readout = benchmark("readout")
SETTINGS = {"name": "audiounet", "width": 1 / 32, "depth": 1, "bias": False, "dropout": 0.0}


def network(seed: int):
    torch.manual_seed(seed)
    model = build_model(SETTINGS).eval()
    with torch.no_grad():
        model.last.weight.copy_(torch.randn_like(model.last.weight))
    return model


@torch.no_grad()
def pairs_made_by(teacher, count: int):
    for seed in range(count):
        narrow = torch.from_numpy(noise(0.5, 16_000, seed))[None]
        yield narrow.numpy(), teacher(narrow).numpy()


@torch.no_grad()
def test_the_last_layer_that_made_the_audio_is_found():
    teacher, model = network(0), network(0)
    model.last.weight.zero_()
    model.last.weight.copy_(readout.solved_layer(model, pairs_made_by(teacher, 4)))
    audio = torch.from_numpy(noise(1, 16_000, seed=9))[None]
    error, added = model(audio) - teacher(audio), teacher(audio) - audio
    assert error.square().mean() < 1e-4 * added.square().mean()


@torch.no_grad()
def test_no_other_last_layer_has_less_error_on_what_it_was_solved_for():
    teacher, model = network(0), network(1)
    solved = readout.solved_layer(model, pairs_made_by(teacher, 1))
    narrow, wide = (torch.from_numpy(part) for part in next(pairs_made_by(teacher, 1)))
    edge = model.config.context // 4 * 2

    def error(weight):
        model.last.weight.copy_(weight)
        return float((model(narrow) - wide)[:, edge:-edge].square().mean())

    least = error(solved)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        step = 0.03 * solved.std() * torch.randn(solved.shape, generator=generator)
        assert error(solved + step) > least


def test_the_line_between_two_kinds_is_found():
    # One kind around (0.4, 12), the other around (0.1, 4), equally wide: the line is half-way.
    generator = np.random.default_rng(0)
    rows = []
    for kind, quiet, spread_db, count in (("speech", 0.4, 12.0, 4000), ("music", 0.1, 4.0, 1000)):
        for _ in range(count):
            x, y = generator.standard_normal(2)
            rows.append({"kind": kind, "quiet": quiet + 0.1 * x, "spread_db": spread_db + 3 * y})
    constant, of_quiet, of_spread = speech_or_music.fit(rows)
    # Of two normal distributions: the difference of the means over the variance.
    assert of_quiet == pytest.approx(-0.3 / 0.01, rel=0.15)
    assert of_spread == pytest.approx(-8 / 9, rel=0.15)
    assert constant + of_quiet * 0.25 + of_spread * 8 == pytest.approx(0, abs=0.5)


def test_the_diagrams_have_every_system_and_setting():
    curve = [
        {"detail": detail, "snr_db": -2 * detail, "lsd": 3 - 2 * detail, "visqol": 2 + detail}
        for detail in (0.0, 0.5, 1.0)
    ]
    points = [{"system": "theirs", "snr_db": -3.0, "lsd": 0.9, "visqol": 3.5}]
    drawing = ElementTree.fromstring(detail_curve.picture(curve, points))
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawing.findall(f"{space}polyline")) == 2
    assert len(drawing.findall(f"{space}circle")) == 2 * 4
    words = [text.text for text in drawing.findall(f"{space}text")]
    assert words.count("1  theirs") == 1
    numbers = [t.text for t in drawing.findall(f"{space}text") if t.get("font-size") == "9"]
    assert numbers == ["1", "1"]
    assert [words.count(f"{detail:g}") >= 2 for detail in (0.0, 0.5, 1.0)] == [True] * 3
    first = drawing.find(f"{space}polyline")
    x, y = zip(*(map(float, pair.split(",")) for pair in first.get("points").split()), strict=True)
    assert x[0] > x[1] > x[2]  # more detail costs SNR
    assert y[0] < y[1] < y[2]  # and lowers the distance: further down


def test_levels_of_bands_are_those_of_a_spectrum_made_by_hand():
    synthetic_voices = benchmark("synthetic_voices")
    white = noise(2.0, 48_000)
    assert synthetic_voices.band_levels_db(white) == pytest.approx([0, 0, 0], abs=0.5)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(len(white), 1 / 48_000)
    spectrum[(hz >= 8000) & (hz < 12_000)] *= 0.1
    shaped = np.fft.irfft(spectrum).astype(np.float32)
    assert synthetic_voices.band_levels_db(shaped) == pytest.approx([0, -20, 0], abs=0.5)


def test_an_impulse_waits_as_long_as_the_stream_says_and_nothing_drifts():
    pytest.importorskip("fastapi", reason="calls need: pip install 'fullband[web]'")
    live_calls = benchmark("live_calls")
    assert 13.0 < live_calls.impulse_ms(16_000, 48_000, every=13) <= 14.0
    found = live_calls.soak(35 / 60)
    assert found["samples_missing"] == 0
    assert found["differs"] < 1e-6


def test_files_that_are_sent_at_once_all_come_back():
    pytest.importorskip("prometheus_client", reason="needs: pip install 'fullband[web]'")
    found = benchmark("server_load").load(uploads=3, seconds=0.5)
    assert (found["lost"], found["different"]) == (0, 0)
    assert 0 < found["p50_s"] <= found["p95_s"] <= found["seconds"]
    assert found["peak_mib"] > found["before_mib"] > 0


def test_what_a_sender_does_is_scored_at_the_rate_it_really_took(tmp_path):
    pytest.importorskip("visqol", reason="needs fullband[metrics]")
    import soundfile

    from fullband.evaluate.cutoffs import Recording
    from fullband.evaluate.judge import Judged
    from signals import voice

    compression = benchmark("compression")
    path = tmp_path / "voice.wav"
    soundfile.write(path, voice(2.0, 48_000), 48_000, subtype="FLOAT")
    recording = Recording("voice.wav", path, "", "", float("inf"))
    point = compression.Point("speech", "opus", 12, 16_000)
    decoded, widened = compression.score(point, recording, Judged.open("speech"))
    assert decoded["kbps"] == widened["kbps"] == pytest.approx(12, rel=0.15)
    assert (decoded["widened"], widened["widened"]) == (0, 1)
    assert widened["lsd"] < decoded["lsd"] - 1  # there is a band above 8 kHz now


def test_what_a_training_takes_is_counted_in_days():
    # 400 times 24 minutes are 576,000 s; a step is 4.096 s of audio: as fast as it is heard.
    assert paper_training.days(4.096) == pytest.approx(576_000 / 86_400)


def test_a_step_of_a_small_network_is_timed():
    parameters, seconds = paper_training.step_of(1 / 64, 1)
    model = build_model({"name": "audiounet", "ratio": 4, "width": 1 / 64})
    assert parameters == sum(part.numel() for part in model.parameters())
    assert 0 < seconds < 60
