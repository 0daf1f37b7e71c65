"""Notes: how far up a recording is true, by hand from every column that says so."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.corpora.notes import notes_of, true_hz_of
from fullband.corpora.synthetic import synthetic_corpus


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, 0.98 * 24_000),
        ({"sample_rate": "", "wall_hz": "", "bandwidth_hz": ""}, 0.98 * 24_000),
        ({"sample_rate": "96000"}, 0.98 * 24_000),
        ({"sample_rate": "44100"}, 0.98 * 22_050),
        ({"rate": "32000"}, 0.98 * 16_000),
        ({"sample_rate": "44100", "rate": "32000"}, 0.98 * 22_050),
        ({"sample_rate": "48000", "wall_hz": "16000"}, 15_600),
        ({"sample_rate": "48000", "wall_hz": "0"}, 0.98 * 24_000),
        ({"sample_rate": "48000", "wall_hz": "16000", "bandwidth_hz": "11000"}, 11_000),
        ({"bandwidth_hz": "24000"}, 0.98 * 24_000),
    ],
)
def test_a_recording_is_true_up_to_the_lowest_of_what_limits_it(row, expected):
    assert true_hz_of(row, 24_000) == pytest.approx(expected)


def test_notes_stand_in_the_order_of_the_recordings():
    decoded = synthetic_corpus(16_000, 1, count=3, duration_s=0.1)
    rows = {
        "synthetic-2": {"speaker": "c", "bandwidth_hz": "5000", "holes": "0.05"},
        "synthetic-0": {"speaker": "a", "holes": ""},
        "another": {"speaker": "z", "holes": "1"},
    }
    notes = notes_of(decoded, rows)
    assert notes.speakers == ("a", "", "c")
    np.testing.assert_allclose(notes.true_hz, [7840, 7840, 5000])
    np.testing.assert_allclose(notes.holes, [0, 0, 0.05])
