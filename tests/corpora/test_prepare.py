"""Preparing: splits for folders without any, measurements that are right, all of it once."""

from __future__ import annotations

import numpy as np
import pytest

import fullband
from fullband.corpora import prepare as module
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.corpora.overview import check_disjoint, summarise
from fullband.corpora.prepare import Shares, measure, prepare, split_folder
from fullband.corpora.table import read_rows, write_rows
from fullband.errors import (
    AudioFileError,
    MissingFileError,
    OutputError,
    SettingsError,
)
from signals import low_passed, noise

HALF = Shares(valid=0.25, test=0.25)


@pytest.fixture
def voices(tmp_path):
    """Eight speakers with two recordings each: 48 kHz, mono and stereo, the one up to 6 kHz."""
    for number in range(8):
        (tmp_path / f"s{number}").mkdir()
        full = noise(0.5, 48_000, seed=number)
        narrow = low_passed(noise(0.25, 48_000, seed=100 + number), 48_000, 6000)
        fullband.write(tmp_path / f"s{number}" / "a.wav", np.stack([full, full]), 48_000, "FLOAT")
        fullband.write(tmp_path / f"s{number}" / "b.flac", narrow, 48_000)
    return tmp_path


def table_of(folder):
    return (folder / "files.csv").read_text()


def test_what_is_measured_is_what_was_made(voices):
    prepare(voices, 16_000, shares=HALF)
    rows = {row["file"]: row for row in read_rows(voices)}
    assert len(rows) == 16
    assert table_of(voices).splitlines()[0] == (
        "file,split,speaker,licence,seconds,sample_rate,channels,bandwidth_hz,holes,bytes"
    )
    one, other = rows["s3/a.wav"], rows["s3/b.flac"]
    assert (one["seconds"], one["sample_rate"], one["channels"]) == ("0.500", "48000", "2")
    assert (other["seconds"], other["sample_rate"], other["channels"]) == ("0.250", "48000", "1")
    assert float(one["bandwidth_hz"]) == 24_000
    assert 0.002 < float(one["holes"]) < 0.005  # noise has as many by itself
    assert float(other["bandwidth_hz"]) == pytest.approx(6000, abs=300)
    assert other["bytes"] == str((voices / "s3" / "b.flac").stat().st_size)
    assert {row["speaker"] for row in rows.values()} == {f"s{number}" for number in range(8)}


def test_speakers_stay_together(voices):
    rows = prepare(voices, 16_000, shares=HALF)
    summary = {found.split: found for found in summarise(rows)}
    assert [summary[name].speakers for name in ("train", "valid", "test")] == [4, 2, 2]
    assert [summary[name].files for name in ("train", "valid", "test")] == [8, 4, 4]
    assert summary["train"].hours == pytest.approx(4 * 0.75 / 3600)
    check_disjoint(voices)


def test_files_are_shared_out_when_asked_for(voices):
    rows = split_folder(voices, shares=Shares(valid=0.25, test=0.25, by="file"))
    assert sorted(row["split"] for row in rows) == ["test"] * 4 + ["train"] * 8 + ["valid"] * 4
    assert {row["speaker"] for row in rows} == {""}


def test_training_finds_everything_decoded(voices, own_cache):
    prepare(voices, 16_000, ("train",), shares=HALF)
    assert len(list(own_cache.glob("*.npy"))) == 1
    before = {path: path.stat().st_mtime_ns for path in own_cache.iterdir()}
    decoded = decode(read_corpus(voices), "train", 16_000)
    assert len(decoded) == 8
    assert {path: path.stat().st_mtime_ns for path in own_cache.iterdir()} == before
    prepare(voices, 16_000)
    assert len(list(own_cache.glob("*.npy"))) == 3


def test_the_second_time_changes_nothing(voices, own_cache, monkeypatch):
    prepare(voices, 16_000, shares=HALF)
    table, cached = table_of(voices), sorted(own_cache.iterdir())

    def never(path):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "_measured", never)
    prepare(voices, 16_000, shares=HALF)
    prepare(voices, 16_000)
    assert table_of(voices) == table
    assert sorted(own_cache.iterdir()) == cached


def test_a_changed_file_is_measured_again(voices):
    prepare(voices, 16_000, shares=HALF)
    fullband.write(voices / "s0" / "a.wav", noise(0.75, 16_000), 16_000, force=True)
    rows = {row["file"]: row for row in prepare(voices, 16_000)}
    assert (rows["s0/a.wav"]["seconds"], rows["s0/a.wav"]["sample_rate"]) == ("0.750", "16000")


