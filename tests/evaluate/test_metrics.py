"""Metrics: values worked out by hand, properties, and each against a slow loop of its own."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import scipy.signal

from fullband.errors import AudioError
from fullband.evaluate.metrics import lsd, lsd_2017, score, segmental_snr_db, si_sdr_db, snr_db
from signals import band, noise, silence, sweep, tone

WIDE = noise(1, 16_000, seed=1)
OTHER = noise(1, 16_000, seed=2)
NAMES = ["snr_db", "segmental_snr_db", "si_sdr_db", "lsd_2017", "lsd", "lsd_low", "lsd_high"]

# Frames are 2048 long at a hop of 512, and recordings of all these lengths are framed differently.
LENGTHS = [1, 500, 1024, 1025, 1536, 2048, 3000, 16_000]


def worse(part, seed=3):
    """The wide noise with this part of other noise added."""
    return WIDE + np.float32(part) * noise(1, 16_000, seed)


def test_half_the_amplitude_is_6_db():
    assert snr_db(WIDE / 2, WIDE) == pytest.approx(20 * math.log10(2), abs=1e-6)


@pytest.mark.parametrize("part", [0.001, 0.1, 1.0, 10.0])
def test_snr_is_the_ratio_that_was_mixed(part):
    expected = -20 * math.log10(part)
    assert snr_db(worse(part), WIDE) == pytest.approx(expected, abs=0.1)


def test_snr_by_hand():
    # |wide|^2 = 9 + 16, |error|^2 = 1 + 4.
    wide, predicted = np.array([3.0, -4.0]), np.array([2.0, -2.0])
    assert snr_db(predicted, wide) == pytest.approx(10 * math.log10(25 / 5))


def test_snr_counts_a_wrong_level_and_si_sdr_does_not():
    predicted = worse(0.1)
    for scale in (-3.0, 0.01, 1.0, 250.0):
        assert si_sdr_db(scale * predicted, WIDE) == pytest.approx(si_sdr_db(predicted, WIDE))
        assert si_sdr_db(predicted, scale * WIDE) == pytest.approx(si_sdr_db(predicted, WIDE))
    assert snr_db(3 * predicted, WIDE) < 0 < snr_db(predicted, WIDE)


def test_si_sdr_by_hand():
    # The part of (1, 1) along (2, 0) is (1, 0), and what is left is (0, 1): equally long.
    assert si_sdr_db(np.array([1.0, 1.0]), np.array([2.0, 0.0])) == pytest.approx(0)
    # The part of (3, 1) along (1, 0) is (3, 0): three times as long as (0, 1).
    assert si_sdr_db(np.array([3.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(
        10 * math.log10(9)
    )


def test_si_sdr_is_the_tangent_of_an_angle():
    one, other = tone(500, 1, 16_000), tone(1500, 1, 16_000)  # orthogonal, equally loud
    for degrees in (5, 30, 45, 80):
        angle = math.radians(degrees)
        mixed = math.cos(angle) * one + math.sin(angle) * other
        assert si_sdr_db(mixed, one) == pytest.approx(-20 * math.log10(math.tan(angle)), abs=1e-3)


@pytest.mark.parametrize("metric", [snr_db, si_sdr_db])
def test_perfect_is_120_db(metric):
    assert metric(WIDE, WIDE) == 120
    assert metric(silence(1, 16_000), silence(1, 16_000)) == 120


@pytest.mark.parametrize("metric", [lsd, lsd_2017])
def test_perfect_is_no_distance(metric):
    assert metric(WIDE, WIDE) == 0
    assert metric(silence(1, 16_000), silence(1, 16_000)) == 0


def test_nothing_is_better_than_120_db():
    wide = WIDE.astype(np.float64)
    assert snr_db(wide * (1 + 1e-8), wide) == 120
    assert snr_db(wide * (1 + 1e-5), wide) == pytest.approx(100)


def test_something_instead_of_silence_is_minus_120_db():
    assert snr_db(WIDE, silence(1, 16_000)) == -120
    assert si_sdr_db(WIDE, silence(1, 16_000)) == -120


def test_silence_instead_of_something_is_0_db():
    assert snr_db(silence(1, 16_000), WIDE) == pytest.approx(0)


def segmental_by_a_loop(predicted, wide, patch):
    patch = min(patch, len(wide))
    ratios_db = []
    for start in range(0, len(wide) - patch + 1, patch):
        error = power = 0.0
        for x, y in zip(
            predicted[start : start + patch].tolist(),
            wide[start : start + patch].tolist(),
            strict=True,
        ):
            error += (x - y) ** 2 / patch
            power += y**2 / patch
        ratios_db.append(10 * math.log10(max(power, 1e-12) / (error + 1e-6)))
    return sum(ratios_db) / len(ratios_db)


@pytest.mark.parametrize("patch", [100, 512, 8192, 20_000])
@pytest.mark.parametrize("length", [99, 100, 101, 8192, 16_000])
def test_segmental_snr_is_its_loop(patch, length):
    swell = np.linspace(0, 1, 16_000, dtype=np.float32)
    wide, predicted = (swell * WIDE)[:length], (swell * worse(0.3))[:length]
    expected = segmental_by_a_loop(predicted, wide, patch)
    assert segmental_snr_db(predicted, wide, patch) == pytest.approx(expected, abs=1e-6)


def test_patches_are_of_8192_samples():
    wide = np.concatenate([WIDE[:8192], 0.01 * WIDE[:8192]])
    predicted = wide + np.float32(0.01) * np.concatenate([OTHER[:8192], OTHER[:8192]])
    assert segmental_snr_db(predicted, wide) == segmental_snr_db(predicted, wide, 8192)
    assert segmental_snr_db(predicted, wide) != segmental_snr_db(predicted, wide, 4096)


def test_what_is_left_over_of_the_last_patch_does_not_count():
    spoilt = WIDE.copy()
    spoilt[8192:] = OTHER[8192:]
    assert segmental_snr_db(spoilt, WIDE) == segmental_snr_db(WIDE, WIDE)
    spoilt[8191] += 1
    assert segmental_snr_db(spoilt, WIDE) < segmental_snr_db(WIDE, WIDE) - 10


def test_segmental_snr_of_silence_is_what_the_constants_make_of_it():
    nothing = silence(1, 16_000)
    assert segmental_snr_db(nothing, nothing) == pytest.approx(-60)  # 1e-12 / 1e-6
    assert segmental_snr_db(np.full(100, 0.1), np.full(100, 0.1)) == pytest.approx(
        40
    )  # 1e-2 / 1e-6


@pytest.mark.parametrize("gain", [0.01, 0.5, 1.0, 3.0, 100.0])
def test_a_louder_copy_is_at_a_constant_distance(gain):
    predicted = np.float64(gain) * WIDE
    assert lsd(predicted, WIDE) == pytest.approx(abs(2 * math.log10(gain)), rel=1e-5, abs=1e-9)
    expected = min(10, abs(2 * math.log(gain)))
    assert lsd_2017(predicted, WIDE) == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_the_two_definitions_differ_by_the_logarithm():
    # Root over frequency and mean over time, or the other way round, and ln instead of log10.
    ratio = lsd_2017(OTHER, WIDE) / lsd(OTHER, WIDE)
    assert ratio == pytest.approx(math.log(10), rel=0.05)


def test_lsd_2017_is_10_at_most():
    assert lsd_2017(silence(1, 16_000), 100 * WIDE) == 10
    assert lsd_2017(silence(1, 16_000), 1e-3 * WIDE) < 10


def test_lsd_has_a_floor_and_no_ceiling():
    # Silence counts as 1e-8; noise of this level has a power of 0.01 * 768 per bin, 768 being the
    # sum of the squared window, and 0.25 less in the mean of log10 than in the log10 of the mean.
    nothing = silence(1, 16_000)
    assert lsd(nothing, 1e-6 * WIDE) < 1e-3
    expected = math.log10(1e12 * 0.01 * 768) - 0.25 + 8
    assert lsd(nothing, 1e6 * WIDE) == pytest.approx(expected, abs=0.05)


def frames_of(audio):
    """Frames of 2048 around every 512th sample, the ends mirrored, or silent where that is not
    possible, under a Hann window, one by one."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 2048) for n in range(2048)]
    last = len(audio) - 1
    for centre in range(0, len(audio) + 1, 512):
        frame = []
        for n in range(2048):
            at = centre - 1024 + n
            if len(audio) > 1024:
                at = -at if at < 0 else at
                at = 2 * last - at if at > last else at
            inside = 0 <= at <= last
            frame.append(window[n] * float(audio[at]) if inside else 0.0)
        yield frame


