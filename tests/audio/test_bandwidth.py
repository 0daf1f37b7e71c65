"""Where content ends: known because it was cut there."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.bandwidth import BandwidthMeter, detect_bandwidth
from fullband.audio.resample import resample
from signals import click, low_passed, noise, pink_noise, rounded, silence, split, tone, voice

RATE = 48_000
CUTS_HZ = [1000, 2000, 3400, 4000, 5500, 8000, 11_000, 12_000, 16_000]
SOUNDS = {"white": noise, "pink": pink_noise, "voice": voice}


@pytest.fixture(scope="module")
def sounds():
    return {name: make(4, RATE) for name, make in SOUNDS.items()}


@pytest.mark.parametrize("bits", [None, 16])
@pytest.mark.parametrize("cut_hz", CUTS_HZ)
@pytest.mark.parametrize("sound", SOUNDS)
def test_a_cut_is_found_within_five_percent(sounds, sound, cut_hz, bits):
    audio = low_passed(sounds[sound], RATE, cut_hz)
    audio = audio if bits is None else rounded(audio, bits)
    assert detect_bandwidth(audio, RATE) == pytest.approx(cut_hz, rel=0.05)


@pytest.mark.parametrize("bits", [None, 16])
@pytest.mark.parametrize("sound", SOUNDS)
def test_uncut_sound_ends_at_nyquist(sounds, sound, bits):
    audio = sounds[sound] if bits is None else rounded(sounds[sound], bits)
    assert detect_bandwidth(audio, RATE) == pytest.approx(RATE / 2, rel=0.02)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050])
@pytest.mark.parametrize("sound", SOUNDS)
def test_an_upsampled_recording_ends_at_its_old_nyquist(sounds, sound, rate):
    audio = resample(resample(sounds[sound], RATE, rate), rate, RATE)
    # soxr's transition band is the last 5 % below Nyquist.
    assert 0.92 * rate / 2 <= detect_bandwidth(audio, RATE) <= 1.05 * rate / 2


@pytest.mark.parametrize("rate", [2000, 4000, 8000, 11_025, 44_100])
def test_a_file_full_to_its_nyquist_is_full_at_any_rate(rate):
    assert detect_bandwidth(noise(2, rate), rate) == pytest.approx(rate / 2, rel=0.02)


def test_the_level_makes_no_difference(sounds):
    audio = low_passed(sounds["voice"], RATE, 4000)
    found = detect_bandwidth(audio, RATE)
    assert detect_bandwidth(0.01 * audio, RATE) == found
    assert detect_bandwidth(20 * audio, RATE) == found


def test_blocks_equal_the_whole(sounds):
    audio = low_passed(np.stack([sounds["voice"], sounds["white"]])[:, :RATE], RATE, 5500)
    meter = BandwidthMeter(RATE)
    for block in split(audio, np.random.default_rng(0), longest=9000):
        meter.push(block)
    whole = BandwidthMeter(RATE)
    whole.push(audio)
    np.testing.assert_allclose(meter.spectrum_db(), whole.spectrum_db(), atol=1e-6)
    assert meter.bandwidth_hz() == whole.bandwidth_hz() == detect_bandwidth(audio, RATE)


def test_a_full_scale_sine_is_about_zero_decibels():
    meter = BandwidthMeter(16_000)
    meter.push(tone(1000, 2, 16_000, amplitude=1.0)[None])
    assert meter.spectrum_db().max() == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("rate", [2000, 48_000, 768_000])
@pytest.mark.parametrize("length", [1, 2, 5, 21, 3000])
def test_short_silence_has_no_end(rate, length):
    assert detect_bandwidth(np.zeros(length, np.float32), rate) == rate / 2


def test_what_has_no_end_is_said_to_have_none():
    assert detect_bandwidth(silence(1, RATE), RATE) == RATE / 2
    assert detect_bandwidth(click(1, RATE, at_s=0.5), RATE) == RATE / 2  # a click is white
    assert detect_bandwidth(np.ones(1, np.float32), RATE) == RATE / 2


def test_nothing_pushed_has_no_end():
    assert BandwidthMeter(RATE).bandwidth_hz() == RATE / 2
