"""Patches for models of any bandwidth: narrow really is narrow, and what stands beside it true."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fullband.corpora import narrowing
from fullband.corpora.dataset import Decoded
from fullband.corpora.narrowing import MOST_HOLES, NarrowingDataset
from fullband.corpora.notes import Notes
from fullband.degrade.response import NarrowDraw, family_response
from fullband.errors import AudioFileError
from fullband.train.config import DataConfig
from signals import band, error_db, noise, rms_db, tone

RATE, PATCH = 16_000, 4096
PLAIN = {"gain_db": 0.0, "equaliser_db": 0.0, "room": 0.0, "noise": 0.0}
"""Nothing is varied."""


def corpus(recordings, speakers=None, true_hz=None, holes=None):
    """What decoding would give for these recordings, and notes on them."""
    count = len(recordings)
    decoded = Decoded(
        samples=np.concatenate(recordings),
        starts=tuple(itertools.accumulate(map(len, recordings), initial=0)),
        levels_db=tuple(rms_db(recording) for recording in recordings),
        names=tuple(f"{index}.wav" for index in range(count)),
        sample_rate=RATE,
    )
    notes = Notes(
        tuple(speakers or ["a"] * count),
        np.array(true_hz or [0.98 * RATE / 2] * count),
        np.array(holes or [0.0] * count),
    )
    return decoded, notes


def examples_of(parts, seed=0, **settings):
    settings = {"patch_samples": PATCH, "batch_size": 4, **settings}
    return NarrowingDataset(*parts, DataConfig("", **settings), seed)


@pytest.fixture
def walls(monkeypatch):
    """Every draw is a wall without aliasing; where they stood is noted."""
    cutoffs_hz = []

    def draw(generator, nyquist_hz):
        cutoffs_hz.append(nyquist_hz)
        wall = family_response("spectral-cut", 1, 1.0, 1.0)
        return NarrowDraw("spectral-cut", nyquist_hz, wall, False)

    monkeypatch.setattr(narrowing, "draw_response", draw)
    return cutoffs_hz


def fields(example):
    return [getattr(example, name) for name in example.__dataclass_fields__]


def peak_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 8 * len(audio)))
    return np.argmax(spectrum) * RATE / (8 * len(audio))


def test_the_same_seed_and_step_give_the_same_batch():
    parts = corpus([noise(2, RATE)])
    one, other = (examples_of(parts, seed=5, speed=0.1, room=0.9) for _ in range(2))
    for step in range(4):  # what came before does not matter
        one.batch(step)
    for step in (3, 0):
        for first, second in zip(fields(one.batch(step)), fields(other.batch(step)), strict=True):
            np.testing.assert_array_equal(first, second)


def test_another_step_or_seed_gives_another_batch():
    parts = corpus([noise(2, RATE)])
    batches = [examples_of(parts, seed=seed).batch(step) for seed in (0, 1) for step in (0, 1)]
    for one, other in itertools.combinations(batches, 2):
        assert not np.array_equal(one.wide, other.wide)


@pytest.mark.parametrize("length", [PATCH, 2001])
@pytest.mark.parametrize("speed", [0.0, 0.3])
def test_shapes_and_types(length, speed):
    parts = corpus([noise(2, RATE)])
    example = examples_of(parts, patch_samples=length, batch_size=3, speed=speed).batch(0)
    assert example.narrow.shape == example.wide.shape == (3, length)
    assert example.bandwidth_hz.shape == example.true_hz.shape == example.fine.shape == (3,)
    assert example.floor.shape == (3, 129)
    for field in fields(example):
        assert field.dtype == np.float32
        assert np.all(np.isfinite(field))


def test_narrow_is_wide_below_the_cutoff_and_empty_above(walls):
    example = examples_of(corpus([noise(4, RATE)]), batch_size=32).batch(0)
    assert len(set(walls)) > 3
    sides = zip(example.narrow, example.wide, example.bandwidth_hz, walls, strict=True)
    for narrow, wide, bandwidth_hz, cutoff_hz in sides:
        assert 0.92 * cutoff_hz < bandwidth_hz < 1.02 * cutoff_hz
        # A telephone's high-pass is gone from 800 Hz up. Rounding to 16 bits, ten times as coarse
        # at most, adds noise of -81 dB.
        kept = [band(audio, RATE, 800, 0.85 * cutoff_hz) for audio in (narrow, wide)]
        assert rms_db(kept[0] - kept[1]) < max(rms_db(kept[1]) - 50, -79)
        assert rms_db(band(narrow, RATE, 1.03 * cutoff_hz, 8001)) < -79


def test_cutoffs_lie_within_the_settings_and_below_what_is_true(walls):
    parts = corpus([noise(4, RATE), noise(4, RATE, 1)], ["a", "b"], [7000.0, 4500.0])
    settings = {"lowest_hz": 2100.0, "highest_hz": 5000.0, "batch_size": 64}
    example = examples_of(parts, **settings).batch(0)
    assert min(walls) >= 2100
    assert max(walls) <= 5000
    assert set(np.round(example.true_hz)) == {7000, 4500}
    for cutoff_hz, true_hz in zip(walls, example.true_hz, strict=True):
        assert cutoff_hz <= true_hz - 1000
    # More than half are where recordings usually end, the others anywhere.
    usual = [cutoff_hz in (3400, 4000) for cutoff_hz in walls]
    assert 0.4 < np.mean(usual) < 0.8


def test_a_recording_that_is_true_no_further_is_narrowed_as_low_as_can_be(walls):
    examples_of(corpus([noise(2, RATE)], true_hz=[2000.0])).batch(0)
    assert all(1800 <= cutoff_hz <= 1801 for cutoff_hz in walls)


def test_faster_is_higher_and_truer(walls):
    parts = corpus([tone(1000, 2, RATE)], true_hz=[5000.0])
    example = examples_of(parts, speed=0.2, batch_size=16, **PLAIN).batch(0)
    speeds = np.array([peak_hz(wide) / 1000 for wide in example.wide])
    assert speeds.min() < 0.9
    assert speeds.max() > 1.1
    np.testing.assert_allclose(example.true_hz, 5000 * speeds, rtol=2e-3)


def test_slower_is_true_no_further_than_there_is_anything():
    example = examples_of(corpus([noise(2, RATE)]), speed=0.3, batch_size=16, **PLAIN).batch(0)
    slow = example.true_hz < 7800
    assert 0 < slow.sum() < 16
    for wide, true_hz in zip(example.wide[slow], example.true_hz[slow], strict=True):
        top_hz = true_hz / 0.98
        assert rms_db(band(wide, RATE, 1.01 * top_hz, 8001)) < -90
        assert rms_db(band(wide, RATE, 0.9 * top_hz, 0.99 * top_hz)) > -45
    assert example.true_hz.max() <= np.float32(7840)


def test_a_patch_is_of_one_speaker():
    voices = {"a": 500, "b": 900, "c": 1500}
    recordings = [tone(hz, 0.5, RATE) for hz in voices.values() for _ in range(2)]
    parts = corpus(recordings, [name for name in voices for _ in range(2)])
    example = examples_of(parts, batch_size=48, **PLAIN).batch(0)
    heard = []
    for wide in example.wide:
        levels = [rms_db(band(wide, RATE, hz - 150, hz + 150)) for hz in voices.values()]
        loudest = int(np.argmax(levels))
        heard.append(loudest)
        # Where a patch begins and ends in the middle of a tone it has a click.
        assert all(level < levels[loudest] - 15 for level in np.delete(levels, loudest))
    assert set(heard) == {0, 1, 2}


def test_a_speaker_with_less_than_a_patch_is_left_out():
    parts = corpus([noise(0.1, RATE), tone(1000, 1, RATE)], ["a", "b"])
    for wide in examples_of(parts, **PLAIN).batch(0).wide:
        assert peak_hz(wide) == pytest.approx(1000, abs=5)
    with pytest.raises(AudioFileError, match="no speaker has as much audio as one training patch"):
        examples_of(corpus([noise(0.2, RATE), noise(0.2, RATE)], ["a", "b"]))


def test_a_patch_is_true_as_far_as_its_least_recording_and_holed_as_its_worst():
    parts = corpus(
        [noise(0.2, RATE, seed) for seed in range(3)],
        true_hz=[7000.0, 5000.0, 6000.0],
        holes=[0.0, 0.0, 0.5],
    )
    example = examples_of(parts, patch_samples=9598).batch(0)  # nearly all three
    np.testing.assert_array_equal(example.true_hz, 5000)
    np.testing.assert_array_equal(example.fine, 0)


def test_recordings_with_holes_are_marked_and_drawn_less():
    recordings = [tone(500, 2, RATE), tone(1500, 2, RATE)]
    parts = corpus(recordings, ["a", "b"], holes=[0.9 * MOST_HOLES, 1.1 * MOST_HOLES])
    example = examples_of(parts, batch_size=200, patch_samples=1024, **PLAIN).batch(0)
    worse = np.array([peak_hz(wide) > 1000 for wide in example.wide])
    np.testing.assert_array_equal(example.fine, 1.0 - worse)
    # As 1 / (1 + 1.1^2) to 1 / (1 + 0.9^2).
    assert worse.mean() == pytest.approx(1.81 / (1.81 + 2.21), abs=0.1)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.75), (1.0, 0.5)])
def test_balance_is_between_seconds_and_speakers(balance, share):
    parts = corpus([tone(500, 3, RATE), tone(1500, 1, RATE)], ["a", "b"])
    settings = {"batch_size": 200, "patch_samples": 1024, "balance": balance}
    example = examples_of(parts, **settings, **PLAIN).batch(0)
    assert np.mean([peak_hz(wide) < 1000 for wide in example.wide]) == pytest.approx(share, abs=0.1)


def test_recordings_come_at_the_reference_level_give_or_take():
    parts = corpus([noise(2, RATE, rms=0.3), noise(2, RATE, rms=0.001)], ["a", "b"])
    levels = [rms_db(wide) for wide in examples_of(parts, **PLAIN).batch(0).wide]
    np.testing.assert_allclose(levels, -26, atol=0.3)
    varied = {**PLAIN, "gain_db": 6.0}
    levels = [rms_db(wide) for wide in examples_of(parts, batch_size=32, **varied).batch(0).wide]
    assert -32.3 < min(levels) < -29
    assert -23 < max(levels) < -19.7


def test_noise_reaches_over_the_whole_band_at_the_level_it_is_given():
    parts = corpus([1e-4 * tone(1000, 2, RATE)])
    settings = {**PLAIN, "noise": 1.0, "noise_db": (-40.0, -40.0)}
    example = examples_of(parts, batch_size=32, **settings).batch(0)
    levels = [rms_db(band(wide, RATE, 3900, 4100)) for wide in example.wide]
    # A fortieth of the band, give or take its colour's bends of 2 dB.
    assert np.median(levels) == pytest.approx(-40 - 10 * np.log10(40), abs=1.5)
    assert all(rms_db(band(wide, RATE, 7500, 7900)) > -80 for wide in example.wide)


def test_the_noise_that_was_added_is_told_of():
    # What is told, at frequencies from 0 Hz to Nyquist, against what is there in silence.
    parts = corpus([np.zeros(4 * RATE, np.float32)])
    settings = {**PLAIN, "patch_samples": RATE, "noise_db": (-60.0, -30.0)}
    example = examples_of(parts, **{**settings, "noise": 1.0}).batch(0)
    for wide, floor in zip(example.wide, example.floor, strict=True):
        for low, high in ((32, 40), (88, 96), (120, 128)):  # 62.5 Hz apart
            inside = band(wide, RATE, low * 62.5, high * 62.5)
            told_db = 10 * np.log10(np.mean(10.0 ** floor[low : high + 1]) * (high - low) / 128)
            assert rms_db(inside) == pytest.approx(told_db, abs=1.0)
    assert np.all(examples_of(parts, **settings).batch(0).floor <= -20)


def test_a_room_begins_with_the_direct_sound():
    room = narrowing._room(np.random.default_rng(0), 8192, RATE)
    response = np.fft.irfft(room, 8192)
    assert response[0] == pytest.approx(1)
    np.testing.assert_allclose(response[1:32], 0, atol=1e-8)  # 2 ms
    energy = np.sum(response[1:] ** 2)
    assert 10**-2.5 <= energy <= 10**-0.3
    assert np.sum(response[4096:] ** 2) < 0.1 * energy


def test_an_equaliser_of_nothing_changes_nothing(walls):
    recording = noise(PATCH / RATE + 0.01, RATE)
    (wide,) = examples_of(corpus([recording]), batch_size=1, **PLAIN).batch(0).wide
    gain = 10 ** ((-26 - rms_db(recording)) / 20)
    shifts = [
        error_db(sign * gain * recording[start : start + PATCH], wide)
        for start in range(len(recording) - PATCH + 1)
        for sign in (1, -1)
    ]
    assert min(shifts) < -100


def test_coded_patches_lack_what_a_codec_left_out():
    parts = corpus([0.3 * noise(3, RATE)])
    examples = examples_of(parts, coded=1.0, codings=[("mp3", 16.0, 20.0)], **PLAIN)
    example = examples.batch(0)
    assert example.from_hz.tolist() == [1000.0] * 4
    for narrow, wide, bandwidth_hz in zip(
        example.narrow, example.wide, example.bandwidth_hz, strict=True
    ):
        assert error_db(narrow, wide) < -1
        above = band(narrow, RATE, bandwidth_hz + 300, RATE / 2)
        assert rms_db(above) < rms_db(band(wide, RATE, bandwidth_hz + 300, RATE / 2)) - 15


def test_where_some_are_coded_others_teach_to_leave_alone_what_is_whole():
    parts = corpus([noise(3, RATE)])
    settings = {"coded": 1e-9, "codings": [("mp3", 16.0, 20.0)], "batch_size": 64, **PLAIN}
    example = examples_of(parts, **settings).batch(0)
    alone = example.from_hz < example.bandwidth_hz
    assert 4 < alone.sum() < 30  # a quarter of them
    np.testing.assert_array_equal(example.from_hz[alone], 1000.0)
    np.testing.assert_array_equal(example.from_hz[~alone], example.bandwidth_hz[~alone])
    plain = examples_of(parts, batch_size=64, **PLAIN).batch(0)
    np.testing.assert_array_equal(plain.from_hz, plain.bandwidth_hz)