def power_by_hand(audio):
    """`[T, F]`, by scipy's Fourier transform of each frame."""
    return np.array(
        [np.abs(scipy.signal.zoom_fft(f, 1, 1025, endpoint=True)) ** 2 for f in frames_of(audio)]
    )


def test_the_power_is_that_of_a_sum_over_every_sample():
    # `power_by_hand` itself against the definition of the Fourier transform, in one bin.
    (frame, *_) = frames_of(WIDE[:1500])
    total = sum(x * cmath.exp(-2j * math.pi * 100 * n / 2048) for n, x in enumerate(frame))
    assert power_by_hand(WIDE[:1500])[0, 100] == pytest.approx(abs(total) ** 2)


@pytest.mark.parametrize("length", LENGTHS)
def test_lsd_is_its_definition(length):
    wide, predicted = WIDE[:length], worse(0.5)[:length]
    distances = []
    for y, x in zip(power_by_hand(wide), power_by_hand(predicted), strict=True):
        difference = np.log10(np.maximum(y, 1e-8)) - np.log10(np.maximum(x, 1e-8))
        distances.append(math.sqrt(sum(difference**2) / 1025))
    expected = sum(distances) / len(distances)
    assert expected > 0.1
    assert lsd(predicted, wide) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_lsd_2017_is_its_definition(length):
    wide, predicted = WIDE[:length], worse(0.5)[:length]
    y, x = power_by_hand(wide), power_by_hand(predicted)
    distances = []
    for bin_ in range(1025):
        difference = np.log(y[:, bin_] + 1e-8) - np.log(x[:, bin_] + 1e-8)
        distances.append(math.sqrt(sum(difference**2) / len(difference)))
    expected = sum(distances) / 1025
    assert expected > 0.1
    assert lsd_2017(predicted, wide) == pytest.approx(expected, rel=1e-6)


