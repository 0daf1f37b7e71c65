"""Rate and distortion: curves, where one is ahead of another, and the words and tables of it."""

from __future__ import annotations

import math

import pytest

from fullband.evaluate.rate_distortion import (
    aliasing_table,
    best_of,
    crossings,
    curve,
    rate_table,
    value_at,
    wins,
)

FULL = [(8.0, 1.0, 0.0), (32.0, 3.0, 0.0)]  # rises by 1 for each doubling
NARROW = [(8.0, 2.0, 0.0), (32.0, 2.0, 0.0)]  # level


def row(kbps, rate, widened, visqol, file="a", asked=None, method="soxr", lsd=1.0):
    return {
        "kind": "speech",
        "codec": "opus",
        "asked_kbps": asked or round(kbps),
        "rate": rate,
        "method": method,
        "widened": widened,
        "file": file,
        "kbps": kbps,
        "visqol": visqol,
        "lsd": lsd,
        "dnsmos": 3.0,
    }


def test_a_curve_has_the_mean_and_its_interval_at_every_rate_that_was_asked_for():
    rows = [row(8.1, 48_000, 0, 2.0), row(8.3, 48_000, 0, 4.0, "b"), row(16.0, 48_000, 0, 4.0)]
    rows.append(row(8.0, 16_000, 0, 1.0))
    found = curve(rows, "visqol", rate=48_000, widened=0)
    assert [point[:2] for point in found] == [(pytest.approx(8.2), 3.0), (16.0, 4.0)]
    # The standard error of 2 and 4 is 1.
    assert found[0][2] == pytest.approx(1.96)
    assert found[1][2] == 0


def test_between_points_it_is_straight_over_octaves_and_beyond_them_nothing():
    assert value_at(FULL, 16.0) == pytest.approx(2.0)
    assert math.isnan(value_at(FULL, 7.9))
    assert math.isnan(value_at(FULL, 33.0))
    assert best_of([FULL, NARROW], 10.0) == 2.0
    assert best_of([FULL, NARROW], 10.0, lower_is_better=True) == pytest.approx(1.32, abs=0.01)
    assert math.isnan(best_of([FULL], 100.0))


def test_the_level_curve_wins_below_where_they_cross_and_for_distances_above():
    ((low, high),) = wins(FULL, [NARROW])
    assert low == pytest.approx(8.0)
    assert high == pytest.approx(16.0, rel=0.02)
    ((low, high),) = wins(FULL, [NARROW], lower_is_better=True)
    assert low == pytest.approx(16.0, rel=0.02)
    assert high == pytest.approx(32.0)
    assert wins(FULL, [[(8.0, 0.5, 0.0), (32.0, 1.0, 0.0)]]) == []
    assert wins(FULL, [[]]) == []


def test_in_words():
    rows = [row(8, 48_000, 0, 1.0), row(32, 48_000, 0, 3.0)]
    rows += [row(8, 16_000, 1, 2.0), row(32, 16_000, 1, 2.0)]
    lines = crossings(rows)
    assert lines[0].startswith(
        "speech, opus, visqol: narrow with fullband is ahead from 8 to 16 kb/s"
    )
    assert "lsd: narrow with fullband is ahead nowhere (compared from 8 to 32 kb/s)" in lines[1]


def test_tables_have_a_line_for_each_point_and_leave_out_what_was_not_tried_both_ways():
    rows = [row(8.04, 16_000, 0, 1.5), row(8.04, 16_000, 1, 2.25)]
    rows.append(row(8.0, 16_000, 1, 2.0, method="subsample", lsd=1.5))
    rows.append(row(16.0, 16_000, 1, 2.0))
    assert "| 16 kHz | 8.0 | 1.50 ± 0.00 | 2.25 ± 0.00 |" in rate_table(
        rows[:2], "speech", "opus", "visqol"
    )
    table = aliasing_table(rows).splitlines()
    assert len(table) == 3
    assert table[2] == "| opus, 16 kHz | 8 | 2.25 | 2.00 | 1.00 | 1.50 | 3.00 | 3.00 |"
