"""The join in the average spectrum, on noise whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.evaluate.join import JoinMeter, join_edges_hz
from signals import band, noise

RATE = 48_000
CUTOFF_HZ = 4000.0


def rows_of(predicted, wide, **options):
    meter = JoinMeter(RATE, CUTOFF_HZ)
    meter.add(predicted, wide, **options)
    return meter.rows()


def test_bands_are_narrow_and_reach_from_below_to_above():
    edges = join_edges_hz(CUTOFF_HZ)
    assert edges[0] <= CUTOFF_HZ - 1000
    assert edges[-1] >= CUTOFF_HZ + 1500
    assert np.all(np.diff(edges) == 200)
    assert CUTOFF_HZ in edges


def test_the_same_audio_deviates_nowhere():
    wide = noise(1, RATE)
    rows = rows_of(wide, wide)
    assert [row["deviation_db"] for row in rows] == [0.0] * 13
    assert rows[0]["from_hz"] == 3000
    assert rows[-1]["to_hz"] == 5600


def test_a_step_at_the_cutoff_is_measured_as_it_is():
    wide = noise(4, RATE, rms=0.1)
    above = band(wide, RATE, CUTOFF_HZ, 24_000)
    rows = rows_of(wide - 0.5 * above, wide)  # 6.02 dB down from the cutoff on
    for row in rows:
        middle = (row["from_hz"] + row["to_hz"]) / 2
        expected = 0.0 if middle < CUTOFF_HZ else -6.02
        # The window of 4096 smears the step over 20 Hz, a tenth of a band.
        assert row["deviation_db"] == pytest.approx(expected, abs=0.4)
        if abs(middle - CUTOFF_HZ) > 200:
            assert row["deviation_db"] == pytest.approx(expected, abs=0.03)


def test_a_hole_is_in_its_own_band_alone():
    wide = noise(4, RATE)
    rows = rows_of(wide - band(wide, RATE, 4200, 4400), wide)
    deep = [row["from_hz"] for row in rows if row["deviation_db"] < -3]
    assert deep == [4200]


def test_recordings_count_at_one_level_and_by_their_length():
    quiet, loud = noise(2, RATE, seed=1, rms=0.001), noise(2, RATE, seed=2, rms=0.1)
    meter = JoinMeter(RATE, CUTOFF_HZ)
    meter.add(quiet * 2, quiet)  # 6 dB too loud
    meter.add(loud, loud)
    # Half of the power four times: (4 + 1) / 2, whatever the levels were.
    for row in meter.rows():
        assert row["deviation_db"] == pytest.approx(10 * np.log10(2.5), abs=0.3)


def test_bands_beyond_the_end_of_a_recording_are_left_out():
    wide = noise(1, RATE)
    rows = rows_of(0 * wide, wide, limit_hz=4700.0)
    assert rows[-1]["to_hz"] == 4600
    meter = JoinMeter(RATE, CUTOFF_HZ)
    meter.add(wide, wide, limit_hz=4700.0)
    meter.add(2 * wide, wide)
    by_edge = {row["to_hz"]: row["deviation_db"] for row in meter.rows()}
    assert by_edge[5600] == pytest.approx(6.02, abs=0.01)  # the second alone
    assert by_edge[4600] == pytest.approx(10 * np.log10(2.5), abs=0.01)