def test_lsd_low_and_high_together_are_the_whole():
    # In one frame: 512 bins lie below 4 kHz, 513 from there on, and their squares add up.
    wide, predicted = WIDE[:500], worse(0.5)[:500]
    low = lsd(predicted, wide, 16_000, to_hz=4000)
    high = lsd(predicted, wide, 16_000, from_hz=4000)
    assert low != high
    assert lsd(predicted, wide) ** 2 == pytest.approx((512 * low**2 + 513 * high**2) / 1025)


def test_a_band_is_judged_for_itself():
    # Half a decade too loud above 4 kHz, and right below.
    low, high = band(WIDE, 16_000, 0, 4000), band(WIDE, 16_000, 4000, 8001)
    predicted = low + 10**0.5 * high
    assert lsd(predicted, WIDE, 16_000, to_hz=3900) < 0.01
    assert lsd(predicted, WIDE, 16_000, from_hz=4100) == pytest.approx(1, abs=0.01)
    assert lsd(predicted, WIDE, 16_000, from_hz=1000, to_hz=3900) < 0.01
    assert lsd(predicted, WIDE, 16_000) == lsd(predicted, WIDE)


def test_a_band_begins_at_its_first_frequency_and_ends_before_its_second():
    # Bins lie at multiples of 8 Hz.
    predicted = worse(0.5)
    rate = 8 * 2048
    assert lsd(predicted, WIDE, rate, 4000, 4008) == lsd(predicted, WIDE, rate, 3993, 4007)
    assert lsd(predicted, WIDE, rate, 4000, 4009) != lsd(predicted, WIDE, rate, 4000, 4008)
    assert lsd(predicted, WIDE, rate, 4001, 4009) != lsd(predicted, WIDE, rate, 4000, 4008)


def test_an_empty_band_has_no_distance():
    assert math.isnan(lsd(WIDE, OTHER, 16_000, from_hz=8001))


