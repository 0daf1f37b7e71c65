"""Losing the treble by a frequency response: as the field's filters do it, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fullband.audio.resample import resample
from fullband.degrade import METHODS, degrade, response
from fullband.degrade.bandlimit import sinc_hann_kernel
from fullband.degrade.response import (
    FAMILIES,
    GENTLE,
    NarrowDraw,
    bandlimit_spectrum,
    draw_response,
    family_response,
)
from signals import band, error_db, faded, low_passed, noise, rms_db, tone

RATE, NARROW_RATE = 48_000, 12_000
NYQUIST_HZ = NARROW_RATE / 2
FIELD = [family for family in FAMILIES if family in METHODS]


def drawn(family, nyquist_hz=NYQUIST_HZ, aliased=True, order=8, edge=0.9, ripple_db=0.5):
    return NarrowDraw(family, nyquist_hz, family_response(family, order, edge, ripple_db), aliased)


def narrowed(wide, draw):
    """In the time domain, as it comes back at the wide rate."""
    bin_hz = RATE / len(wide)
    return np.fft.irfft(bandlimit_spectrum(np.fft.rfft(wide), bin_hz, draw), len(wide))


def test_most_families_are_the_fields():
    assert set(METHODS) - set(FAMILIES) == {"chebyshev-causal"}  # it moves things in time
    assert set(FAMILIES) - set(METHODS) == {"butterworth", "chebyshev-ripple"}


@pytest.mark.parametrize("family", FIELD)
def test_a_family_is_what_degrading_and_resampling_back_makes(family):
    # What lies above twice the narrow Nyquist frequency is lost here, and folds there.
    wide = low_passed(noise(1, RATE), RATE, NARROW_RATE)
    back = resample(degrade(wide, RATE, NARROW_RATE, family), NARROW_RATE, RATE)
    ours = narrowed(wide, drawn(family))
    # The families are those of a large ratio. At 4 the digital Chebyshev filter is a little steeper
    # than its analogue original beyond its edge at 0.8, the others differ by their tails alone.
    low = (0.8 if family == "chebyshev" else 0.97) * NYQUIST_HZ
    kept = [band(audio, RATE, 20, low) for audio in (ours, back)]  # the table ends at 2 - 1 / 1024
    assert error_db(*kept) < -40
    for at in np.arange(0.05, 1.0, 0.05) * NYQUIST_HZ:
        levels = [rms_db(band(audio, RATE, at, at + 100)) for audio in (ours, back)]
        assert levels[0] == pytest.approx(levels[1], abs=4 if at >= low else 0.1)
    assert rms_db(band(ours, RATE, 1.02 * NYQUIST_HZ, 24_000)) < rms_db(wide) - 80


@pytest.mark.parametrize(("at_hz", "folded_hz"), [(7000, 5000), (9000, 3000), (11_500, 500)])
def test_what_passes_above_the_narrow_nyquist_frequency_folds_down(at_hz, folded_hz):
    # Every fourth sample of a sine at f is one at the narrow rate less f, upside down, as above.
    wide = tone(at_hz, 1, RATE)
    assert error_db(narrowed(wide, drawn("subsample")), -tone(folded_hz, 1, RATE)) < -60
    assert rms_db(narrowed(wide, drawn("subsample", aliased=False))) < rms_db(wide) - 80


def test_folding_ends_where_the_wide_audio_does():
    # Half of 32 kHz, of audio that ends at 24: 24 folds to 8, and nothing is beyond.
    wide = faded(noise(1, RATE), RATE)
    draws = [drawn("subsample", 16_000, aliased) for aliased in (True, False)]
    folded, plain = (narrowed(wide, draw) for draw in draws)
    assert error_db(band(folded, RATE, 0, 7990), band(plain, RATE, 0, 7990)) < -60
    ratio = rms_db(band(folded, RATE, 8010, 14_500)) - rms_db(band(plain, RATE, 8010, 14_500))
    assert ratio == pytest.approx(3, abs=0.5)


def test_silence_stays_silence():
    assert np.all(narrowed(np.zeros(4800), drawn("chebyshev")) == 0)


def test_the_bandwidth_of_a_wall_is_the_narrow_nyquist_frequency(monkeypatch):
    draw = drawn("spectral-cut", 4000.0)
    # What brings it back begins to fall a few per cent below.
    assert 0.95 * 4000 < draw.bandwidth_hz < 4000
    monkeypatch.setattr(response, "_fixed_response", lambda family: np.ones(2048))
    assert draw.bandwidth_hz == 4000


@pytest.mark.parametrize(("order", "edge"), [(3, 0.75), (8, 0.8), (12, 0.75)])
def test_the_bandwidth_of_a_butterworth_filter_by_hand(order, edge):
    # 1 + (f / edge)^(2 order) = 10^0.4 where it is 4 dB down.
    expected = edge * (10**0.4 - 1) ** (1 / (2 * order)) * 4000
    draw = drawn("butterworth", 4000.0, order=order, edge=edge)
    assert draw.bandwidth_hz == pytest.approx(expected, abs=8)  # two steps of its table


@pytest.mark.parametrize(("order", "ripple_db"), [(3, 0.05), (4, 0.5), (12, 1.0)])
def test_chebyshevs_ripple_by_hand(order, ripple_db):
    amplitude = family_response("chebyshev-ripple", order, 0.75, ripple_db)
    at_edge = 768  # of 1024 steps to the narrow Nyquist frequency
    level_db = 20 * np.log10(amplitude)
    assert level_db[at_edge] == pytest.approx(-ripple_db, abs=1e-6)
    assert level_db[:at_edge].max() == pytest.approx(0, abs=0.01)
    assert level_db[:at_edge].min() == pytest.approx(-ripple_db, abs=0.01)
    assert level_db[0] == pytest.approx(-ripple_db if order % 2 == 0 else 0, abs=1e-6)
    assert np.all(np.diff(level_db[at_edge:]) < 0)
    # Twice the edge: the polynomials at 2, such as 4 * 2^3 - 3 * 2 = 26.
    polynomial = np.polynomial.chebyshev.chebval(2.0, [0] * order + [1])
    assert order != 3 or polynomial == pytest.approx(26)
    expected = -10 * np.log10(1 + (10 ** (ripple_db / 10) - 1) * polynomial**2)
    assert level_db[2 * at_edge] == pytest.approx(expected, abs=1e-6)


def test_the_same_generator_draws_the_same():
    one, other = (draw_response(np.random.default_rng(3), 5000.0) for _ in range(2))
    assert (one.family, one.nyquist_hz, one.aliased) == (other.family, 5000.0, other.aliased)
    np.testing.assert_array_equal(one.response, other.response)


def test_every_family_is_drawn_and_ends_near_the_narrow_nyquist_frequency():
    generator = np.random.default_rng(0)
    draws = [draw_response(generator, 4000.0) for _ in range(400)]
    assert {draw.family for draw in draws} == set(FAMILIES)
    assert np.mean([draw.aliased for draw in draws]) == pytest.approx(0.8, abs=0.08)
    for draw in draws:
        assert draw.response.shape == (2048,)
        assert np.all(draw.response >= 0)
        assert draw.response.max() < 1.01
        assert 0.7 * 4000 < draw.bandwidth_hz <= 4000


@pytest.mark.parametrize("family", GENTLE)
def test_a_short_filter_on_the_way_up_leaves_the_mirror_images_it_leaves(family):
    # The second path: down by the degradation, up by polyphase filtering with the same kernel.
    wide = noise(1, RATE)
    ratio = RATE // NARROW_RATE
    narrow = degrade(wide, RATE, NARROW_RATE, family)
    window = ("kaiser", 5.0) if family == "kaiser" else sinc_hann_kernel(ratio, 1)
    expected = scipy.signal.resample_poly(narrow.astype(float), ratio, 1, window=window)
    draw = NarrowDraw(family, NYQUIST_HZ, family_response(family, 8, 0.9, 0.5), True, family)
    made = narrowed(wide, draw)
    inside = slice(2000, -2000)
    images = band(expected, RATE, NYQUIST_HZ, 1.2 * NYQUIST_HZ)
    assert rms_db(images[inside]) > rms_db(expected[inside]) - 30
    assert error_db(made[inside], expected[inside]) < -30
