"""Rows to files, tables and cards: by hand, there and back, and against the normal distribution."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from fullband.card import Card, read_card, write_card
from fullband.errors import ModelError, OutputError
from fullband.evaluate.report import (
    bootstrap_interval,
    markdown_table,
    read_rows,
    score_card,
    write_rows,
)

METRICS = ["snr_db", "segmental_snr_db", "si_sdr_db", "lsd_2017", "lsd", "lsd_low", "lsd_high"]


def row(system, file="a.wav", **scores):
    """A row as `evaluate_model` makes it, with every score 1.0 but those given."""
    return {
        "system": system,
        "corpus": "vctk",
        "split": "test",
        "method": "fir",
        "sample_rate": 16_000,
        "narrow_rate": 4000,
        "model_sha256": "ab",
        "commit": "1234567",
        "machine": "a machine",
        "date": "2026-01-02",
        "file": file,
        "seconds": 2.5,
        **dict.fromkeys(METRICS, 1.0),
        **scores,
    }


ROWS = [
    row("spline", "ä, b.wav", snr_db=-3.25, lsd=1.5),
    row("spline", "c.wav", snr_db=120.0, lsd=2.5),
    row("tiny (raw)", "ä, b.wav", lsd=0.0),
]


def test_the_interval_of_a_constant_is_the_constant():
    assert bootstrap_interval([3.5] * 10) == (3.5, 3.5)
    assert bootstrap_interval([3.5]) == (3.5, 3.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_contains_the_mean_and_lies_within_the_values(seed):
    values = list(np.random.default_rng(seed).exponential(size=30))
    low, high = bootstrap_interval(values)
    assert min(values) < low < np.mean(values) < high < max(values)


@pytest.mark.parametrize(("confidence", "deviations"), [(0.95, 1.96), (0.68, 0.994), (0.5, 0.674)])
def test_of_many_values_it_is_the_normal_interval(confidence, deviations):
    values = np.random.default_rng(1).normal(7, 2, 1000)
    low, high = bootstrap_interval(list(values), confidence, draws=5000)
    half = deviations * np.std(values) / math.sqrt(len(values))
    assert low == pytest.approx(np.mean(values) - half, abs=0.06 * half)
    assert high == pytest.approx(np.mean(values) + half, abs=0.06 * half)


def test_the_interval_of_two_values_by_hand():
    # The mean of two draws is 0, 0.5 or 1, in a quarter, a half and a quarter of all cases.
    assert bootstrap_interval([0.0, 1.0], 0.95) == (0, 1)
    assert bootstrap_interval([0.0, 1.0], 0.4) == (0.5, 0.5)


def test_the_interval_is_the_same_every_time_unless_the_seed_changes():
    values = list(np.random.default_rng(1).normal(size=50))
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_more_files_make_it_narrower():
    # As the square root of their number: nine times as many, a third as wide.
    values = np.random.default_rng(1).normal(size=900)
    (low, high), (lower, higher) = (bootstrap_interval(list(v)) for v in (values, values[:100]))
    assert (high - low) / (higher - lower) == pytest.approx(1 / 3, abs=0.06)


def test_a_table_by_hand():
    rows = [
        {"system": "spline", "snr_db": 1.0, "lsd": 0.5},
        {"system": "tiny", "snr_db": 7.125, "lsd": 1.0},
        {"system": "spline", "snr_db": 1.0, "lsd": 2.5},
    ]
    # Of 0.5 and 2.5 the interval is all of it: 1 to both sides of the mean.
    assert markdown_table(rows) == (
        "| system | files | SNR dB | lsd |\n"
        "|---|---|---|---|\n"
        "| spline | 2 | 1.00 ± 0.00 | 1.50 ± 1.00 |\n"
        "| tiny | 1 | 7.12 | 1.00 |"
    )


def test_a_table_gives_the_larger_side_of_the_interval():
    values = [0.0] * 9 + [10.0]
    low, high = bootstrap_interval(values)
    assert high - 1 > 1 - low  # lopsided
    table = markdown_table([{"system": "s", "lsd": value} for value in values])
    assert table.splitlines()[-1] == f"| s | 10 | 1.00 ± {high - 1:.2f} |"


def test_a_table_has_every_metric_of_the_rows_in_a_fixed_order():
    shuffled = dict(reversed(row("spline").items()))
    heading = markdown_table([shuffled]).splitlines()[0]
    assert heading == (
        "| system | files | SNR dB | segmental SNR dB | SI-SDR dB | lsd_2017 | lsd | lsd below "
        "| lsd above |"
    )


def test_scores_that_do_not_exist_are_left_out_of_the_mean():
    rows = [{"system": "s", "snr_db": float("nan"), "lsd": value} for value in (1.0, 3.0)]
    rows[0]["lsd"] = float("nan")
    assert markdown_table(rows).splitlines()[-1] == "| s | 2 | - | 3.00 |"


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "new/folder/rows.csv"])
def test_rows_are_read_as_they_were_written(tmp_path, name):
    write_rows(ROWS, tmp_path / name)
    read = read_rows(tmp_path / name)
    assert len(read) == len(ROWS)
    for ours, theirs in zip(read, ROWS, strict=True):
        for key in ("system", "file", "corpus", "commit", "date", "seconds", *METRICS):
            assert ours[key] == theirs[key]
            assert type(ours[key]) is type(theirs[key])
    assert markdown_table(read) == markdown_table(ROWS)


def test_csv_is_what_others_read(tmp_path):
    write_rows(ROWS, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as lines:
        heading, *cells = csv.reader(lines)
    assert heading == list(ROWS[0])
    assert cells == [[str(value) for value in kept.values()] for kept in ROWS]


def test_json_is_what_others_read(tmp_path):
    write_rows(ROWS, tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text(encoding="utf-8")) == ROWS


@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_numbers_are_kept_to_five_decimals(tmp_path, name):
    write_rows([{"system": "s", "snr_db": 1.23456789, "lsd": -2.000004}], tmp_path / name)
    assert read_rows(tmp_path / name) == [{"system": "s", "snr_db": 1.23457, "lsd": -2.0}]


@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_new_rows_replace_old_ones_and_nothing_else_is_left(tmp_path, name):
    write_rows(ROWS, tmp_path / name)
    write_rows(ROWS[:1], tmp_path / name)
    assert len(read_rows(tmp_path / name)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.csv.gz", "csv", "rows.CSV"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(OutputError) as caught:
        write_rows(ROWS, tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: rows are written as .csv or .json"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError) as caught:
        write_rows(ROWS, tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written (")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_a_failure_in_the_middle_leaves_the_old_rows(tmp_path, name):
    write_rows(ROWS, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises((TypeError, ValueError)):  # neither format holds a set in a longer row
        write_rows([*ROWS, {**ROWS[0], "more": {1, 2}}], tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def card_path(tmp_path):
    card = Card("tiny", "", {}, 16_000, 4000, "spline", 1, 0, 0, (), "", "", scores={"old": 1})
    write_card(card, tmp_path / "tiny.json")
    return tmp_path / "tiny.json"


def test_a_card_gets_the_means_under_the_name_of_the_task(card_path):
    before = read_card(card_path)
    score_card(ROWS, card_path)
    after = read_card(card_path)
    task = "vctk, test, fir, 4000 to 16000 Hz"
    assert list(after.scores) == ["old", task]
    assert after.scores["old"] == 1
    ones = dict.fromkeys(METRICS, 1.0)
    assert after.scores[task] == {
        "commit": "1234567",
        "machine": "a machine",
        "date": "2026-01-02",
        "mean": {
            "spline": {**ones, "snr_db": 58.375, "lsd": 2.0},
            "tiny (raw)": {**ones, "lsd": 0.0},
        },
    }
    assert (after.name, after.data, after.sample_rate) == (before.name, (), 16_000)


def test_a_card_is_scored_again_with_three_decimals(card_path):
    score_card(ROWS, card_path)
    score_card([row("spline", lsd=1.23456), row("spline", lsd=float("nan"))], card_path)
    scores = read_card(card_path).scores["vctk, test, fir, 4000 to 16000 Hz"]
    assert list(scores["mean"]) == ["spline"]
    assert scores["mean"]["spline"]["lsd"] == 1.235


def test_another_task_stands_beside_the_first(card_path):
    score_card(ROWS, card_path)
    score_card([{**row("spline"), "narrow_rate": 8000}], card_path)
    assert list(read_card(card_path).scores) == [
        "old",
        "vctk, test, fir, 4000 to 16000 Hz",
        "vctk, test, fir, 8000 to 16000 Hz",
    ]


def test_rows_that_were_stored_score_a_card_as_fresh_ones_do(card_path, tmp_path):
    score_card(ROWS, card_path)
    fresh = read_card(card_path)
    for name in ("rows.csv", "rows.json"):
        write_rows(ROWS, tmp_path / name)
        score_card(read_rows(tmp_path / name), card_path)
        assert read_card(card_path) == fresh


def test_what_is_no_card_is_not_scored(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: not a model card"):
        score_card(ROWS, tmp_path / "none.json")
    assert list(tmp_path.iterdir()) == []


def test_rates_come_back_as_whole_numbers(tmp_path):
    row = {"system": "sinc", "sample_rate": 16_000, "narrow_rate": 4000, "snr_db": 1.5}
    for name in ("rows.csv", "rows.json"):
        write_rows([row], tmp_path / name)
        assert read_rows(tmp_path / name) == [row]


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"rows\.csv: cannot be written"):
        write_rows([{"system": "sinc", "snr_db": 1.0}], tmp_path / "file" / "rows.csv")
