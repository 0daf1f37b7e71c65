"""The speech model's suite on tiny material: what is kept, what is made again, what is shown."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import fullband
from fullband.audio.resample import resample
from fullband.cli import main
from fullband.degrade import Degradation, lower_rate
from fullband.errors import MissingFileError, SettingsError
from fullband.evaluate import cutoffs, published
from fullband.evaluate.judge import (
    Judged,
    enhanced,
    enhanced_system,
    evaluate_checks,
    evaluate_cutoffs,
    evaluate_damage,
    evaluate_fullband,
    evaluate_paper_tasks,
    evaluate_published,
    evaluate_stereo,
    judge_table,
)
from fullband.evaluate.metrics import score
from fullband.evaluate.paper import evaluate_paper
from fullband.evaluate.report import write_rows
from fullband.evaluate.stored import read_kept
from signals import pink_noise, voice

RATE = 48_000


@pytest.fixture
def clips(tmp_path):
    """A page with two clips and one method, which hands out the resampled input."""
    folder = tmp_path / "clips"
    for seed, sample in enumerate(("s1", "s2")):
        where = folder / "AP-BWE" / "8kto48k" / sample
        where.mkdir(parents=True)
        wide = voice(1, RATE, seed)
        narrow = resample(wide, RATE, 8000)
        for name, audio, rate in (
            ("reference", wide, RATE),
            ("input", narrow, 8000),
            ("theirs", resample(narrow, 8000, RATE), RATE),
        ):
            soundfile.write(where / f"{name}.flac", audio, rate, "PCM_24")
    return folder


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "test").mkdir(parents=True)
    for seed in (1, 2):
        soundfile.write(folder / "test" / f"{seed}.wav", pink_noise(1.1, RATE, seed), RATE)
    return folder


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """ViSQOL and DNSMOS cost nothing here and are counted."""
    heard = []
    for module in (cutoffs, published):
        monkeypatch.setattr(module, "visqol", lambda *given: heard.append(given) or 3.0)
        monkeypatch.setattr(module, "dnsmos", lambda *given: 2.0)
    return heard


def systems_of(rows):
    return list(dict.fromkeys(row["system"] for row in rows))


def test_what_is_enhanced_is_what_enhance_gives():
    enhancer = fullband.load("spline")
    narrow = voice(0.5, 8000)
    expected, _ = fullband.enhance(narrow, 8000, RATE, model="spline")
    np.testing.assert_array_equal(enhanced(enhancer, narrow, 8000, RATE), expected)
    wide = enhanced_system(enhancer)(narrow, Degradation("soxr", RATE, 8000), 23_000)
    np.testing.assert_array_equal(wide, expected[:23_000])


def test_a_rate_that_is_no_whole_number_goes_by_the_wide_rate():
    degradation = Degradation("soxr", 16_000, lower_rate(16_000, 6))
    narrow = degradation.apply(voice(1, 16_000))
    wide = enhanced_system(fullband.load("sinc"))(narrow, degradation, 16_000)
    np.testing.assert_allclose(wide, resample(narrow, degradation.narrow_rate, 16_000)[:16_000])


def test_published_outputs_are_scored_once(tmp_path, clips, exported, counted):
    path = tmp_path / "rows" / "published.csv"
    evaluate_published(Judged.open("sinc"), clips, path.parent)
    assert systems_of(read_kept(path)) == ["sinc", "theirs"]
    assert len(counted) == 4
    before = read_kept(path)
    evaluate_published(Judged.open(str(exported[3])), clips, path.parent, only="s2")
    assert len(counted) == 5
    rows = read_kept(path)
    assert rows[: len(before)] == before
    (ours,) = rows[len(before) :]
    assert (ours["system"], ours["sample"]) == ("tiny-3x", "s2")
    assert len(ours["model_sha256"]) == 64
    # theirs is the resampled input, to the last of its 24 bits.
    same = {(row["sample"], row["system"]): row for row in before}
    assert same["s1", "theirs"]["lsd"] == pytest.approx(same["s1", "sinc"]["lsd"], abs=0.1)
    evaluate_published(Judged.open(str(exported[3])), clips, path.parent, only="s2")
    assert len(counted) == 5
    evaluate_published(Judged.open(str(exported[3])), clips, path.parent, only="s2", again=True)
    assert len(counted) == 6
    assert len(read_kept(path)) == len(rows)


def test_a_model_with_other_weights_is_scored_again(tmp_path, clips, exported, counted):
    path = tmp_path / "rows" / "published.csv"
    judged = Judged.open(str(exported[3]))
    evaluate_published(judged, clips, path.parent, limit=1)
    rows = read_kept(path)
    assert len(counted) == len(rows) == 3
    write_rows([{**row, "model_sha256": "00" * bool(row["model_sha256"])} for row in rows], path)
    evaluate_published(judged, clips, path.parent, limit=1)
    assert len(counted) == 4
    assert systems_of(read_kept(path)) == ["sinc", "theirs", "tiny-3x"]


def test_cells_keep_what_does_not_depend_on_the_model(tmp_path, corpus, exported, counted):
    rows = tmp_path / "rows"
    evaluate_cutoffs(Judged.open("sinc"), {"x": corpus}, rows, only="x-8000", perceptual=1)
    cell = rows / "cutoffs" / "x-8000.csv"
    first = read_kept(cell)
    assert systems_of(first) == ["ideal-lowpass", "sinc", "spline"]
    assert [path.name for path in cell.parent.iterdir()] == ["x-8000.csv"]
    assert len(counted) == 1  # sinc alone
    assert first[0]["corpus"] == "x"
    evaluate_cutoffs(Judged.open(str(exported[3])), {"x": corpus}, rows, only="x-8000")
    second = read_kept(cell)
    assert repr(second[: len(first)]) == repr(first)  # NaN is not NaN
    assert systems_of(second) == [*systems_of(first), "tiny-3x"]
    assert len({row["method"] for row in second if row["file"] == "test/1.wav"}) == 1
    joins = read_kept(rows / "joins.csv")
    assert systems_of(joins) == systems_of(second)
    assert len(joins) == 4 * 13
    # Another model takes the first one's place.
    evaluate_cutoffs(Judged.open("spline"), {"x": corpus}, rows, only="x-8000")
    assert systems_of(read_kept(cell)) == systems_of(second)  # nothing was missing
    evaluate_cutoffs(Judged.open("sinc"), {"x": corpus}, rows, only="x-8000", limit=1)
    assert {row["file"] for row in read_kept(cell)} == {"test/1.wav"}
    assert systems_of(read_kept(rows / "joins.csv")) == systems_of(first)


def test_a_cell_is_what_enhance_makes_of_its_narrow_audio(tmp_path, corpus):
    evaluate_cutoffs(Judged.open("sinc"), {"x": corpus}, tmp_path, only="x-4000", limit=1)
    row = next(
        row
        for row in read_kept(tmp_path / "cutoffs" / "x-4000.csv")
        if row["system"] == "audiounet-speech-2x"
    )
    wide, _ = fullband.read(corpus / "test" / "1.wav")
    narrow = Degradation(row["method"], RATE, 8000).apply(wide)
    predicted, _ = fullband.enhance(narrow, 8000, RATE, model="audiounet-speech-2x")
    for name, value in score(predicted, wide, RATE, 4000).items():
        assert row[name] == pytest.approx(value, rel=1e-3, abs=1e-4)


def test_the_papers_tasks_beside_their_rows(tmp_path, exported):
    folder = tmp_path / "single"
    (folder / "test").mkdir(parents=True)
    for seed in (1, 2):
        soundfile.write(folder / "test" / f"{seed}.wav", pink_noise(1.1, 16_000, seed), 16_000)
    paper_rows = tmp_path / "measured" / "paper"
    evaluate_paper({"single": folder}, tmp_path, paper_rows, only="chebyshev")
    rows = tmp_path / "measured" / "speech"
    rows.mkdir()
    (rows / "suite.json").write_text(json.dumps({"model": "sinc"}))
    evaluate_paper_tasks(Judged.open("sinc"), {"single": folder}, paper_rows, rows)
    own = read_kept(rows / "paper.csv")
    assert [row["task"] for row in own[::2]] == [
        f"single-test-{ratio}x-chebyshev" for ratio in (2, 4, 6, 8)
    ]
    # The same files in the same way: sinc through enhance is the stored sinc.
    for line in judge_table(rows, "paper", "snr_db").splitlines()[2:]:
        cells = line.strip("| ").split(" | ")
        assert cells[2] == cells[-1] != "-"
        assert cells[4] == "-"  # no trained models here
    stamp = (rows / "paper.csv").stat().st_mtime_ns
    evaluate_paper_tasks(Judged.open("sinc"), {"single": folder}, paper_rows, rows)
    assert (rows / "paper.csv").stat().st_mtime_ns == stamp


def test_checks_are_kept_by_model(tmp_path):
    evaluate_checks(Judged.open("sinc"), tmp_path)
    stamp = (tmp_path / "checks.csv").stat().st_mtime_ns
    evaluate_checks(Judged.open("sinc"), tmp_path)
    assert (tmp_path / "checks.csv").stat().st_mtime_ns == stamp
    (tmp_path / "suite.json").write_text(json.dumps({"model": "sinc"}))
    lines = judge_table(tmp_path, "checks").splitlines()
    assert len(lines) == 6
    assert all(line.endswith("| passed |") for line in lines[2:])


def test_everything_together(tmp_path, clips, corpus, exported):
    rows = tmp_path / "rows"
    told = []
    evaluate_fullband(
        str(exported[3]),
        rows,
        clips,
        {"x": corpus},
        limit=1,
        only="8",
        progress=lambda *state: told.append(state),
    )
    assert [state[0] for state in told] == [
        *("cutoffs/x-8000", "damage/x-vorbis:48", "damage/x-opus-nb:8"),
        "published/AP-BWE/8kto48k/s1",
    ]
    assert "| x | opus-nb:8 | 1 |" in judge_table(rows, "damage")
    stamp = (rows / "damage.csv").stat().st_mtime_ns
    evaluate_damage(Judged.open(str(exported[3])), {"x": corpus}, rows, limit=1, only="8")
    assert (rows / "damage.csv").stat().st_mtime_ns == stamp
    about = json.loads((rows / "suite.json").read_text(encoding="utf-8"))
    assert about["model"] == "tiny-3x"
    for words in (("verdicts",), ("cutoffs", "lsd"), ("sources", "snr_db")):
        assert "| x |" in judge_table(rows, *words)
    assert "| AP-BWE | 1 |" in judge_table(rows, "published", "8000", "48000")
    with pytest.raises(SettingsError, match="no table 'tunes'"):
        judge_table(rows, "tunes")


@pytest.fixture
def pieces(tmp_path):
    """Two pieces in stereo that have nothing before their middle; one has the same in both."""
    folder = tmp_path / "pieces"
    (folder / "test").mkdir(parents=True)
    for seed in (1, 2):
        channels = [pink_noise(10, RATE, seed), pink_noise(10, RATE, seed**2)]
        audio = np.pad(np.stack(channels, axis=1), ((2 * RATE, 2 * RATE), (0, 0)))
        soundfile.write(folder / "test" / f"{seed}.wav", audio, RATE)
    return folder


def test_music_is_judged_in_its_middle_and_in_stereo(tmp_path, pieces, counted):
    rows = tmp_path / "rows"
    told = []
    evaluate_fullband(
        "spline",
        rows,
        corpora={"x": pieces},
        only="x-8000",
        perceptual=1,
        progress=lambda *state: told.append(state[0]),
        kind="music",
    )
    assert told == ["cutoffs/x-8000", "stereo/x-8000"]
    cell = read_kept(rows / "cutoffs" / "x-8000.csv")
    assert {row["seconds"] for row in cell} == {10.0}
    assert sum(np.isnan(row["visqol"]) for row in cell if row["system"] == "sinc") == 1
    assert all(np.isnan(row["dnsmos"]) for row in cell)
    stereo = read_kept(rows / "stereo.csv")
    assert {row["file"] for row in stereo} == {"test/1.wav", "test/2.wav"}
    for row in stereo:
        same = row["file"] == "test/1.wav"
        assert row["original_correlation"] == pytest.approx(1.0 if same else 0.0, abs=0.05)
    assert "| x | 8 kHz | 2 |" in judge_table(rows, "stereo")
    stamp = (rows / "stereo.csv").stat().st_mtime_ns
    evaluate_stereo(Judged.open("spline"), {"x": pieces}, rows, only="x-8000")
    assert (rows / "stereo.csv").stat().st_mtime_ns == stamp


def test_stereo_of_any_length_and_of_pieces_that_are_new(tmp_path, pieces):
    # No whole number of samples at 8 kHz: what comes back is shorter or longer than it was.
    for name, length in (("1.wav", 50_001), ("2.wav", 50_005)):
        audio = np.stack([pink_noise(2, RATE, seed)[:length] for seed in (1, 2)], axis=1)
        soundfile.write(pieces / "test" / name, audio, RATE)
    for limit, files in ((1, 1), (None, 2)):
        judged = Judged.open("spline")
        evaluate_stereo(judged, {"x": pieces}, tmp_path, limit=limit, only="x-4000")
        assert len({row["file"] for row in read_kept(tmp_path / "stereo.csv")}) == files


def test_tables_of_nothing_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="run fullband evaluate --suite fullband first"):
        judge_table(tmp_path, "verdicts")


def judge(folder, suite, corpus, clips, only):
    """What the command says of sinc."""
    command = ["evaluate", "sinc", "--suite", suite, "--rows", str(folder / "rows")]
    command += ["--corpora", f"x={corpus}", "--published", str(clips), "--limit", "1"]
    result = CliRunner().invoke(main, [*command, "--only", only])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command(tmp_path, clips, corpus):
    output = judge(tmp_path, "fullband", corpus, clips, "8")
    assert "| x | 8 kHz |" in output
    assert "8000 to 48000 Hz" in output
    assert "Floors: lsd at most 1.10" in output


def test_the_command_for_music(tmp_path, clips, pieces):
    (clips / "AP-BWE").rename(clips / "FlashSR")
    (clips / "FlashSR" / "8kto48k").rename(clips / "FlashSR" / "music")
    output = judge(tmp_path, "music", pieces, clips, "usic")
    assert "8000 to 48000 Hz" in output
    assert "| FlashSR | 1 |" in output
    assert "Floors" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs --rows FOLDER"),
        (["--rows", "r", "--models", "m"], "takes MODEL, not CORPUS or --models"),
        (["sinc", "corpus", "--rows", "r"], "takes MODEL, not CORPUS or --models"),
        (["sinc", "--rows", "r", "--corpora", "x"], "--corpora takes NAME=FOLDER"),
        (["sinc", "--rows", "r", "--paper", "piano=x"], "NAME one of single, speakers"),
        (["--suite", "music", "s", "--rows", "r", "--paper", "single=x"], "NAME one of piano"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    result = CliRunner().invoke(main, ["evaluate", "--suite", "fullband", *arguments])
    assert result.exit_code == 2
    assert message in result.output
