"""Splits that are made: exact, the same everywhere, and never across a speaker."""

from __future__ import annotations

import pytest

from fullband.corpora.splits import carve_valid, share_out, with_short_splits
from fullband.errors import SettingsError


def counts(given):
    return {split: list(given.values()).count(split) for split in dict.fromkeys(given.values())}


@pytest.mark.parametrize("groups", [10, 50, 100, 1000])
def test_shares_are_as_near_as_can_be(groups):
    given = share_out({f"{i}": 1 for i in range(groups)}, {"test": 0.06, "valid": 0.06})
    found = counts(given)
    assert abs(found["test"] - 0.06 * groups) <= 0.5
    assert abs(found["valid"] - 0.06 * groups) <= 0.5
    assert sum(found.values()) == groups


def test_sizes_count_not_groups():
    sizes = {f"{i}": 1 + i % 7 for i in range(500)}
    given = share_out(sizes, {"test": 0.06, "valid": 0.06})
    for split in ("test", "valid"):
        held = sum(size for name, size in sizes.items() if given[name] == split)
        assert held == pytest.approx(0.06 * sum(sizes.values()), abs=3.5)


def test_the_order_of_the_names_does_not_matter():
    names = [f"speaker {i}" for i in range(40)]
    there = share_out(dict.fromkeys(names, 1), {"test": 0.1})
    back = share_out(dict.fromkeys(reversed(names), 1), {"test": 0.1})
    assert there == back
    assert counts(there) == {"test": 4, "train": 36}
    assert sorted(name for name in names if there[name] == "test") != names[:4]


def test_every_split_gets_something():
    assert sorted(share_out({"a": 9, "b": 9, "c": 9}, {"test": 0.01, "valid": 0.9}).values()) == [
        "test",
        "train",
        "valid",
    ]


def test_no_share_is_no_split():
    assert set(share_out({"a": 1}, {"test": 0.0}).values()) == {"train"}


def test_too_few_groups_are_refused():
    with pytest.raises(SettingsError, match="2 groups are too few to share out to train, test, v"):
        share_out({"a": 1, "b": 1}, {"test": 0.1, "valid": 0.1})


def rows_of(speakers, each=10):
    return [
        {"file": f"{speaker}/{i}", "split": "train", "speaker": speaker}
        for speaker in speakers
        for i in range(each)
    ] + [{"file": "z/0", "split": "test", "speaker": "z"}]


def test_valid_is_carved_out_of_train_by_whole_speakers():
    rows = rows_of([f"s{i}" for i in range(20)])
    carved = carve_valid(rows, 0.1)
    assert [row["file"] for row in carved] == [row["file"] for row in rows]
    valid = {row["speaker"] for row in carved if row["split"] == "valid"}
    train = {row["speaker"] for row in carved if row["split"] == "train"}
    assert len(valid) == 2
    assert len(train) == 18
    assert not valid & train
    assert [row for row in carved if row["split"] == "test"] == rows[-1:]


def test_valid_of_one_speaker_is_carved_by_files():
    carved = carve_valid(rows_of(["a"], each=100), 0.06)
    assert counts({row["file"]: row["split"] for row in carved}) == {
        "train": 94,
        "valid": 6,
        "test": 1,
    }


def test_a_corpus_with_a_valid_split_keeps_it():
    with pytest.raises(SettingsError, match="has a valid split of its own: leave --valid out"):
        carve_valid([{"file": "a", "split": "valid", "speaker": ""}], 0.1)


def test_short_splits_are_every_eighth_in_order():
    rows = [{"file": f"{i}", "split": "test" if i % 2 else "valid"} for i in range(40)]
    made = with_short_splits(rows)
    assert made[:40] == rows
    short = [(row["split"], int(row["file"])) for row in made[40:]]
    assert short == [("valid-short", i) for i in (0, 16, 32)] + [
        ("test-short", i) for i in (1, 17, 33)
    ]
