"""Where content ends: known because it was cut there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fullband.audio.bandwidth import BandwidthMeter, Segment, bandwidths_at, detect_bandwidth
from fullband.audio.resample import resample
from fullband.degrade import degrade
from fullband.degrade.bandlimit import sinc_hann_kernel
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


def six_db_down_hz(method: str, rate: int) -> float:
    """Where a degradation has fallen by 6 dB, seen on an impulse."""
    impulse = click(1, RATE, at_s=0.5, amplitude=1.0)
    response = np.abs(np.fft.rfft(degrade(impulse, RATE, rate, method)))
    hz = np.fft.rfftfreq(rate, 1 / rate)
    return float(hz[np.flatnonzero(response > 0.5 * response[200])[-1]])


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000])
@pytest.mark.parametrize("method", ["chebyshev", "soxr"])
@pytest.mark.parametrize("sound", SOUNDS)
def test_a_filter_without_a_brick_wall_ends_where_it_has_fallen_by_6_db(
    sounds, sound, method, rate
):
    narrow = degrade(sounds[sound], RATE, rate, method)
    expected_hz = six_db_down_hz(method, rate)
    assert detect_bandwidth(narrow, rate) == pytest.approx(expected_hz, rel=0.05)
    inside = rounded(resample(narrow, rate, RATE), 16)
    assert detect_bandwidth(inside, RATE) == pytest.approx(expected_hz, rel=0.05)


@pytest.fixture(scope="module")
def long_sounds():
    return {name: make(34, RATE) for name, make in SOUNDS.items()}


def segments_of(audio: np.ndarray, sample_rate: int = RATE) -> list[Segment]:
    meter = BandwidthMeter(sample_rate)
    meter.push(np.atleast_2d(audio))
    return meter.segments()


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("cut_hz", [3400, 8000, None])
def test_a_recording_that_does_not_change_is_one_segment(long_sounds, sound, cut_hz):
    audio = long_sounds[sound][: 20 * RATE]
    audio = audio if cut_hz is None else low_passed(audio, RATE, cut_hz)
    assert segments_of(rounded(audio, 16)) == [
        Segment(0, detect_bandwidth(rounded(audio, 16), RATE))
    ]


def put_in(audio: np.ndarray, start_s: int, end_s: int, cut_hz: float) -> np.ndarray:
    """The same with a stretch that ends at another frequency."""
    stretch = slice(start_s * RATE, end_s * RATE)
    result = audio.copy()
    result[stretch] = low_passed(audio[stretch], RATE, cut_hz)
    return rounded(result, 16)


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("cut_hz", [3400, 8000])
def test_a_stretch_that_ends_lower_is_found_where_it_is(long_sounds, sound, cut_hz):
    found = segments_of(put_in(long_sounds[sound], 12, 24, cut_hz))
    assert [part.bandwidth_hz for part in found] == [
        RATE / 2,
        pytest.approx(cut_hz, rel=0.05),
        RATE / 2,
    ]
    assert found[0].start == 0
    assert [part.start / RATE for part in found[1:]] == pytest.approx([12, 24], abs=0.5)
    assert found[1].start > 11.9 * RATE  # a window that has both sides counts as wide


def test_what_does_not_last_is_no_segment(long_sounds):
    audio = put_in(long_sounds["pink"], 10, 13, 3400)
    assert segments_of(audio) == [Segment(0, RATE / 2)]


def test_a_few_clicks_do_not_make_a_narrow_recording_wide(long_sounds):
    audio = low_passed(long_sounds["voice"], RATE, 3400)
    audio[[5 * RATE, 11 * RATE, 19 * RATE]] += 0.5
    found = segments_of(audio)
    assert len(found) == 1 or all(part.bandwidth_hz < 4000 for part in found)


def test_segments_do_not_depend_on_blocks(long_sounds):
    audio = put_in(long_sounds["pink"], 0, 15, 3400)[None]
    meter = BandwidthMeter(RATE)
    for block in split(audio, np.random.default_rng(1), longest=70_000):
        meter.push(block)
    assert meter.segments() == segments_of(audio)
    assert len(meter.segments()) == 2


def test_a_long_recording_is_kept_in_longer_windows(monkeypatch):
    monkeypatch.setattr("fullband.audio.bandwidth._WINDOWS_BYTES", 64 * 2 * 1025)
    audio = put_in(pink_noise(60, RATE), 20, 50, 3400)
    meter = BandwidthMeter(RATE)
    meter.push(audio[None])
    assert len(meter._windows) < 64
    found = meter.segments()
    assert [part.bandwidth_hz for part in found] == [
        RATE / 2,
        pytest.approx(3400, rel=0.05),
        RATE / 2,
    ]
    assert [part.start / RATE for part in found] == pytest.approx([0, 20, 50], abs=1.5)


def test_bandwidths_at_by_hand():
    segments = [Segment(0, 1000.0), Segment(10, 2000.0), Segment(15, 500.0)]
    found = bandwidths_at(segments, np.array([-1, 0, 9, 10, 14, 15, 99]))
    assert found.tolist() == [1000, 1000, 1000, 2000, 2000, 500, 500]


@pytest.mark.parametrize("cut_hz", [4000, 6000, 8000])
def test_the_end_is_found_where_a_short_filter_left_mirror_images(cut_hz):
    # Down and up by the field's usual six-lobe kernel: 6 dB down twice at the cutoff, and images up
    # to a fifth above it that are content to nobody.
    wide = pink_noise(4, RATE)
    narrow = degrade(wide, RATE, 2 * cut_hz, "sinc-hann")
    up = RATE // (2 * cut_hz)
    raised = scipy.signal.resample_poly(narrow, up, 1, window=sinc_hann_kernel(up, 1))
    assert detect_bandwidth(raised.astype(np.float32), RATE) == pytest.approx(cut_hz, rel=0.13)
    assert detect_bandwidth(wide, RATE) == RATE / 2
