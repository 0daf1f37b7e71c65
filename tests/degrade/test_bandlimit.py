"""Lowering the rate: every method against scipy or soxr, by tones, clicks and its own formula."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
import soxr

from fullband.degrade.bandlimit import METHODS, degrade, ideal_lowpass, lower_rate
from fullband.errors import SettingsError
from signals import click, error_db, lag, noise, rms_db, sweep, tone

RATES = [(48_000, 8000), (16_000, 4000), (16_000, 8000), (44_100, 14_700)]

REJECTION_DB = {
    "chebyshev": 95,
    "chebyshev-causal": 60,
    "fir": 55,
    "kaiser": 63,
    "sinc-hann": 53,
    "soxr": 110,
    "spectral-cut": 70,
}
"""By how much a tone at 1.5 times the new Nyquist frequency is weaker afterwards, at least."""

ALIGNED = [method for method in METHODS if method != "chebyshev-causal"]
WHOLE_RATIO_ONLY = ["chebyshev", "chebyshev-causal", "subsample", "fir", "spectral-cut"]


def swelling_tone(frequency_hz, sample_rate, amplitude=0.5):
    """A second of a sine under a Hann window, which spreads 2 Hz to each side, between silences."""
    t = np.arange(sample_rate) / sample_rate
    swelling = (
        amplitude * (0.5 - 0.5 * np.cos(2 * np.pi * t)) * np.sin(2 * np.pi * frequency_hz * t)
    )
    return np.pad(swelling, sample_rate // 2).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 6, 7, 100, 4800, 4801])
def test_the_length_is_the_duration(method, length):
    narrow = degrade(noise(1, 8000)[:length], 48_000, 8000, method)
    expected = round(length / 6) if method == "soxr" else math.ceil(length / 6)
    assert narrow.shape == (expected,)
    assert narrow.dtype == np.float32
    assert np.all(np.isfinite(narrow))


@pytest.mark.parametrize("method", ["kaiser", "sinc-hann", "soxr"])
@pytest.mark.parametrize("length", [1, 10, 441, 4411])
def test_the_length_is_the_duration_where_the_ratio_is_not_whole(method, length):
    narrow = degrade(noise(1, 8000)[:length], 44_100, 16_000, method)
    exact = length * 160 / 441
    assert narrow.shape == (round(exact) if method == "soxr" else math.ceil(exact),)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("sample_rate", "narrow_rate"), RATES)
@pytest.mark.parametrize("part", [0.02, 0.2, 0.35])
def test_a_tone_below_the_cutoff_keeps_its_level(method, sample_rate, narrow_rate, part):
    # The Chebyshev filter has 0.05 dB of ripple, and runs twice.
    wide = tone(part * narrow_rate, 0.5, sample_rate)
    narrow = degrade(wide, sample_rate, narrow_rate, method)
    assert rms_db(narrow) == pytest.approx(rms_db(wide), abs=0.11)


@pytest.mark.parametrize("method", ALIGNED)
@pytest.mark.parametrize(("sample_rate", "narrow_rate"), RATES)
def test_what_lies_below_the_cutoff_does_not_move(method, sample_rate, narrow_rate):
    wide = sweep(50, 0.35 * narrow_rate, 0.5, sample_rate)
    expected = wide[:: sample_rate // narrow_rate]
    narrow = degrade(wide, sample_rate, narrow_rate, method)
    assert lag(narrow, expected) == 0
    assert error_db(narrow, expected) < -36  # 0.1 dB of ripple is an error of -39 dB
    assert error_db(narrow[1:], expected[:-1]) > -6  # one sample off would be noticed


@pytest.mark.parametrize("method", ALIGNED)
def test_a_click_becomes_something_symmetrical_around_it(method):
    narrow = degrade(click(0.2, 48_000, at_s=0.1), 48_000, 8000, method)
    middle = 800
    assert np.argmax(np.abs(narrow)) == middle
    np.testing.assert_allclose(
        narrow[middle + 1 : middle + 400], narrow[middle - 1 : middle - 400 : -1], atol=3e-5
    )


def test_the_causal_filter_delays_and_knows_nothing_of_the_future():
    narrow = degrade(click(0.2, 48_000, at_s=0.1), 48_000, 8000, "chebyshev-causal")
    assert np.all(narrow[:800] == 0)
    assert np.argmax(np.abs(narrow)) > 800
    wide = sweep(50, 2800, 0.5, 48_000)
    assert lag(degrade(wide, 48_000, 8000, "chebyshev-causal"), wide[::6]) > 0


@pytest.mark.parametrize("method", REJECTION_DB)
@pytest.mark.parametrize(("sample_rate", "narrow_rate"), RATES)
def test_a_tone_above_the_new_nyquist_vanishes(method, sample_rate, narrow_rate):
    wide = tone(0.75 * narrow_rate, 1, sample_rate)
    narrow = degrade(wide, sample_rate, narrow_rate, method)
    assert rms_db(narrow) < rms_db(wide) - REJECTION_DB[method]


@pytest.mark.parametrize(("sample_rate", "narrow_rate"), RATES)
@pytest.mark.parametrize("part", [0.55, 0.75, 0.95])
def test_without_a_filter_it_folds_down(sample_rate, narrow_rate, part):
    # sin(2 pi (1 - p) n) = -sin(2 pi p n): the mirrored frequency, upside down.
    narrow = degrade(
        tone(part * narrow_rate, 0.5, sample_rate), sample_rate, narrow_rate, "subsample"
    )
    mirrored = tone((1 - part) * narrow_rate, 0.5, narrow_rate)
    assert error_db(narrow, -mirrored) < -100


def test_the_causal_filter_is_about_half_as_strong():
    wide = tone(4800, 1, 48_000)
    weaker = [
        rms_db(degrade(wide, 48_000, 8000, method)) - rms_db(wide)
        for method in ("chebyshev-causal", "chebyshev")
    ]
    assert weaker[0] == pytest.approx(weaker[1] / 2, rel=0.02)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("chebyshev", {"ftype": "iir", "zero_phase": True}),
        ("chebyshev-causal", {"ftype": "iir", "zero_phase": False}),
        ("fir", {"ftype": "fir", "zero_phase": True}),
    ],
)
@pytest.mark.parametrize("ratio", [2, 3, 4, 6])
@pytest.mark.parametrize("length", [1000, 1001])
def test_it_is_scipys_decimate(method, options, ratio, length):
    wide = noise(1, 8000, seed=ratio)[:length]
    theirs = scipy.signal.decimate(wide.astype(np.float64), ratio, **options)
    ours = degrade(wide, 8000 * ratio, 8000, method)
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize(("sample_rate", "narrow_rate"), [*RATES, (44_100, 16_000)])
def test_kaiser_is_scipys_resample_poly(sample_rate, narrow_rate):
    wide = noise(0.1, sample_rate)
    theirs = scipy.signal.resample_poly(wide.astype(np.float64), narrow_rate, sample_rate)
    ours = degrade(wide, sample_rate, narrow_rate, "kaiser")
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


@pytest.mark.parametrize(("sample_rate", "narrow_rate"), [*RATES, (44_100, 16_000)])
def test_soxr_is_soxr_at_its_best(sample_rate, narrow_rate):
    wide = noise(0.1, sample_rate)
    theirs = soxr.resample(wide, sample_rate, narrow_rate, quality="VHQ")
    assert error_db(degrade(wide, sample_rate, narrow_rate, "soxr"), theirs) < -120


def sinc_under_hann(wide, sample_rate, narrow_rate, position):
    """torchaudio's formula read at one output sample: a sinc with 0.99 of the new Nyquist frequency
    as its cutoff, whose Hann window ends at the sixth zero crossing."""
    turns_per_s = 0.99 * narrow_rate
    t = turns_per_s * (position / narrow_rate - np.arange(len(wide)) / sample_rate)
    kernel = np.where(np.abs(t) < 6, np.sinc(t) * np.cos(np.pi * t / 12) ** 2, 0)
    return np.dot(wide.astype(np.float64), kernel) * turns_per_s / sample_rate


@pytest.mark.parametrize(
    ("sample_rate", "narrow_rate"), [*RATES, (44_100, 16_000), (48_000, 44_100)]
)
def test_sinc_hann_is_its_formula(sample_rate, narrow_rate):
    # The formula passes 0 Hz at 1.0005 or so; ours has exactly 1.
    wide = noise(0.1, sample_rate, seed=5)
    narrow = degrade(wide, sample_rate, narrow_rate, "sinc-hann")
    positions = [0, 1, 7, len(narrow) // 2, len(narrow) // 2 + 1, len(narrow) - 2, len(narrow) - 1]
    formula = [sinc_under_hann(wide, sample_rate, narrow_rate, at) for at in positions]
    np.testing.assert_allclose(narrow[positions], formula, rtol=8e-4, atol=1e-7)


def test_sinc_hann_keeps_a_constant():
    narrow = degrade(np.full(4800, 0.7, np.float32), 48_000, 8000, "sinc-hann")
    np.testing.assert_allclose(narrow[10:-10], 0.7, atol=1e-6)


@pytest.mark.parametrize(("cutoff_hz", "kept_hz", "lost_hz"), [(4000, 3995, 4005), (250, 245, 255)])
def test_ideal_lowpass_is_a_wall(cutoff_hz, kept_hz, lost_hz):
    kept = swelling_tone(kept_hz, 16_000)
    lost = swelling_tone(lost_hz, 16_000)
    assert error_db(ideal_lowpass(kept, 16_000, cutoff_hz), kept) < -50
    assert rms_db(ideal_lowpass(lost, 16_000, cutoff_hz)) < rms_db(lost) - 50


def test_ideal_lowpass_touches_nothing_far_below_and_leaves_nothing_far_above():
    low, high = swelling_tone(500, 16_000), swelling_tone(6000, 16_000)
    assert error_db(ideal_lowpass(low + high, 16_000, 4000), low) < -120
    assert rms_db(ideal_lowpass(high, 16_000, 4000)) < -140


def test_the_ends_of_a_recording_do_not_ring_into_each_other():
    ramp = np.linspace(0, 1, 8000, dtype=np.float32)
    np.testing.assert_allclose(ideal_lowpass(ramp, 16_000, 1000), ramp, atol=1e-3)


@pytest.mark.parametrize("length", [1, 2, 3, 100, 8000, 8001])
def test_ideal_lowpass_keeps_the_length(length):
    assert ideal_lowpass(noise(1, 16_000)[:length], 16_000, 4000).shape == (length,)


def test_spectral_cut_loses_what_ideal_lowpass_loses():
    wide = noise(0.2, 48_000)
    cut = ideal_lowpass(wide, 48_000, 4000)
    np.testing.assert_array_equal(degrade(wide, 48_000, 8000, "spectral-cut"), cut[::6])


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_linear(method):
    one, two = noise(0.1, 16_000, seed=1), noise(0.1, 16_000, seed=2)
    parts = [degrade(audio, 16_000, 4000, method) for audio in (one, two)]
    whole = degrade(0.5 * one - 2 * two, 16_000, 4000, method)
    assert error_db(whole, 0.5 * parts[0] - 2 * parts[1]) < -110


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_channels_are_treated_one_by_one(method, shape):
    count = math.prod(shape)
    channels = np.stack([noise(0.05, 16_000, seed=seed) for seed in range(count)])
    together = degrade(channels.reshape(*shape, -1), 16_000, 4000, method)
    assert together.shape[:-1] == shape
    alone = [degrade(channel, 16_000, 4000, method) for channel in channels]
    np.testing.assert_allclose(together.reshape(count, -1), alone, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_the_wide_audio_is_left_alone(method):
    wide = noise(0.05, 16_000)
    before = wide.copy()
    narrow = degrade(wide, 16_000, 4000, method)
    narrow[:] = 7
    np.testing.assert_array_equal(wide, before)


@pytest.mark.parametrize("method", METHODS)
def test_silence_stays_silence(method):
    assert np.all(degrade(np.zeros(960, np.float32), 48_000, 8000, method) == 0)


def test_unknown_methods_are_refused():
    with pytest.raises(SettingsError, match=r"^unknown degradation 'cheby'; one of chebyshev, "):
        degrade(noise(0.1, 16_000), 16_000, 8000, "cheby")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("narrow_rate", [-8000, 0, 16_000, 32_000])
def test_a_rate_that_does_not_fall_is_refused(method, narrow_rate):
    with pytest.raises(SettingsError) as caught:
        degrade(noise(0.1, 16_000), 16_000, narrow_rate, method)
    assert str(caught.value) == f"the narrow rate must lie below 16000 Hz, got {narrow_rate}"


@pytest.mark.parametrize("method", WHOLE_RATIO_ONLY)
def test_a_ratio_that_is_not_whole_is_refused(method):
    with pytest.raises(SettingsError) as caught:
        degrade(noise(0.1, 44_100), 44_100, 16_000, method)
    assert str(caught.value) == f"'{method}' needs a whole ratio, not 44100 to 16000"


@pytest.mark.parametrize("cutoff_hz", [250.0, 505.0, 4000.0])
def test_the_ideal_lowpass_does_not_ring_where_audio_is_loud(cutoff_hz):
    # Through a Hann window of one second all but -80 dB of a tone lies within 20 Hz of it.
    below = tone(cutoff_hz - 20, 1, 16_000) * np.hanning(16_000).astype(np.float32)
    assert error_db(ideal_lowpass(below, 16_000, cutoff_hz), below) < -60


def test_six_times_lower_than_16_khz_is_a_fraction_and_keeps_every_sixth_sample():
    assert lower_rate(16_000, 4) == 4000
    assert lower_rate(16_000, 6) == Fraction(8000, 3)
    wide = noise(1, 16_000)
    narrow = degrade(wide, 16_000, lower_rate(16_000, 6), "subsample")
    np.testing.assert_array_equal(narrow, wide[::6])
    for method in ("kaiser", "sinc-hann", "soxr"):
        length = len(degrade(wide, 16_000, lower_rate(16_000, 6), method))
        assert abs(length - 16_000 / 6) <= 1
