"""Several corpora as one folder."""

from __future__ import annotations

import pytest

import fullband
from fullband.corpora.combine import combine
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.corpora.overview import check_disjoint
from fullband.corpora.table import read_rows, write_rows
from fullband.errors import AudioFileError, MissingFileError, OutputError, SettingsError
from signals import noise


def made(folder, splits, speaker="", short=False):
    folder.mkdir()
    rows = []
    for number, split in enumerate(splits):
        name = f"{number}.wav"
        seed = 100 * ord(folder.name[0]) + number  # other corpora have other recordings
        fullband.write(folder / name, noise(0.05, 16_000, seed), 16_000)
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


def public(folder):
    """A corpus of three, as `fetch public-speech` writes it; `solo` is a single voice."""
    parts = {"games": "train valid test", "school": "train train test", "solo": "train valid test"}
    rows = []
    for seed, (part, splits) in enumerate(parts.items()):
        (folder / part).mkdir(parents=True)
        for number, split in enumerate(splits.split()):
            name = f"{part}/{number}.wav"
            fullband.write(folder / name, noise(0.05, 16_000, 10 * seed + number), 16_000)
            speaker = f"{part}/voice" if part == "solo" else f"{part}/{split}"
            measured = {"wall_hz": str(15_000 + number), "bandwidth_hz": str(14_000 + number)}
            row = {"file": name, "split": split, "speaker": speaker, "corpus": part}
            rows.append({**row, **measured})
    write_rows(folder, rows)
    return folder


def splits_of(rows):
    return {row["file"]: row["split"] for row in rows}


def test_whole_corpora_are_held_out_for_selection_and_left_out(tmp_path):
    parts = {
        "public": public(tmp_path / "public"),
        "old": made(tmp_path / "old", ["train", "valid", "test"], "voice-", short=True),
    }
    rows = combine(tmp_path / "all", parts, ["public/school"], ["public/games/1.wav", "old/2.wav"])
    assert splits_of(rows[:9]) == {
        "public/games/0.wav": "train",
        "public/games/2.wav": "test",
        "public/school/0.wav": "valid",
        "public/school/1.wav": "valid",
        "public/school/2.wav": "test",
        "public/solo/0.wav": "train",
        "public/solo/1.wav": "valid-same",
        "public/solo/2.wav": "test",
        "old/0.wav": "train",
    }
    assert splits_of(rows[9:]) == {
        "old/1.wav": "valid-same",
        "public/school/0.wav": "valid-short",  # of what was held out
        "public/games/2.wav": "test-short",
    }
    check_disjoint(tmp_path / "all")


def test_parts_of_parts_keep_their_names_and_what_was_measured(tmp_path):
    combine(tmp_path / "all", {"public": public(tmp_path / "public")})
    rows = {row["file"]: row for row in read_rows(tmp_path / "all")}
    assert rows["public/solo/1.wav"] == {
        "file": "public/solo/1.wav",
        "split": "valid",
        "speaker": "public/solo/voice",
        "licence": "",
        "corpus": "public/solo",
        "wall_hz": "15001",
        "bandwidth_hz": "14001",
    }


def test_without_holding_out_valid_is_valid(tmp_path):
    rows = combine(tmp_path / "all", {"public": public(tmp_path / "public")})
    assert {row["split"] for row in rows} == {"train", "valid", "test"}


def test_half_a_speaker_cannot_be_held_out(tmp_path):
    parts = {"public": public(tmp_path / "public")}
    with pytest.raises(AudioFileError, match="speaker 'public/school/train' is in train, valid"):
        combine(tmp_path / "all", parts, hold_out=["public/school/0.wav"])
    assert not (tmp_path / "all" / "files.csv").exists()


def test_one_recording_under_two_names_in_two_splits_is_refused(tmp_path):
    parts = {"public": public(tmp_path / "public"), "old": made(tmp_path / "old", ["train"])}
    copy = (tmp_path / "public" / "games" / "2.wav").read_bytes()
    (tmp_path / "old" / "0.wav").write_bytes(copy)
    with pytest.raises(AudioFileError) as caught:
        combine(tmp_path / "all", parts)
    assert str(caught.value) == (
        f"{tmp_path / 'all'}: 'public/games/2.wav' (test) and 'old/0.wav' (train) are the same "
        "recording; leave one out"
    )
    rows = combine(tmp_path / "all", parts, leave_out=["old/0.wav"])
    assert "old/0.wav" not in splits_of(rows)


def test_one_recording_under_two_names_in_one_split_may_be(tmp_path):
    parts = {"public": public(tmp_path / "public"), "old": made(tmp_path / "old", ["train"])}
    copy = (tmp_path / "public" / "games" / "0.wav").read_bytes()
    (tmp_path / "old" / "0.wav").write_bytes(copy)
    assert len(combine(tmp_path / "all", parts)) == 10


@pytest.mark.parametrize("option", ["hold_out", "leave_out"])
def test_what_is_not_there_cannot_be_held_or_left_out(tmp_path, option):
    parts = {"public": public(tmp_path / "public")}
    with pytest.raises(SettingsError) as caught:
        combine(tmp_path / "all", parts, **{option: ["public/schol"]})
    assert str(caught.value) == (
        f"--{option.replace('_', '-')} public/schol: nothing of that name is in the parts; "
        "did you mean 'public/school'?"
    )
    with pytest.raises(SettingsError, match="public/sch: nothing"):  # not by half a name
        combine(tmp_path / "all", parts, **{option: ["public/sch"]})


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
