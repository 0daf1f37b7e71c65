"""An excerpt of a corpus that is small enough to travel."""

from __future__ import annotations

import numpy as np
import pytest

import fullband
from fullband.cli import main
from fullband.corpora.manifest import read_corpus
from fullband.corpora.notes import true_hz_of
from fullband.corpora.pack import pack
from fullband.corpora.table import read_rows, write_rows
from fullband.errors import AudioFileError, MissingFileError, OutputError, SettingsError
from signals import noise, tone


@pytest.fixture
def corpus(tmp_path):
    """Three recordings of each of two speakers, and one of nobody that is true far up."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for number in range(6):
        name = f"{number}.wav"
        fullband.write(folder / name, 0.1 * noise(2.0, 44_100, number), 44_100)
        speaker = "ab"[number % 2]
        rows.append({"file": name, "split": "train", "speaker": speaker, "bandwidth_hz": "15000"})
    fullband.write(folder / "high.wav", np.stack([tone(1000, 2.0, 48_000)] * 2), 48_000)
    rows.append({"file": "high.wav", "split": "valid", "speaker": "", "bandwidth_hz": "23000"})
    rows[0]["wall_hz"] = "12000"
    write_rows(folder, rows)
    return folder


def test_what_is_said_of_a_recording_goes_with_it(corpus, tmp_path):
    pack(corpus, tmp_path / "pack", {"train": 1.0, "valid": 1.0}, longest_s=0.5)
    rows = {row["file"]: row for row in read_rows(tmp_path / "pack")}
    assert len(rows) == 7
    low, high = rows["train/0.wav.opus"], rows["valid/high.wav.flac"]
    assert true_hz_of(low, 24_000) == 11_600  # 400 Hz below its wall
    assert true_hz_of(rows["train/1.wav.opus"], 24_000) == 15_000
    assert true_hz_of(high, 24_000) == 23_000
    assert (low["speaker"], low["split"], low["seconds"]) == ("a", "train", "0.500")
    audio, rate = fullband.read(tmp_path / "pack" / "train/0.wav.opus")
    assert (rate, audio.shape) == (48_000, (24_000,))
    kept, rate = fullband.read(tmp_path / "pack" / "valid/high.wav.flac")
    original, _ = fullband.read(corpus / "high.wav")
    assert rate == 48_000
    np.testing.assert_allclose(kept, original[0, 36_000:60_000], atol=2**-15)


def test_opus_for_all_says_that_it_ends_at_its_own_wall(corpus, tmp_path):
    pack(corpus, tmp_path / "pack", {"valid": 1.0}, codec="opus")
    (row,) = read_rows(tmp_path / "pack")
    assert row["file"].endswith(".opus")
    assert true_hz_of(row, 24_000) == 19_600


def test_speakers_take_turns_and_the_size_is_kept(corpus, tmp_path):
    room = 100_000 / 2**20  # each takes some 30 kB: 22,050 samples of about 11 bits
    rows = pack(corpus, tmp_path / "pack", {"train": room}, longest_s=0.5, codec="flac")
    assert 2 <= len(rows) < 6
    assert {row["speaker"] for row in rows[:2]} == {"a", "b"}
    size = sum(
        (tmp_path / "pack" / name).stat().st_size
        for name in read_corpus(tmp_path / "pack").split("train")
    )
    assert size == sum(int(row["bytes"]) for row in rows) <= room * 2**20
    assert len(list((tmp_path / "pack").rglob("*.flac"))) == len(rows)


def test_what_cannot_be_packed_is_refused(corpus, tmp_path):
    with pytest.raises(SettingsError, match="fits"):
        pack(corpus, tmp_path / "a", {"train": 1e-6})
    with pytest.raises(MissingFileError, match="no split 'tests'"):
        pack(corpus, tmp_path / "b", {"tests": 1.0})
    with pytest.raises(SettingsError, match="above 0"):
        pack(corpus, tmp_path / "c", {"train": 1.0}, longest_s=0.0)
    with pytest.raises(SettingsError, match="above 0"):
        pack(corpus, tmp_path / "d", {"train": float("nan")})
    with pytest.raises(OutputError, match="there already"):
        pack(corpus, corpus, {"train": 1.0})


def test_a_pack_that_fails_half_way_leaves_nothing(corpus, tmp_path):
    (corpus / "5.wav").write_bytes(b"not audio")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(AudioFileError):
        pack(corpus, tmp_path / "pack", {"train": 1.0})
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_says_what_it_packed(corpus, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["corpora", "pack", str(corpus), str(tmp_path / "p"), "--split", "train=1"])
    assert not stopped.value.code
    assert "6 files, 0." in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["corpora", "pack", str(corpus), str(tmp_path / "q"), "--split", "train"])
    assert stopped.value.code == 2
    assert "not NAME=MIB" in capsys.readouterr().err
