"""What a corpus holds, and what makes its scores worthless."""

from __future__ import annotations

import pytest

from fullband.corpora.overview import check_content, check_disjoint, summarise
from fullband.errors import AudioFileError, MissingFileError


def row(file, split, speaker="", **more):
    return {"file": file, "split": split, "speaker": speaker, **more}


def test_splits_are_summed_up_in_order():
    measured = [
        row("a", "train", "x", seconds="1800", bandwidth_hz="4000"),
        row("b", "train", "y", seconds="3600", bandwidth_hz="8000"),
        row("c", "train", "y", seconds="1800", bandwidth_hz="5000"),
    ]
    found = summarise([row("e", "odd"), row("d", "test", "z"), *measured, row("d", "valid")])
    assert [one.split for one in found] == ["train", "valid", "test", "odd"]
    train, test = found[0], found[2]
    assert (train.files, train.hours, train.speakers, train.bandwidth_hz) == (3, 2.0, 2, 5000)
    assert (test.files, test.hours, test.speakers, test.bandwidth_hz) == (1, None, 1, None)


@pytest.mark.parametrize("column", ["speaker", "piece"])
def test_a_speaker_or_piece_in_two_splits_is_refused(tmp_path, column):
    rows = [
        {"file": file, "split": split, column: name}
        for file, split, name in (("a", "train", "x"), ("b", "test", "x"), ("c", "valid", "y"))
    ]
    with pytest.raises(AudioFileError) as caught:
        check_disjoint(tmp_path, rows)
    assert str(caught.value) == f"{tmp_path}: {column} 'x' is in train, test"


def test_several_are_counted(tmp_path):
    rows = [row(f"{s}{i}", s, f"{i}") for s in ("train", "valid", "test") for i in range(3)]
    with pytest.raises(AudioFileError, match="speaker '0' and 2 more is in train, valid, test"):
        check_disjoint(tmp_path, rows)


def test_the_same_file_in_two_splits_is_refused_even_of_one_speaker(tmp_path):
    with pytest.raises(AudioFileError, match="file 'a' is in train, valid"):
        check_disjoint(tmp_path, [row("a", "train", "x"), row("a", "valid", "x")])


def test_a_single_speaker_may_be_in_all(tmp_path):
    check_disjoint(tmp_path, [row("a", "train", "x"), row("b", "valid", "x"), row("c", "test")])


def test_a_part_with_a_single_speaker_may_be_in_all(tmp_path):
    single = [row("s/a", "train", "s/x", corpus="s"), row("s/b", "test", "s/x", corpus="s")]
    many = [row("m/a", "train", "m/x", corpus="m"), row("m/b", "test", "m/y", corpus="m")]
    check_disjoint(tmp_path, [*single, *many])
    with pytest.raises(AudioFileError, match="speaker 'm/x' is in train, test"):
        check_disjoint(tmp_path, [*single, *many, row("m/c", "test", "m/x", corpus="m")])


def test_other_splits_may_repeat(tmp_path):
    check_disjoint(tmp_path, [row("a", "test", "x"), row("a", "test-short", "x"), row("b", "odd")])


def test_content_is_compared_where_splits_differ(tmp_path):
    contents = {"a": b"one", "b": b"two", "c": b"one", "d": b"three", "e": b"one"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    rows = [row("a", "train"), row("b", "valid"), row("d", "test")]
    check_content(tmp_path, [*rows, row("c", "train"), row("e", "odd")])
    with pytest.raises(AudioFileError) as caught:
        check_content(tmp_path, [*rows, row("c", "test"), row("e", "valid")])
    assert str(caught.value) == (
        f"{tmp_path}: 'a' (train) and 'c' (test) are the same recording (1 more like that); "
        "leave one out"
    )
    with pytest.raises(MissingFileError, match="f: named by the corpus, not there"):
        check_content(tmp_path, [row("f", "test")])