def test_score_is_every_metric_by_name():
    predicted = worse(0.2)
    scores = score(predicted, WIDE, 16_000, 3000)
    assert scores == {
        "snr_db": snr_db(predicted, WIDE),
        "segmental_snr_db": segmental_snr_db(predicted, WIDE),
        "si_sdr_db": si_sdr_db(predicted, WIDE),
        "lsd_2017": lsd_2017(predicted, WIDE),
        "lsd": lsd(predicted, WIDE),
        "lsd_low": lsd(predicted, WIDE, 16_000, 0, 3000),
        "lsd_high": lsd(predicted, WIDE, 16_000, 3000),
    }
    assert list(scores) == NAMES
    assert all(type(value) is float for value in scores.values())


def test_each_metric_is_worse_the_more_is_wrong():
    scores = [score(worse(part), WIDE, 16_000, 4000) for part in (0.01, 0.03, 0.1, 0.3, 1.0)]
    for name in NAMES:
        steps = np.diff([row[name] for row in scores])
        assert np.all(steps < 0 if name.endswith("_db") else steps > 0)


def test_what_is_missing_above_the_cutoff_shows_there_only():
    wide = sweep(100, 7900, 1, 16_000) + WIDE
    predicted = band(wide, 16_000, 0, 4000).astype(np.float32)
    scores = score(predicted, wide, 16_000, 4000)
    assert scores["lsd_low"] < 0.1
    assert scores["lsd_high"] > 3


@pytest.mark.parametrize("metric", [snr_db, segmental_snr_db, si_sdr_db])
@pytest.mark.parametrize(
    ("one", "other"), [((5,), (6,)), ((1,), (6,)), ((2, 5), (2, 5)), ((0,), (0,)), ((), ())]
)
def test_arrays_that_cannot_be_compared_are_refused(metric, one, other):
    with pytest.raises(AudioError) as caught:
        metric(np.ones(one, np.float32), np.ones(other, np.float32))
    message = f"metrics compare two arrays [T] of one length, got {one}, {other}"
    assert str(caught.value) == message


def test_score_refuses_what_its_metrics_refuse():
    with pytest.raises(AudioError, match=r"two arrays \[T\] of one length"):
        score(WIDE[:-1], WIDE, 16_000, 4000)


def test_what_is_judged_is_left_alone():
    predicted, wide = worse(0.5), WIDE.copy()
    before = predicted.copy()
    score(predicted, wide, 16_000, 4000)
    np.testing.assert_array_equal(predicted, before)
    np.testing.assert_array_equal(wide, WIDE)


def test_silence_is_no_scaled_copy_of_a_signal():
    assert si_sdr_db(np.zeros(16_000, np.float32), noise(1, 16_000)) == -120
    assert si_sdr_db(noise(1, 16_000), np.zeros(16_000, np.float32)) == -120
    assert si_sdr_db(np.zeros(99, np.float32), np.zeros(99, np.float32)) == 120


@pytest.mark.parametrize("shape", [(15_900,), (100,), (12_000,), (2, 16_000)])
@pytest.mark.parametrize("metric", [lsd, lsd_2017])
def test_spectral_distances_compare_one_length_only(metric, shape):
    with pytest.raises(AudioError, match="of one length"):
        metric(noise(1, 16_000), np.zeros(shape, np.float32))


def test_above_the_limit_no_distance_is_taken():
    wide = noise(1, 48_000, seed=1)
    above = band(wide, 48_000, 12_000, 24_000)
    predicted = wide - 0.9 * above  # 20 dB down from 12 kHz on: a distance of 2 there
    scores = score(predicted, wide, 48_000, 6000, limit_hz=11_900)
    assert scores["lsd"] == pytest.approx(0, abs=0.01)
    assert scores["lsd_high"] == pytest.approx(0, abs=0.01)
    assert scores["lsd_2017"] == pytest.approx(0, abs=0.05)
    whole = score(predicted, wide, 48_000, 6000)
    assert whole["lsd"] == pytest.approx(2 / math.sqrt(2), abs=0.01)  # over half the band
    assert whole["lsd_low"] == pytest.approx(scores["lsd_low"])
    # A limit of three quarters of the band: a third of what is judged.
    limited = score(predicted, wide, 48_000, 6000, limit_hz=18_000)
    assert limited["lsd"] == pytest.approx(2 / math.sqrt(3), abs=0.01)
