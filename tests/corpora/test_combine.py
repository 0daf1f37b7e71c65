"""Several corpora as one folder."""

from __future__ import annotations

import pytest

import fullband
from fullband.corpora.combine import combine
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.corpora.overview import check_disjoint
from fullband.corpora.table import read_rows, write_rows
from fullband.errors import MissingFileError, OutputError, SettingsError
from signals import noise


def made(folder, splits, speaker="", short=False):
    folder.mkdir()
    rows = []
    for number, split in enumerate(splits):
        name = f"{number}.wav"
        fullband.write(folder / name, noise(0.05, 16_000, number), 16_000)
        rows.append({"file": name, "split": split, "speaker": speaker and f"{speaker}{split}"})
    if short:
        rows.append({**rows[-1], "split": "test-short"})
    write_rows(folder, rows)
    return folder


def test_rows_and_sound_come_from_all_parts(tmp_path):
    parts = {
        "one": made(tmp_path / "one", ["train", "valid", "test"], "voice-"),
        "other": made(tmp_path / "x", ["train", "test"]),
    }
    combine(tmp_path / "both", parts)
    corpus = read_corpus(tmp_path / "both")
    assert corpus.files == {
        "train": ("one/0.wav", "other/0.wav"),
        "valid": ("one/1.wav",),
        "test": ("one/2.wav", "other/1.wav"),
    }
    rows = read_rows(tmp_path / "both")
    assert [(row["corpus"], row["speaker"]) for row in rows[2:4]] == [
        ("one", "one/voice-test"),
        ("other", ""),
    ]
    assert len(decode(corpus, "train", 16_000)) == 2
    check_disjoint(tmp_path / "both")


def test_short_splits_are_made_over_the_whole(tmp_path):
    one = made(tmp_path / "one", ["test"] * 10, short=True)
    other = made(tmp_path / "x", ["test"] * 10)
    combine(tmp_path / "both", {"one": one, "other": other})
    short = [row["file"] for row in read_rows(tmp_path / "both") if row["split"] == "test-short"]
    assert short == ["one/0.wav", "one/8.wav", "other/6.wav"]


def test_no_short_splits_where_no_part_has_them(tmp_path):
    combine(tmp_path / "both", {"one": made(tmp_path / "one", ["test", "valid"])})
    assert set(read_corpus(tmp_path / "both").files) == {"test", "valid"}


def test_a_part_may_be_just_folders(tmp_path):
    (tmp_path / "plain" / "train").mkdir(parents=True)
    fullband.write(tmp_path / "plain" / "train" / "a.wav", noise(0.05, 16_000), 16_000)
    combine(tmp_path / "both", {"plain": tmp_path / "plain"})
    assert read_corpus(tmp_path / "both").files == {"train": ("plain/train/a.wav",)}


def test_again_is_the_same_and_elsewhere_is_refused(tmp_path):
    one, other = made(tmp_path / "one", ["test"]), made(tmp_path / "x", ["test"])
    first = combine(tmp_path / "both", {"one": one})
    assert combine(tmp_path / "both", {"one": one}) == first
    with pytest.raises(OutputError, match=r"leads to .* already; remove it"):
        combine(tmp_path / "both", {"one": other})


def test_a_folder_with_something_else_is_refused(tmp_path):
    one = made(tmp_path / "one", ["test"])
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"diary\.txt: is in the way"):
        combine(tmp_path / "both", {"one": one})
    with pytest.raises(OutputError, match=r"0\.wav: is in the way"):
        combine(one, {"other": made(tmp_path / "x", ["test"])})


@pytest.mark.parametrize("name", ["", "a/b", "..", "files.csv"])
def test_names_that_are_no_names_are_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="not a name for a part"):
        combine(tmp_path / "both", {name: made(tmp_path / "one", ["test"])})


def test_a_part_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no such folder"):
        combine(tmp_path / "both", {"one": tmp_path / "none"})
    assert not (tmp_path / "both").exists()