def test_measuring_that_was_killed_goes_on(voices, monkeypatch):
    split_folder(voices, shares=HALF)
    real, done = module._measured, []

    def killed(path, bandwidth_hz):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(path)
        return real(path, bandwidth_hz)

    monkeypatch.setattr(module, "_measured", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(voices, read_rows(voices))
    assert sum(bool(row["seconds"]) for row in read_rows(voices)) == 5
    monkeypatch.setattr(
        module, "_measured", lambda path, known: done.append(path) or real(path, known)
    )
    measure(voices, read_rows(voices))
    assert len(done) == len(set(done)) == 16
    assert all(row["seconds"] for row in read_rows(voices))


def test_a_listed_bandwidth_stays_as_long_as_the_file_does(voices):
    names = ["s0/a.wav", "s0/b.flac"]
    write_rows(
        voices,
        [
            {"file": name, "split": "train", "wall_hz": "16000", "bandwidth_hz": bandwidth}
            for name, bandwidth in zip(names, ["15000", ""], strict=True)
        ],
    )
    listed, unlisted = measure(voices, read_rows(voices))
    assert (listed["wall_hz"], listed["bandwidth_hz"], listed["seconds"]) == (
        "16000",
        "15000",
        "0.500",
    )
    assert float(unlisted["bandwidth_hz"]) == pytest.approx(6000, abs=300)
    assert measure(voices, read_rows(voices)) == [listed, unlisted]
    (voices / names[0]).unlink()
    fullband.write(voices / names[0], noise(0.75, 48_000), 48_000, "FLOAT")  # another recording
    assert measure(voices, read_rows(voices))[0]["bandwidth_hz"] == "24000"


def test_what_is_measured_is_kept_every_now_and_then(voices, monkeypatch):
    split_folder(voices, shares=HALF)
    monkeypatch.setattr(module, "_SAVE_EVERY_S", 0.0)
    kept = []
    measure(
        voices,
        read_rows(voices),
        lambda *_: kept.append(sum(bool(row.get("seconds")) for row in read_rows(voices))),
    )
    assert kept == list(range(16))


def test_a_recording_in_two_splits_is_measured_once_for_both(voices):
    (voices / "files.csv").write_text("file,split,mine\ns0/a.wav,test,x\ns0/a.wav,test-short,y\n")
    rows = prepare(voices, 16_000)
    assert [row["seconds"] for row in rows] == ["0.500", "0.500"]
    assert [row["mine"] for row in read_rows(voices)] == ["x", "y"]


def test_folders_by_split_stay_as_they_are(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / split).mkdir()
        fullband.write(tmp_path / split / "a.wav", noise(0.1, 16_000), 16_000)
    with pytest.raises(SettingsError, match=r"has splits of its own \(test, train, valid\)"):
        prepare(tmp_path, 16_000, shares=HALF)
    rows = prepare(tmp_path, 16_000)
    assert {(row["file"], row["split"]) for row in rows} == {
        (f"{split}/a.wav", split) for split in ("train", "valid", "test")
    }


def test_splits_are_not_made_up_unasked(voices):
    assert {row["split"] for row in prepare(voices, 16_000)} == {"test"}


def test_other_splits_than_those_that_are_there_are_refused(voices):
    split_folder(voices, shares=HALF)
    with pytest.raises(SettingsError, match="has other splits than those asked for; delete it"):
        split_folder(voices, shares=Shares(valid=0.5, test=0.125))


def test_a_file_in_no_speakers_folder_is_refused(voices):
    fullband.write(voices / "stray.wav", noise(0.1, 16_000), 16_000)
    with pytest.raises(
        AudioFileError, match=r"stray\.wav: lies in no speaker's folder; use --by f"
    ):
        split_folder(voices, shares=HALF)


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.9, 0.2)])
def test_shares_that_leave_nothing_are_refused(voices, valid, test):
    with pytest.raises(SettingsError, match="together less than 1"):
        split_folder(voices, shares=Shares(valid, test))


def test_a_split_that_is_not_there_is_refused_before_work(voices, own_cache):
    with pytest.raises(MissingFileError, match="has no split 'train', only test"):
        prepare(voices, 16_000, ("test", "train"))
    assert list(own_cache.iterdir()) == []


def test_a_missing_file_is_named(voices):
    (voices / "files.csv").write_text("file,split\nnone.wav,test\n")
    with pytest.raises(MissingFileError, match=r"none\.wav: named by the corpus, not there"):
        prepare(voices, 16_000)
    with pytest.raises(MissingFileError, match="no such folder"):
        prepare(voices / "none", 16_000)


def test_a_public_corpus_is_split_by_its_rule(tmp_path):
    base = tmp_path / "wav48_silence_trimmed" / "p225"
    base.mkdir(parents=True)
    for number in range(1, 21):
        audio = noise(0.05, 48_000, number)
        fullband.write(base / f"p225_{number:03d}_mic1.flac", audio, 48_000)
    rows = prepare(tmp_path, 16_000, name="vctk-single", valid=0.25)
    assert [row["split"] for row in rows].count("valid") == 3
    assert [row["split"] for row in rows[-8:]] == ["test"] * 8
    assert prepare(tmp_path, 16_000, name="vctk-single", valid=0.25) == rows
    with pytest.raises(SettingsError, match="has other splits"):
        prepare(tmp_path, 16_000, name="vctk-single")


def test_a_table_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"files\.csv: cannot be written"):
        write_rows(tmp_path / "none", [{"file": "a", "split": "test"}])
