"""Running models: blocks against the whole, files against what their cards say."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from fullband import engine
from fullband.audio.bandwidth import Segment
from fullband.card import Card, read_card, write_card
from fullband.engine import BlockRunner, OnnxModel, choose_model, open_model
from fullband.errors import ModelError
from fullband.models.registry import BASELINES
from signals import noise, split


def moving_average(reach: int, stride: int):
    """A stand-in for a network: looks `reach` samples to each side, and at where it is modulo
    `stride`; outside the signal it sees zeros."""

    def run(audio, start=0):
        taps = np.arange(-reach, reach + 1)
        padded = np.pad(audio, ((0, 0), (reach, reach)))
        sums = sum(padded[:, reach + tap : reach + tap + audio.shape[-1]] for tap in taps)
        return (sums * (1 + np.arange(audio.shape[-1]) % stride)).astype(np.float32)

    return run


@pytest.mark.parametrize(("reach", "stride"), [(0, 1), (3, 1), (100, 32), (31, 8)])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 5, 21, 5000])
def test_blocks_equal_the_whole(monkeypatch, reach, stride, channels, length):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    audio = np.stack([noise(1, 8000, seed=seed)[:length] for seed in range(channels)])
    run = moving_average(reach, stride)
    runner = BlockRunner(run, stride, reach, channels)
    blocks = split(audio, np.random.default_rng(length), longest=700)
    streamed = np.concatenate([*map(runner.push, blocks), runner.flush()], axis=-1)
    np.testing.assert_allclose(streamed, run(audio), atol=1e-5)


@pytest.mark.parametrize(("together", "expected"), [(1, [1, 1, 1]), (2, [2, 1])])
def test_so_many_channels_are_run_at_a_time(together, expected):
    audio, seen = np.stack([noise(0.1, 8000, seed=seed) for seed in range(3)]), []

    def run(window, position):
        seen.append(len(window))
        return window

    runner = BlockRunner(run, 1, 3, 3, together=together)
    streamed = np.concatenate([runner.push(audio), runner.flush()], axis=-1)
    np.testing.assert_array_equal(streamed, audio)
    assert seen == expected


def test_too_little_context_would_be_noticed(monkeypatch):
    # The test above can fail: the same network run with less than it looks at differs.
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    audio = noise(1, 8000)[None]
    runner = BlockRunner(moving_average(100, 1), 1, 50, 1)
    streamed = np.concatenate([runner.push(audio), runner.flush()], axis=-1)
    assert np.max(np.abs(streamed - moving_average(100, 1)(audio))) > 0.1


def test_what_is_done_first_waits_for_what_comes_first(monkeypatch):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    monkeypatch.setattr("fullband.engine._ABREAST", 2)
    average = moving_average(3, 1)

    def run(audio, start):
        time.sleep(0.02 if start < 1000 else 0.0)
        return average(audio)

    audio = noise(1, 8000)[None]
    runner = BlockRunner(run, 1, 3, 1)
    streamed = np.concatenate([runner.push(audio), runner.flush()], axis=-1)
    np.testing.assert_allclose(streamed, average(audio), atol=1e-5)


def test_as_many_windows_are_run_at_a_time_as_asked_for(monkeypatch):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    together = threading.Barrier(3)
    average = moving_average(3, 1)

    def run(audio, start):
        if start < 3 * 500:  # the first three
            together.wait(10)  # breaks where fewer are run
        return average(audio)

    engine.use_cores(4, abreast=3)
    try:
        audio = noise(1, 8000)[None]
        runner = BlockRunner(run, 1, 3, 1)
        streamed = np.concatenate([runner.push(audio), runner.flush()], axis=-1)
    finally:
        engine.use_cores(engine.available_cores())
    np.testing.assert_allclose(streamed, average(audio), atol=1e-5)


def test_what_goes_wrong_beside_the_caller_reaches_it():
    def run(audio, start):
        raise ValueError("this one")

    runner = BlockRunner(run, 1, 3, 1)
    runner.push(noise(1, 8000)[None])
    with pytest.raises(ValueError, match="this one"):
        runner.flush()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_process_has_threads_of_its_own():
    def length() -> int:
        runner = BlockRunner(moving_average(3, 1), 1, 3, 1)
        return runner.push(noise(1, 8000)[None]).shape[-1] + runner.flush().shape[-1]

    assert length() == 8000  # the threads are running now
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if length() == 8000 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_an_empty_stream_gives_nothing():
    assert BlockRunner(moving_average(3, 1), 1, 3, 2).flush().shape == (2, 0)


def test_memory_does_not_grow_with_the_stream(monkeypatch):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    longest = 0

    def run(audio, start):
        nonlocal longest
        longest = max(longest, audio.shape[-1])
        return audio

    runner = BlockRunner(run, 32, 100, 1)
    for _ in range(50):
        runner.push(np.zeros((1, 1000), np.float32))
    runner.flush()
    # A block of sixteen contexts, and the context, rounded up to the stride, on each side.
    assert longest == 16 * 100 + 2 * 128


@pytest.mark.parametrize("ratio", [4, 3])
def test_an_exported_network_in_blocks_equals_the_whole(monkeypatch, exported, ratio):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 4096)
    model = open_model(str(exported[ratio]))
    audio = np.stack([noise(1, 16_000, seed=1), noise(1, 16_000, seed=2)])
    stage = model.stage(2)
    blocks = split(audio, np.random.default_rng(0), longest=3000)
    streamed = np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)
    whole = model.run(audio)
    assert np.max(np.abs(whole - audio)) > 0.01  # it does something
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


def test_a_function_is_told_where_its_window_begins(monkeypatch):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 512)
    audio = noise(1, 8000)[None]

    def run(window, start):
        assert start % 32 == 0
        np.testing.assert_array_equal(window, audio[:, start : start + window.shape[-1]])
        return window

    runner = BlockRunner(run, 32, 100, 1)
    blocks = split(audio, np.random.default_rng(3), longest=700)
    streamed = np.concatenate([*map(runner.push, blocks), runner.flush()], axis=-1)
    np.testing.assert_array_equal(streamed, audio)


def test_a_block_is_long_where_the_context_is():
    lengths = []

    def run(window, start):
        lengths.append(window.shape[-1])
        return window

    runner = BlockRunner(run, 480, 96_000, 1)
    runner.push(np.zeros((1, 2_000_000), np.float32))
    runner.flush()
    assert max(lengths) == 10 * 96_000  # of which two are context


@pytest.mark.parametrize("longest", [2000, 70_000])
def test_a_graph_that_is_told_the_bandwidth_in_blocks_equals_the_whole(
    monkeypatch, any_rate, longest
):
    monkeypatch.setattr("fullband.engine._BLOCK_SAMPLES", 4800)
    model = open_model(str(any_rate))
    audio = np.stack([noise(2, 48_000, seed=1), noise(2, 48_000, seed=2)])[:, :95_003]
    segments = [Segment(0, 4000.0), Segment(30_000, 20_000.0), Segment(60_001, 8000.0)]
    stage = model.stage(2, segments)
    blocks = split(audio, np.random.default_rng(0), longest)
    streamed = np.concatenate([*map(stage.push, blocks), stage.flush()], axis=-1)
    frames = 480 * np.arange(1 + audio.shape[-1] // 480)
    bandwidth_hz = np.where(frames < 30_000, 4000, np.where(frames < 60_001, 20_000, 8000))
    whole = model.run(audio, bandwidth_hz)
    # Far from where something is missing nothing is computed, and nothing is used.
    for used in (slice(0, 28_000), slice(62_000, None)):
        np.testing.assert_allclose(streamed[:, used], whole[:, used], atol=1e-5)
    assert np.max(np.abs(whole - audio)) > 0.01


def test_one_bandwidth_is_the_same_as_one_for_every_frame(any_rate):
    model = open_model(str(any_rate))
    audio = noise(1, 48_000)[None]
    by_frame = model.run(audio, np.full(101, 5000))
    np.testing.assert_allclose(model.run(audio, 5000), by_frame, atol=1e-6)
    stage = model.stage(1, [Segment(0, 5000.0)])
    streamed = np.concatenate([stage.push(audio), stage.flush()], axis=-1)
    np.testing.assert_allclose(streamed, by_frame, atol=1e-5)


def test_a_model_that_has_to_be_told_the_bandwidth_says_so(any_rate):
    with pytest.raises(ModelError, match="any: has to be told bandwidth_hz"):
        open_model(str(any_rate)).run(noise(0.1, 48_000)[None])


def test_a_graph_that_does_not_take_what_its_card_says_is_refused(any_rate, copied):
    wrong = dataclasses.replace(
        read_card(copied.with_suffix(".json")), entry_rate=None, bandwidth_range_hz=(2000.0, 8000.0)
    )
    with pytest.raises(ModelError, match="is not a graph from audio and bandwidth_hz to wide"):
        OnnxModel(wrong, copied)
    wrong = dataclasses.replace(
        read_card(any_rate.with_suffix(".json")), entry_rate=8000, bandwidth_range_hz=None
    )
    with pytest.raises(ModelError, match="is not a graph from audio to wide"):
        OnnxModel(wrong, any_rate)


def test_a_model_is_opened_by_either_of_its_files(exported):
    by_graph = open_model(str(exported[4]))
    by_card = open_model(str(exported[4].with_suffix(".json")))
    assert by_graph.name == by_card.name == "tiny-4x"
    assert (by_graph.sample_rate, by_graph.entry_rate) == (16_000, 4000)
    assert by_graph.upsampling == "spline"


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_pass_everything_on(name):
    model = open_model(name)
    audio = noise(0.1, 8000)[None]
    assert model.run(audio) is audio
    assert model.stage(1) is None
    assert (model.name, model.upsampling, model.sample_rate) == (name, name, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("splin", "unknown model 'splin'; did you mean 'spline'?"),
        ("zzzzzz", "unknown model 'zzzzzz'; one of sinc, spline"),
        ("none.onnx", "none.onnx: a model needs both none.onnx and none.json"),
    ],
)
def test_unknown_models_are_refused(name, message):
    with pytest.raises(ModelError) as caught:
        open_model(name)
    assert str(caught.value).startswith(message)


@pytest.fixture
def copied(exported, tmp_path):
    """An exported model that may be damaged."""
    for suffix in (".onnx", ".json"):
        shutil.copy(exported[4].with_suffix(suffix), tmp_path / f"copy{suffix}")
    return tmp_path / "copy.onnx"


def test_weights_that_are_not_the_cards_are_refused(copied):
    copied.write_bytes(copied.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"copy\.onnx: .* not those of the card"):
        open_model(str(copied))


def test_a_damaged_card_is_refused(copied):
    card = copied.with_suffix(".json")
    card.write_text(card.read_text()[:-20])
    with pytest.raises(ModelError, match=r"copy\.json: not a model card"):
        open_model(str(copied))


def test_a_card_with_an_unknown_key_is_refused(copied):
    card = copied.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), "sample_rat": 3}))
    with pytest.raises(ModelError, match="unknown key 'sample_rat'; did you mean 'sample_rate'"):
        open_model(str(copied))


def test_what_is_not_a_graph_is_refused(copied):
    copied.write_text("not a graph")
    with pytest.raises(ModelError, match=r"copy\.onnx: cannot be loaded"):
        OnnxModel(read_card(copied.with_suffix(".json")), copied)


def card_for(name: str, entry_rate: int | None) -> Card:
    limits_hz = None if entry_rate else (2000.0, 20_000.0)
    return Card(
        name,
        "",
        {},
        48_000,
        entry_rate,
        "sinc",
        1,
        0,
        0,
        (),
        "",
        "",
        bandwidth_range_hz=limits_hz,
    )


def test_auto_takes_the_model_with_the_nearest_bandwidth_by_ratio(tmp_path, monkeypatch):
    for card in (card_for("a", 4000), card_for("b", 16_000)):
        write_card(card, tmp_path / f"{card.name}.json")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    assert choose_model(2000) == "a"
    assert choose_model(3900) == "a"  # the middle of 2 and 8 kHz by ratio is 4 kHz
    assert choose_model(4100) == "b"
    assert choose_model(20_000) == "b"


def test_auto_takes_speech_for_whatever_bandwidth(tmp_path, monkeypatch):
    for card in (card_for("a", 4000), card_for("b", None), card_for("speech", None)):
        write_card(card, tmp_path / f"{card.name}.json")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    assert {choose_model(hz) for hz in (2000, 4000, 24_000)} == {"speech"}


def test_auto_takes_the_model_for_the_kind_and_else_speech(tmp_path, monkeypatch):
    for card in (card_for("a", 4000), card_for("speech", None)):
        write_card(card, tmp_path / f"{card.name}.json")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    assert choose_model(4000, "music") == "speech"
    write_card(card_for("music", None), tmp_path / "music.json")
    assert choose_model(4000, "music") == "music"
    assert choose_model(4000, "speech") == choose_model(4000) == "speech"


def test_auto_takes_no_other_model_of_any_rate(tmp_path, monkeypatch):
    write_card(card_for("b", None), tmp_path / "b.json")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    with pytest.raises(ModelError, match="--model sinc or spline"):
        choose_model(4000)
    write_card(card_for("a", 4000), tmp_path / "a.json")
    assert choose_model(20_000) == "a"


def test_a_tie_is_decided_by_name(tmp_path, monkeypatch):
    for card in (card_for("b", 8000), card_for("a", 8000)):
        write_card(card, tmp_path / f"{card.name}.json")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    assert choose_model(4000) == "a"


def test_auto_without_any_released_model_names_the_baselines(tmp_path, monkeypatch):
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    with pytest.raises(ModelError, match="--model sinc or spline"):
        choose_model(4000)


def test_a_card_is_read_as_it_was_written(tmp_path):
    card = dataclasses.replace(card_for("a", 4000), data=("VCTK, CC BY 4.0",), scores={"lsd": 1.5})
    write_card(card, tmp_path / "a.json")
    assert read_card(tmp_path / "a.json") == card
