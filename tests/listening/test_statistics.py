"""Numbers worked out by hand, by scipy, or known because they were put in."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.listening.screening import screen
from fullband.listening.statistics import by_chance, holm, mean_interval, signed_rank_p

scipy_stats = pytest.importorskip("scipy.stats", reason="needs: pip install 'fullband[evaluate]'")


def test_an_interval_by_hand():
    """Of 60, 70, 80: s = 10, t of 2 degrees of freedom = 4.3027, so 4.3027 * 10 / sqrt(3)."""
    found = mean_interval(np.array([60.0, 70.0, 80.0]))
    assert found.value == 70
    assert found.n == 3
    assert found.high == pytest.approx(70 + 24.841, abs=1e-3)
    assert found.low == pytest.approx(70 - 24.841, abs=1e-3)
    assert mean_interval(np.array([70.0])).low is None


def test_nineteen_of_twenty_intervals_hold_the_truth():
    generator = np.random.default_rng(0)
    draws = generator.normal(65, 12, size=(4000, 8))
    found = [mean_interval(draw) for draw in draws]
    held = np.mean([each.low <= 65 <= each.high for each in found])
    assert held == pytest.approx(0.95, abs=0.015)


def test_signed_ranks_by_hand():
    """Sizes 1, 2, 2, 4 have ranks 1, 2.5, 2.5, 4. Only the 1 is negative: sums of 9 and 1. Of the
    16 signs, two give a negative sum of 1 or less (none; the 1 alone): 2 * 2 / 16."""
    assert signed_rank_p(np.array([-1.0, 2.0, 2.0, 4.0])) == 0.25
    assert signed_rank_p(np.array([1.0, -2.0, -2.0, -4.0])) == 0.25
    assert signed_rank_p(np.array([0.0, 0.0, -1.0, 2.0, 2.0, 4.0])) == 0.25
    assert signed_rank_p(np.zeros(5)) == 1.0
    assert signed_rank_p(np.array([3.0])) == 1.0


@pytest.mark.parametrize("count", [5, 12, 30])
def test_signed_ranks_are_those_of_scipy_where_nothing_is_equal(count):
    generator = np.random.default_rng(count)
    for shift in (0.0, 0.5, 1.0):
        differences = generator.normal(shift, 1, count)
        expected = scipy_stats.wilcoxon(differences, method="exact").pvalue
        assert signed_rank_p(differences) == pytest.approx(expected)


def test_signed_ranks_of_equal_sizes_are_those_of_all_signs():
    """Every one of the 2^10 signs, counted."""
    generator = np.random.default_rng(3)
    differences = generator.integers(-4, 8, 10).astype(float)
    differences[differences == 0] = 1
    ranks = scipy_stats.rankdata(np.abs(differences))
    signs = (np.arange(2**10)[:, None] >> np.arange(10)) & 1
    sums = signs @ ranks
    found = ranks[differences > 0].sum()
    expected = min(1, 2 * min(np.mean(sums <= found), np.mean(sums >= found)))
    assert signed_rank_p(differences) == pytest.approx(expected)


def test_without_a_difference_few_are_found():
    generator = np.random.default_rng(1)
    found = [signed_rank_p(np.round(generator.normal(0, 5, 12))) < 0.05 for _ in range(2000)]
    assert np.mean(found) < 0.06


def test_holm_by_hand():
    """4 * 0.01, 3 * 0.02, 2 * 0.03 and 0.04 would be 0.04, 0.06, 0.06, 0.04; none falls."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_chance_by_hand():
    assert by_chance(12, 16) == 2517 / 65536  # 1820 + 560 + 120 + 16 + 1
    assert by_chance(0, 5) == 1
    assert by_chance(5, 5) == 1 / 32
    expected = scipy_stats.binomtest(620, 1200, 0.5, alternative="greater").pvalue
    assert by_chance(620, 1200) == pytest.approx(expected)


def test_screening_by_the_standard():
    """Of 20 items, 3 are 15 %, which is not more than 15 %; 4 are."""
    reference, mid = np.full((5, 20), 100), np.full((5, 20), 50)
    reference[1, :3] = 89
    reference[2, :4] = 89
    reference[3, :10] = 90  # not below 90
    mid[3, 5:8] = 91
    mid[4, :4] = 91
    found = screen(reference, mid)
    assert found.reasons == {
        2: "hidden reference below 90 in 4 of 20 items",
        4: "mid anchor above 90 in 4 of 20 items",
    }
    assert found.spared == ()


def test_an_item_without_treble_counts_against_nobody():
    """Two of five listeners, more than a quarter, rate its mid anchor high."""
    reference, mid = np.full((5, 2), 100), np.full((5, 2), 50)
    mid[:2, 0] = 95
    found = screen(reference, mid)
    assert found.reasons == {}
    assert found.spared == (0,)
    mid[1, 1] = 95  # one of five, of the item that is left
    assert screen(reference, mid).reasons == {1: "mid anchor above 90 in 1 of 1 items"}
    assert screen(reference[:0], mid[:0]).reasons == {}
