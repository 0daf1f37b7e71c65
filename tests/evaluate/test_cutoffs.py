"""Every cutoff: which recordings are taken, how they are limited, and the verdict."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import fullband
from fullband.errors import MissingFileError
from fullband.evaluate.cutoffs import (
    CUTOFFS_HZ,
    Recording,
    cell_systems,
    choose_recordings,
    cutoff_table,
    degradation_of,
    ideal_system,
    largest_deviation_db,
    score_cell,
    source_table,
    verdict,
    verdict_table,
)
from fullband.evaluate.suite import bare_systems
from signals import low_passed, noise

RATE = 48_000


@pytest.fixture
def corpus(tmp_path):
    """Two sources: one of two speakers at 48 kHz, one with a codec's wall at 12 kHz."""
    folder = tmp_path / "corpus"
    rows = []

    def add(name, speaker, source, audio, rate=RATE, wall=0, bandwidth="", split="test"):
        fullband.write(folder / name, audio, rate, "FLOAT")
        seconds = len(audio) / rate
        rows.append([name, split, speaker, source, wall, bandwidth, rate, seconds])

    for speaker in ("a", "b"):
        for number in range(3):
            audio = noise(1.2, RATE, seed=number, rms=0.05)
            add(f"one/{speaker}{number}.wav", speaker, "one", audio)
    walled = low_passed(noise(1.5, RATE, seed=9, rms=0.05), RATE, 11_800)
    add("two/c.wav", "c", "two", walled, wall=12_000)
    add("two/short.wav", "c", "two", noise(0.5, RATE))
    add("two/slow.wav", "d", "two", noise(1.5, 16_000, rms=0.05), rate=16_000)
    add("one/train.wav", "e", "one", noise(1.2, RATE), split="train")
    with (folder / "files.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        columns = "file,split,speaker,corpus,wall_hz,bandwidth_hz,sample_rate,seconds"
        writer.writerow(columns.split(","))
        writer.writerows(rows)
    return folder


def test_recordings_are_spread_over_sources_and_speakers(corpus):
    chosen = choose_recordings(corpus, "test", 2000, 5)
    assert [one.source for one in chosen] == ["one", "two", "one", "two", "one"]
    assert [one.speaker for one in chosen] == ["a", "c", "b", "d", "a"]
    assert len(choose_recordings(corpus, "test", 2000, 99)) == 8  # no short one, no train


def test_the_limit_is_the_wall_or_what_the_rate_can_hold(corpus):
    limits = {one.file: one.limit_hz for one in choose_recordings(corpus, "test", 2000, 99)}
    assert limits["one/a0.wav"] == np.inf
    assert limits["two/c.wav"] == 11_600
    assert limits["two/slow.wav"] == 0.98 * 8000


def test_recordings_that_end_near_the_cutoff_are_left_out(corpus):
    files = {one.file for one in choose_recordings(corpus, "test", 11_000, 99)}
    assert "two/c.wav" not in files  # 600 Hz of room
    assert "two/c.wav" in {one.file for one in choose_recordings(corpus, "test", 8000, 99)}
    assert "two/slow.wav" not in {one.file for one in choose_recordings(corpus, "test", 8000, 99)}
    (corpus / "files.csv").write_text("file,split\ntwo/slow.wav,test\n")
    with pytest.raises(MissingFileError, match="no recording of split 'test' lasts 1 s"):
        choose_recordings(corpus, "test", 8000, 99)


def test_a_corpus_without_columns_is_measured(corpus):
    (corpus / "files.csv").write_text("file,split\ntwo/slow.wav,test\ntwo/short.wav,test\n")
    (one,) = choose_recordings(corpus, "test", 2000, 99)
    assert (one.file, one.limit_hz, one.source, one.speaker) == ("two/slow.wav", 7840, "", "")


def test_the_degradation_is_drawn_by_the_name_and_fits_the_ratio(tmp_path):
    wide = noise(0.5, RATE)
    methods = {}
    for cutoff_hz in CUTOFFS_HZ["speech"]:
        for number in range(40):
            one = Recording(f"{number}.wav", tmp_path, "", "", np.inf)
            narrow, degradation = degradation_of(one, wide, cutoff_hz)
            again, same = degradation_of(one, wide, cutoff_hz)
            assert degradation == same
            np.testing.assert_array_equal(narrow, again)
            assert degradation.cutoff_hz == cutoff_hz
            methods.setdefault(cutoff_hz, set()).add(degradation.method)
    assert len(methods[4000]) == 6
    assert methods[3400] == {"kaiser", "sinc-hann", "soxr"}


def test_the_older_models_are_scored_near_what_they_were_made_for():
    assert set(cell_systems(2000)) == {"audiounet-single-4x"}
    assert set(cell_systems(3400)) == set(cell_systems(4000)) == {"audiounet-speech-2x"}
    assert all(cell_systems(4000).values())
    assert cell_systems(8000) == {}


def test_scores_by_physics(corpus):
    recordings = choose_recordings(corpus, "test", 6000, 99)[:3]
    systems = {"ideal-lowpass": ideal_system, **bare_systems()}
    rows, joins = score_cell(recordings, 6000, systems, {})
    assert len(rows) == 9
    of = {(row["system"], row["file"]): row for row in rows}
    # White noise cut at a quarter of the band: three quarters of its power are the error.
    full = of["ideal-lowpass", "one/a0.wav"]
    assert full["snr_db"] == pytest.approx(-10 * np.log10(3 / 4), abs=0.1)
    assert full["limit_hz"] == 0
    # With a wall it is judged up to 11.6 kHz: (11.6 - 6) / 11.6 of the power.
    walled = of["ideal-lowpass", "two/c.wav"]
    assert walled["limit_hz"] == 11_600
    assert walled["snr_db"] == pytest.approx(-10 * np.log10(5.6 / 11.6), abs=0.1)
    # What the spline makes of the band above the wall is not held against it.
    assert of["spline", "two/c.wav"]["lsd"] < of["sinc", "two/c.wav"]["lsd"]
    assert np.isnan(full["visqol"])
    assert abs(largest_deviation_db(joins, "ideal-lowpass")) > 30
    below = [j for j in joins if j["system"] == "ideal-lowpass" and j["to_hz"] < 6000]
    assert max(abs(join["deviation_db"]) for join in below) < 0.01


def test_the_longest_are_heard(corpus, monkeypatch):
    monkeypatch.setattr("fullband.evaluate.cutoffs.visqol", lambda *given: 4.0)
    monkeypatch.setattr("fullband.evaluate.cutoffs.dnsmos", lambda *given: 3.0)
    recordings = choose_recordings(corpus, "test", 6000, 3)
    rows, _ = score_cell(recordings, 6000, bare_systems(), {"sinc": 1})
    heard = [(row["system"], row["file"]) for row in rows if not np.isnan(row["visqol"])]
    assert heard == [("sinc", "two/c.wav")]


def cell(system, corpus="x", cutoff_hz=4000.0, source="", file="1", **scores):
    about = {"corpus": corpus, "cutoff_hz": cutoff_hz, "source": source, "file": file}
    return {"system": system, **about, **scores}


def test_the_verdict_by_hand():
    sinc = cell("sinc", snr_db=20.0, lsd=3.0, lsd_low=0.5, visqol=2.0, dnsmos=np.nan)
    good = cell("speech", snr_db=19.75, lsd=1.0, lsd_low=0.503, visqol=3.0, dnsmos=np.nan)
    assert verdict([sinc, good], "speech") == []
    bad = cell("speech", snr_db=19.6, lsd=1.0, lsd_low=0.51, visqol=1.9, dnsmos=2.0)
    assert verdict([sinc, bad], "speech") == ["snr_db", "lsd_low", "visqol"]


def test_the_tables_by_hand():
    rows = [
        cell("sinc", source="p", snr_db=20.0, lsd=3.0),
        cell("sinc", source="q", file="2", snr_db=22.0, lsd=5.0),
        cell("audiounet-speech-2x", source="p", snr_db=21.0, lsd=2.0),
        cell("speech", source="p", snr_db=20.5, lsd=1.0),
        cell("speech", source="q", file="2", snr_db=20.0, lsd=2.0),
    ]
    joins = [
        cell("speech", deviation_db=-1.25),
        cell("speech", deviation_db=1.0),
        cell("sinc", deviation_db=-60.0),
    ]
    assert cutoff_table(rows, "speech", "lsd").splitlines()[2] == (
        "| x | 4 kHz | 2 | - | 4.00 | - | 2.00 | 1.50 |"
    )
    line = verdict_table(rows, joins, "speech").splitlines()[2]
    assert line.startswith("| x | 4 kHz | 21.00 / 20.25 | 4.00 / 1.50 |")
    assert line.endswith("| -60.0 / -1.2 | snr_db |")
    assert verdict_table(rows[:2], joins, "speech").splitlines()[2].endswith("| - |")
    assert source_table(rows, "speech", "lsd").splitlines()[2:] == [
        "| x | p | 3.00 / 1.00 |",
        "| x | q | 5.00 / 2.00 |",
    ]
