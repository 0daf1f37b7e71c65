"""The checks, on systems that break exactly one of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

import fullband
from fullband.audio.resample import resample
from fullband.evaluate import checks
from fullband.evaluate.checks import (
    check_all,
    coherence,
    example_voices,
    level_difference_db,
    mixed_correlation,
)
from signals import band, noise

RATE = 48_000


@pytest.fixture(scope="module")
def voices():
    """A second of each, so that the many systems here take no minute."""
    first, second = (voice[:RATE] for voice in example_voices())
    return first, second


def mirrored(audio, rate, wide_rate, gains=(1.0, 1.0), swap=False):
    """A system that is right: the input, and in the new band its own modulated copy."""
    kept = resample(audio, rate, wide_rate)
    carrier = np.cos(2 * np.pi * (rate / 2) * np.arange(kept.shape[-1]) / wide_rate)
    copy = kept * carrier.astype(np.float32)
    size = scipy.fft.next_fast_len(copy.shape[-1], real=True)
    spectrum = scipy.fft.rfft(copy, size)
    spectrum[..., np.linspace(0, wide_rate / 2, spectrum.shape[-1]) < rate / 2] = 0
    new = scipy.fft.irfft(spectrum, size)[..., : copy.shape[-1]].astype(np.float32)
    if new.ndim == 2:
        new = new[::-1] if swap else new
        new = new * np.array(gains, np.float32)[:, None]
    return kept + new


def results(enhance, voices):
    return {check.check: check for check in check_all(enhance, voices)}


def test_a_right_system_passes_everything(voices):
    # But for partials, which a copy that knows no pitch cannot put in their places.
    found = results(mirrored, voices)
    assert list(found) == [
        "silence",
        "pause",
        "length",
        "level",
        "onset",
        "partials",
        "stereo-place",
        "stereo-correlation",
        "stereo-mix-place",
        "stereo-mix-correlation",
    ]
    assert [name for name, check in found.items() if not check.passed] == ["partials"]
    assert found["stereo-place"].value == pytest.approx(0, abs=0.01)


def test_resampling_alone_has_no_place_in_stereo(voices):
    enhancer = fullband.load("sinc")
    found = results(lambda *given: enhancer(*given)[0], voices)
    assert list(found) == ["silence", "pause", "length", "level"]
    assert all(check.passed for check in found.values())


def failed_by(enhance, voices):
    return {name for name, check in results(enhance, voices).items() if not check.passed}


def hum(audio, rate, wide_rate):
    wide = mirrored(audio, rate, wide_rate)
    return wide + np.float32(1e-4)


def one_sample_more(audio, rate, wide_rate):
    wide = mirrored(audio, rate, wide_rate)
    return np.concatenate([wide, wide[..., -1:]], axis=-1)


def louder(audio, rate, wide_rate):
    return 1.02 * mirrored(audio, rate, wide_rate)  # 0.17 dB


def to_the_left(audio, rate, wide_rate):
    return mirrored(audio, rate, wide_rate, gains=(1.0, 0.5))


def to_the_middle(audio, rate, wide_rate):
    kept, wide = resample(audio, rate, wide_rate), mirrored(audio, rate, wide_rate)
    return kept + (wide - kept).mean(axis=0) if wide.ndim == 2 else wide


def swapped(audio, rate, wide_rate):
    return mirrored(audio, rate, wide_rate, swap=True)


def unrelated(audio, rate, wide_rate):
    """In each channel noise of its own, as loud as the new band should be there."""
    kept, wide = resample(audio, rate, wide_rate), mirrored(audio, rate, wide_rate)
    if wide.ndim == 1:
        return wide
    new = [
        band(noise(wide.shape[-1] / wide_rate, wide_rate, seed=seed), wide_rate, rate / 2, RATE)
        for seed in (1, 2)
    ]
    scaled = [n * np.std(w - k) / np.std(n) for n, w, k in zip(new, wide, kept, strict=True)]
    return kept + np.stack(scaled).astype(np.float32)


@pytest.mark.parametrize(
    ("system", "failing"),
    [
        (hum, {"silence", "pause"}),
        (one_sample_more, {"length"}),
        (louder, {"level"}),
        (to_the_left, {"stereo-place"}),
        (swapped, {"stereo-place"}),
        (to_the_middle, {"stereo-place", "stereo-mix-correlation"}),
        (unrelated, {"stereo-correlation", "stereo-mix-correlation"}),
    ],
)
def test_each_fault_fails_its_own_check(voices, system, failing):
    assert failing <= failed_by(system, voices)
    if system in (one_sample_more, louder):
        assert failed_by(system, voices) == {*failing, "partials"}


def test_a_new_band_that_runs_ahead_is_found():
    def ahead(audio, rate, wide_rate, samples=int(0.004 * RATE)):
        kept, wide = resample(audio, rate, wide_rate), mirrored(audio, rate, wide_rate)
        return kept + np.roll(wide - kept, -samples)

    (right,), (early,) = (list(checks.check_onsets(system)) for system in (mirrored, ahead))
    assert right.passed
    assert right.value == pytest.approx(0, abs=0.5)
    assert not early.passed
    assert early.value == pytest.approx(right.value + 4, abs=0.5)


def test_partials_in_their_places_are_told_from_others():
    def knows_the_pitch(audio, rate, wide_rate, times=1.0):
        spectrum = np.abs(scipy.fft.rfft(audio))
        pitch_hz = np.argmax(spectrum) * rate / len(audio)
        seconds = np.arange(len(audio) * wide_rate // rate) / wide_rate
        new = sum(
            np.sin(2 * np.pi * k * times * pitch_hz * seconds) / k
            for k in range(int(rate / 2 / pitch_hz) + 1, int(16_000 / pitch_hz))
        )
        return resample(audio, rate, wide_rate) + 0.1 * new.astype(np.float32)

    (right,) = checks.check_partials(knows_the_pitch)
    (detuned,) = checks.check_partials(lambda *given: knows_the_pitch(*given, times=1.015))
    assert right.passed
    assert right.value > 0.9
    assert not detuned.passed


def test_level_difference_and_coherence_by_hand():
    one = noise(1, RATE, seed=1)
    other = noise(1, RATE, seed=2)
    stereo = np.stack([one, 0.5 * one])
    assert level_difference_db(stereo, 4000, 6000) == pytest.approx(6.02, abs=0.01)
    assert coherence(stereo, 4000, 6000) == pytest.approx(1)
    assert coherence(np.stack([one, -one]), 4000, 6000) == pytest.approx(-1)
    assert abs(coherence(np.stack([one, other]), 4000, 12_000)) < 0.05
    # (a + b, a) of equal powers: 1 / sqrt(2).
    assert coherence(np.stack([one + other, one]), 2000, 20_000) == pytest.approx(0.707, abs=0.02)


def test_the_correlation_of_two_voices_by_making_them():
    one, other = noise(2, RATE, seed=1), noise(2, RATE, seed=2)
    for louder in (0.1, 1.0, 3.0):
        stereo = np.stack([louder * one + 0.25 * other, 0.25 * louder * one + other])
        place_db = level_difference_db(stereo, 2000, 20_000)
        made = coherence(stereo, 2000, 20_000)
        assert made == pytest.approx(mixed_correlation(place_db, 0.25), abs=0.02)


def test_a_row_says_what_was_asked():
    check = checks.Check("length", "exact", 0.0, True)
    assert check.row() == {"check": "length", "asked": "exact", "value": 0.0, "passed": 1}
