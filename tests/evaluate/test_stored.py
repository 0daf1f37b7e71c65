"""Rows that are kept and found again."""

from __future__ import annotations

import numpy as np

from fullband.evaluate.stored import keep, mean_of, read_kept, replace, values_of


def test_what_is_kept_comes_back_as_it_was(tmp_path):
    row = {"system": "sinc", "sample": "00091", "narrow_rate": 8000, "snr_db": 1.5, "lag": -2}
    keep([row], tmp_path / "rows.csv", ("system",))
    assert read_kept(tmp_path / "rows.csv") == [row]
    assert isinstance(read_kept(tmp_path / "rows.csv")[0]["narrow_rate"], int)


def test_there_are_no_rows_without_a_file(tmp_path):
    assert read_kept(tmp_path / "none.csv") == []
    keep([], tmp_path / "none.csv", ("system",))
    assert not (tmp_path / "none.csv").exists()


def test_rows_take_the_place_of_those_that_agree_with_them(tmp_path):
    path = tmp_path / "rows.csv"
    keep(
        [{"system": "a", "file": "1", "lsd": 1.0}, {"system": "b", "file": "1", "lsd": 2.0}],
        path,
        ("system", "file"),
    )
    keep(
        [{"system": "a", "file": "1", "lsd": 3.0}, {"system": "a", "file": "2", "lsd": 4.0}],
        path,
        ("system", "file"),
    )
    assert [(row["system"], row["file"], row["lsd"]) for row in read_kept(path)] == [
        ("b", "1", 2.0),
        ("a", "1", 3.0),
        ("a", "2", 4.0),
    ]


def test_what_a_row_lacks_is_no_number(tmp_path):
    path = tmp_path / "rows.csv"
    replace([{"system": "a", "lsd": 1.0}, {"system": "b", "visqol": 3.0}], path)
    rows = read_kept(path)
    assert np.isnan(rows[0]["visqol"])
    assert values_of(rows, "visqol") == [3.0]
    assert mean_of(rows, "lsd") == 1.0
    assert np.isnan(mean_of(rows, "dnsmos"))
