"""The active level: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.level import (
    REFERENCE_LEVEL_DB,
    LevelMeter,
    active_level_db,
    busiest_start,
    model_gain,
)
from signals import noise, silence, split, tone


def test_a_square_wave_at_full_scale_is_zero():
    square = np.sign(np.sin(2 * np.pi * 100 * (np.arange(8000) + 0.5) / 8000))
    assert active_level_db(square.astype(np.float32), 8000) == pytest.approx(0, abs=1e-6)


def test_a_sine_is_three_decibels_below_its_peak():
    # The first and last of the blocks are faded, and are within the gate.
    level_db = active_level_db(tone(440, 10, 8000, amplitude=1.0), 8000)
    assert level_db == pytest.approx(20 * np.log10(np.sqrt(0.5)), abs=0.02)


def test_silence_around_a_sound_does_not_count():
    sound = noise(1, 8000)
    padded = np.concatenate([silence(1, 8000), sound, silence(1, 8000)])
    assert active_level_db(padded, 8000) == pytest.approx(active_level_db(sound, 8000), abs=1e-6)


def test_ten_times_louder_is_twenty_decibels_more():
    sound = noise(1, 16_000, rms=0.01)
    more_db = active_level_db(10 * sound, 16_000) - active_level_db(sound, 16_000)
    assert more_db == pytest.approx(20, abs=1e-4)


def test_a_silent_channel_halves_the_power():
    sound = noise(1, 16_000)
    both = np.stack([sound, 0 * sound])
    less_db = active_level_db(both, 16_000) - active_level_db(sound, 16_000)
    assert less_db == pytest.approx(10 * np.log10(0.5), abs=1e-6)


@pytest.mark.parametrize("length", [1, 100, 8000])
def test_silence_of_any_length_is_at_the_floor(length):
    assert active_level_db(np.zeros(length, np.float32), 8000) == -100


def test_nothing_pushed_is_at_the_floor():
    assert LevelMeter(8000).level_db() == -100


def test_one_sample_has_its_own_level():
    assert active_level_db(np.array([0.1], np.float32), 8000) == pytest.approx(-20, abs=1e-4)


def test_blocks_equal_the_whole():
    audio = np.stack([noise(1.23, 11_025, seed=1), noise(1.23, 11_025, seed=2, rms=0.3)])
    meter = LevelMeter(11_025)
    for block in split(audio, np.random.default_rng(0), longest=3000):
        meter.push(block)
    assert meter.level_db() == pytest.approx(active_level_db(audio, 11_025), abs=1e-9)


def test_the_gain_brings_a_recording_to_the_reference_level():
    quiet = noise(1, 16_000, rms=0.003)
    gain = np.float32(model_gain(active_level_db(quiet, 16_000)))
    assert active_level_db(gain * quiet, 16_000) == pytest.approx(REFERENCE_LEVEL_DB, abs=1e-4)


def test_near_silence_is_not_blown_up():
    assert model_gain(-100) == pytest.approx(1000)  # 60 dB


def test_the_busiest_stretch_has_most_of_the_sound():
    audio = silence(10, 8000)
    audio[6 * 8000 : 8 * 8000] = noise(2, 8000)
    start = busiest_start(audio, 8000, 3 * 8000)
    assert 5 * 8000 <= start <= 6 * 8000
    assert busiest_start(np.stack([audio, audio]), 8000, 3 * 8000) == start
    assert busiest_start(audio, 8000, len(audio)) == 0
    assert busiest_start(audio[:10], 8000, 10) == 0
