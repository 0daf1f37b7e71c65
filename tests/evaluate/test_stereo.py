"""The stereo image: known for one sound panned, for two, and for noises with nothing in common."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.evaluate.stereo import stereo_image, stereo_rows, stereo_table
from signals import band, noise

RATE = 48_000
BAND = (8000, 12_000)


def image(audio, wide=None, low_hz=BAND[0], high_hz=BAND[1]):
    return stereo_image(audio, audio if wide is None else wide, RATE, low_hz, high_hz)


@pytest.mark.parametrize(("gain", "db"), [(1.0, 0), (0.5, 6.02), (2.0, -6.02), (1e-6, 30)])
def test_one_sound_panned(gain, db):
    sound = noise(1, RATE)
    found = image(np.stack([sound, gain * sound]))
    assert found.difference_db == pytest.approx(db, abs=0.05)
    assert found.correlation == pytest.approx(1, abs=0.01)


def test_one_sound_turned_over():
    sound = noise(1, RATE)
    assert image(np.stack([sound, -sound])).correlation == pytest.approx(-1, abs=0.01)


def test_noises_that_have_nothing_in_common():
    found = image(np.stack([noise(4, RATE, 1), noise(4, RATE, 2)]))
    assert found.correlation == pytest.approx(0, abs=0.02)
    assert found.difference_db == pytest.approx(0, abs=0.1)


def test_half_in_common():
    # Power a half shared: the correlation is a half.
    both, left, right = (noise(4, RATE, seed) for seed in (1, 2, 3))
    assert image(np.stack([both + left, both + right])).correlation == pytest.approx(0.5, abs=0.03)


def test_only_the_band_counts():
    sound = noise(1, RATE)
    other = band(sound, RATE, 0, 7500) - band(sound, RATE, 12_500, 24_000)
    found = image(np.stack([sound, band(sound, RATE, 7500, 12_500) + other]))
    assert found.correlation == pytest.approx(1, abs=0.01)


def test_frames_count_by_the_power_of_the_original():
    # On the left for a second, then on the right, ten times as loud: the right has 100 / 101.
    sound = noise(1, RATE)
    left, right = np.stack([sound, 0.1 * sound]), np.stack([sound, 10 * sound])
    wide = np.concatenate([left, right], axis=1)
    expected = 20 * (1.01 - 101) / (1.01 + 101)
    assert image(wide).difference_db == pytest.approx(expected, abs=0.3)


def test_silence_has_no_place():
    quiet = np.zeros((2, RATE))
    assert image(quiet) is None
    assert image(np.stack([noise(1, RATE)] * 2), quiet) is None


def test_rows_cover_what_lies_above_the_cutoff():
    wide = np.stack([noise(1, RATE, 1), noise(1, RATE, 2)])
    made = np.stack([wide[0], wide[0]])
    rows = stereo_rows(made, wide, RATE, 8000, np.inf, "a.wav")
    assert [row["low_hz"] for row in rows] == [8400, 11_879, 16_800]
    assert rows[-1]["high_hz"] == 23_520
    for row in rows:
        assert row["correlation"] == pytest.approx(1, abs=0.01)
        assert row["original_correlation"] == pytest.approx(0, abs=0.05)
    limited = stereo_rows(made, wide, RATE, 8000, 15_000, "a.wav")
    assert [row["high_hz"] for row in limited] == [11_879, 15_000]
    assert stereo_rows(made, 0 * wide, RATE, 8000, np.inf, "a.wav") == []


def test_the_table_is_the_mean_over_rows_of_a_cell():
    row = {"corpus": "x", "system": "m", "file": "a", "cutoff_hz": 4000.0}
    rows = [
        {**row, "difference_db": 3.0, "original_difference_db": 1.0}
        | {"correlation": 0.9, "original_correlation": 0.5},
        {**row, "difference_db": -1.0, "original_difference_db": 0.0}
        | {"correlation": 0.3, "original_correlation": 0.5},
    ]
    other = {**rows[0], "system": "other"}
    lines = stereo_table([*rows, other], "m").splitlines()
    assert lines[2:] == ["| x | 4 kHz | 1 | 1.5 | 0.50 | 0.60 | 0.30 |"]
