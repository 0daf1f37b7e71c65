"""Drawn degradations: repeatable, seeded, and every one as likely as the next."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import product

import numpy as np
import pytest

from fullband.degrade import METHODS, Degradation, degrade, draw
from fullband.errors import SettingsError
from signals import noise

RATES = (4000, 8000)


def drawn(seed, wide=None, methods=METHODS, narrow_rates=RATES, sample_rate=16_000):
    wide = noise(0.05, sample_rate) if wide is None else wide
    return draw(wide, sample_rate, np.random.default_rng(seed), methods, narrow_rates)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_drawn_gives_the_same_when_applied_again(seed):
    wide = np.stack([noise(0.05, 16_000, seed=1), noise(0.05, 16_000, seed=2)])
    narrow, degradation = drawn(seed, wide)
    np.testing.assert_array_equal(degradation.apply(wide), narrow)
    again = degrade(wide, 16_000, degradation.narrow_rate, degradation.method)
    np.testing.assert_array_equal(again, narrow)


def test_the_same_seed_draws_the_same():
    for seed in range(10):
        (one, first), (two, second) = drawn(seed), drawn(seed)
        assert first == second
        np.testing.assert_array_equal(one, two)


def test_draws_go_on_with_the_generator():
    generator = np.random.default_rng(0)
    wide = noise(0.05, 16_000)
    found = {draw(wide, 16_000, generator, METHODS, RATES)[1] for _ in range(20)}
    assert len(found) > 3


def test_every_method_and_rate_is_as_likely_as_any_other():
    # Eight outcomes, 250 expected of each; five standard deviations are 74.
    generator = np.random.default_rng(3)
    wide = np.zeros(24, np.float32)
    methods = ("subsample", "kaiser", "fir", "chebyshev-causal")
    counts = Counter(
        (degradation.method, degradation.narrow_rate)
        for _, degradation in (draw(wide, 16_000, generator, methods, RATES) for _ in range(2000))
    )
    assert set(counts) == set(product(methods, RATES))
    assert all(abs(count - 250) < 74 for count in counts.values())


def test_every_method_there_is_can_be_drawn():
    generator = np.random.default_rng(0)
    wide = np.zeros(96, np.float32)
    found = {draw(wide, 16_000, generator, METHODS, RATES)[1].method for _ in range(120)}
    assert found == set(METHODS)


def test_one_choice_is_no_choice():
    _, degradation = drawn(0, methods=("fir",), narrow_rates=(8000,))
    assert degradation == Degradation("fir", 16_000, 8000)
    assert type(degradation.method) is str
    assert type(degradation.narrow_rate) is int


def test_the_cutoff_is_the_narrow_nyquist_frequency():
    assert Degradation("fir", 16_000, 5000).cutoff_hz == 2500


def test_a_degradation_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Degradation("fir", 16_000, 8000).method = "kaiser"


def test_what_cannot_be_applied_is_refused():
    with pytest.raises(SettingsError, match=r"^unknown degradation 'none'"):
        drawn(0, methods=("none",))
    with pytest.raises(SettingsError, match=r"needs a whole ratio, not 16000 to 6000$"):
        drawn(0, methods=("fir",), narrow_rates=(6000,))
