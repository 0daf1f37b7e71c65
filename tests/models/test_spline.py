"""The cubic spline: against scipy's, through its samples, and the stream against the whole."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.interpolate

from fullband.models.spline import SplineInterpolator, interpolate
from signals import error_db, lag, low_passed, noise, split, tone

RATES = [
    (4000, 16_000),
    (8000, 48_000),
    (11_025, 44_100),
    (16_000, 44_100),
    (44_100, 16_000),
    (48_000, 8000),
    (768_000, 16_000),
    (2000, 768_000),
    (16_000, 16_000),
]


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
def test_it_is_scipys_spline_away_from_the_ends(source_rate, target_rate):
    audio = noise(1, 2000, seed=4)[:1200]
    ours = interpolate(audio, source_rate, target_rate)
    knots = scipy.interpolate.splrep(np.arange(len(audio)), audio.astype(np.float64), k=3)
    at = np.arange(len(ours)) * source_rate / target_rate
    theirs = scipy.interpolate.splev(at, knots)
    inside = (at > 25) & (at < len(audio) - 25)
    assert inside.any()
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1e-6)


@pytest.mark.parametrize("ratio", [2, 3, 4, 6])
@pytest.mark.parametrize("length", [1, 2, 3, 5, 20, 21, 22, 300])
def test_it_passes_through_every_sample(ratio, length):
    audio = noise(1, 8000)[:length]
    np.testing.assert_allclose(interpolate(audio, 8000, 8000 * ratio)[::ratio], audio, atol=2e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 21])
def test_a_constant_stays_constant(length):
    result = interpolate(np.full(length, 0.7, np.float32), 8000, 44_100)
    np.testing.assert_allclose(result, 0.7, atol=1e-6)


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
@pytest.mark.parametrize("length", [1, 2, 5, 21, 1000])
def test_the_length_is_the_rounded_duration(source_rate, target_rate, length):
    result = interpolate(noise(1, 8000)[:length], source_rate, target_rate)
    assert len(result) == round(length * target_rate / source_rate)


def test_a_low_tone_is_kept_and_does_not_move():
    result = interpolate(tone(200, 0.5, 8000), 8000, 48_000)
    expected = tone(200, 0.5, 48_000)
    assert error_db(result, expected) < -60
    assert lag(result, expected) == 0


def test_images_appear_above_the_old_nyquist():
    # A cubic B-spline's response falls as sinc^4, so some of the mirror image remains: 1 kHz off
    # the old rate of 8 kHz, at 7 kHz, down by about (1/7)^4 = -68 dB.
    result = interpolate(tone(1000, 1, 8000, amplitude=1.0), 8000, 48_000)
    spectrum = np.abs(np.fft.rfft(result)) / (len(result) / 2)
    assert 20 * np.log10(spectrum[7000]) == pytest.approx(40 * np.log10(1 / 7) * 2, abs=1.5)


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
@pytest.mark.parametrize("longest", [1, 7, 200])
def test_the_stream_equals_the_whole(source_rate, target_rate, longest):
    audio = np.stack([noise(1, 2000, seed=1)[:300], noise(1, 2000, seed=2)[:300]])
    stream = SplineInterpolator(source_rate, target_rate, 2)
    blocks = split(audio, np.random.default_rng(longest), longest)
    streamed = np.concatenate([*map(stream.push, blocks), stream.flush()], axis=-1)
    np.testing.assert_allclose(streamed, interpolate(audio, source_rate, target_rate), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 20, 21, 22, 41])
def test_short_streams_equal_the_whole(length):
    audio = noise(1, 8000)[None, :length]
    stream = SplineInterpolator(8000, 44_100, 1)
    pieces = [stream.push(audio[:, i : i + 1]) for i in range(length)]
    streamed = np.concatenate([*pieces, stream.flush()], axis=-1)
    np.testing.assert_allclose(streamed, interpolate(audio, 8000, 44_100), atol=1e-6)


def test_a_stream_of_nothing_gives_nothing():
    assert SplineInterpolator(8000, 16_000, 2).flush().shape == (2, 0)


def test_downsampling_reads_the_curve_it_would_draw():
    audio = low_passed(noise(0.5, 48_000), 48_000, 3000)
    np.testing.assert_allclose(interpolate(audio, 48_000, 8000), audio[::6], atol=1e-6)


def test_a_rate_may_be_a_fraction():
    wide = tone(300, 0.6, 16_000)
    result = interpolate(wide[::6], Fraction(8000, 3), 16_000)
    assert result.shape == (1600 * 6,)
    assert error_db(result, wide) < -50
