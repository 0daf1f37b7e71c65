"""Systems side by side on a tiny corpus: which rows there are, and what they must say."""

from __future__ import annotations

import datetime
import re
import shutil

import numpy as np
import onnxruntime
import pytest

import fullband
from fullband.audio.level import active_level_db
from fullband.card import read_card
from fullband.corpora.dataset import decode
from fullband.corpora.manifest import read_corpus
from fullband.degrade import degrade
from fullband.errors import AudioFileError, MissingFileError, ModelError, SettingsError
from fullband.evaluate.metrics import score
from fullband.evaluate.report import markdown_table, read_rows, write_rows
from fullband.evaluate.suite import evaluate_model
from fullband.models.spline import interpolate
from signals import noise, tone

SCORES = ["snr_db", "segmental_snr_db", "si_sdr_db", "lsd_2017", "lsd", "lsd_low", "lsd_high"]
FILES = ["test/noise.wav", "test/tones.wav"]


@pytest.fixture
def corpus(tmp_path):
    """Two files to test with: white noise, and a tone below 2 kHz with one above; one to train."""
    folder = tmp_path / "tiny corpus"
    tones = tone(1000, 1.5, 16_000, 0.3) + tone(3000, 1.5, 16_000, 0.03)
    for name, audio in (("noise", noise(1, 16_000, seed=1, rms=0.05)), ("tones", tones)):
        fullband.write(folder / "test" / f"{name}.wav", audio, 16_000, "FLOAT")
    fullband.write(folder / "train" / "other.wav", noise(1, 16_000, seed=2), 16_000)
    return folder


def evaluated(model, corpus, *, sample_rate=16_000, narrow_rate=4000, **options):
    return evaluate_model(str(model), str(corpus), sample_rate, narrow_rate, **options)


def of_system(rows, system):
    """The rows of one system by file."""
    return {row["file"]: row for row in rows if row["system"] == system}


def systems_of(rows):
    return list(dict.fromkeys(row["system"] for row in rows))


@pytest.mark.parametrize("model", ["spline", "sinc"])
def test_a_baseline_is_listed_once_beside_the_others(corpus, model):
    rows = evaluated(model, corpus)
    assert [(row["system"], row["file"]) for row in rows] == [
        (system, file) for system in ("ideal-lowpass", "sinc", "spline") for file in FILES
    ]


def test_a_baseline_scores_the_same_whichever_model_it_stands_beside(corpus):
    splines = [
        of_system(evaluated(model, corpus), "spline")["test/noise.wav"]
        for model in ("spline", "sinc")
    ]
    assert splines[0] == splines[1]


def test_a_model_is_scored_raw_and_enhanced(corpus, exported):
    rows = evaluated(exported[4], corpus)
    assert systems_of(rows) == ["ideal-lowpass", "sinc", "spline", "tiny-4x (raw)", "tiny-4x"]
    assert len(rows) == 10


def test_a_model_of_another_rate_is_only_scored_enhanced(corpus, exported):
    rows = evaluated(exported[3], corpus, limit=1)
    assert systems_of(rows) == ["ideal-lowpass", "sinc", "spline", "tiny-3x"]


def test_without_baselines_there_is_the_model_alone(corpus, exported):
    assert systems_of(evaluated(exported[4], corpus, baselines=False)) == [
        "tiny-4x (raw)",
        "tiny-4x",
    ]
    (alone,) = evaluated("sinc", corpus, baselines=False, limit=1)
    beside = of_system(evaluated("sinc", corpus, limit=1), "sinc")[FILES[0]]
    assert {name: alone[name] for name in SCORES} == {name: beside[name] for name in SCORES}


def test_every_row_says_where_it_comes_from(corpus, exported):
    rows = evaluated(exported[4], corpus, method="fir")
    for row in rows:
        assert row["corpus"] == "tiny corpus"
        assert row["split"] == "test"
        assert row["method"] == "fir"
        assert (row["sample_rate"], row["narrow_rate"]) == (16_000, 4000)
        assert row["model_sha256"] == read_card(exported[4].with_suffix(".json")).sha256
        assert row["version"] == fullband.__version__
        assert re.fullmatch(r"|.*[0-9a-f]{7,}(-dirty)?|v?[0-9.]+(-dirty)?", row["commit"])
        assert re.fullmatch(r"\w+ \w+, Python 3\.\d+\.\S+", row["machine"])
        age = datetime.date.today() - datetime.date.fromisoformat(row["date"])
        assert 0 <= age.days <= 1
        assert row["seconds"] in (1.0, 1.5)
        assert all(np.isfinite(row[name]) for name in SCORES)


def test_a_baseline_has_no_weights_to_name(corpus):
    assert {row["model_sha256"] for row in evaluated("sinc", corpus)} == {""}


def test_without_git_there_is_no_commit(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {row["commit"] for row in evaluated("sinc", corpus, limit=1)} == {""}


@pytest.mark.parametrize(("narrow_rate", "lost"), [(8000, 1 / 2), (4000, 3 / 4), (2000, 7 / 8)])
def test_the_ideal_lowpass_loses_the_energy_above_its_cutoff(corpus, narrow_rate, lost):
    # Parseval: what is cut off white noise is the error, and it is a known part of the whole.
    rows = of_system(evaluated("sinc", corpus, narrow_rate=narrow_rate), "ideal-lowpass")
    expected = -10 * np.log10(lost)
    assert rows["test/noise.wav"]["snr_db"] == pytest.approx(expected, abs=0.1)
    audio, _ = fullband.read(corpus / "test" / "noise.wav")
    energy = np.abs(np.fft.rfft(audio.astype(np.float64))) ** 2
    above = energy[np.fft.rfftfreq(len(audio), 1 / 16_000) >= narrow_rate / 2]
    exact = 10 * np.log10(energy.sum() / above.sum())
    assert rows["test/noise.wav"]["snr_db"] == pytest.approx(exact, abs=0.02)


def test_the_ideal_lowpass_keeps_the_tone_below_and_loses_the_one_above(corpus):
    row = of_system(evaluated("sinc", corpus), "ideal-lowpass")["test/tones.wav"]
    assert row["snr_db"] == pytest.approx(10 * np.log10((0.3**2 + 0.03**2) / 0.03**2), abs=0.01)


def test_no_baseline_beats_the_ideal_lowpass_on_noise(corpus):
    rows = evaluated("spline", corpus, narrow_rate=8000)
    ideal, sinc, spline = (
        of_system(rows, system)["test/noise.wav"] for system in ("ideal-lowpass", "sinc", "spline")
    )
    assert ideal["snr_db"] > max(sinc["snr_db"], spline["snr_db"])
    assert ideal["lsd_low"] < min(sinc["lsd_low"], spline["lsd_low"])


def test_the_enhanced_row_is_what_enhance_gives(corpus, exported):
    rows = of_system(evaluated(exported[4], corpus, method="kaiser"), "tiny-4x")
    for file, row in rows.items():
        wide, _ = fullband.read(corpus / file)
        narrow = degrade(wide, 16_000, 4000, "kaiser")
        predicted, _ = fullband.enhance(narrow, 4000, rate=16_000, model=str(exported[4]))
        for name, value in score(predicted, wide, 16_000, 2000).items():
            assert row[name] == pytest.approx(value, rel=1e-5)


def test_the_raw_row_is_what_the_graph_gives(corpus, exported):
    session = onnxruntime.InferenceSession(exported[4], providers=["CPUExecutionProvider"])
    (graph_input,) = session.get_inputs()
    for file, row in of_system(evaluated(exported[4], corpus), "tiny-4x (raw)").items():
        wide, _ = fullband.read(corpus / file)
        narrow = degrade(wide, 16_000, 4000, "chebyshev")
        gain = np.float32(10 ** ((-26 - active_level_db(narrow, 4000)) / 20))
        upsampled = interpolate(gain * narrow, 4000, 16_000)
        (predicted,) = session.run(None, {graph_input.name: upsampled[None]})
        for name, value in score(predicted[0] / gain, wide, 16_000, 2000).items():
            assert row[name] == pytest.approx(value, rel=1e-3)


def test_a_model_that_is_wrong_is_worse_raw_than_enhanced(corpus, exported):
    rows = evaluated(exported[4], corpus)
    raw, enhanced = (
        of_system(rows, system)["test/tones.wav"] for system in ("tiny-4x (raw)", "tiny-4x")
    )
    assert raw["snr_db"] < enhanced["snr_db"] - 1


def test_recordings_are_brought_to_the_rate_asked_for(corpus):
    rows = of_system(evaluated("sinc", corpus, sample_rate=8000, narrow_rate=4000), "ideal-lowpass")
    assert rows["test/noise.wav"]["sample_rate"] == 8000
    assert rows["test/noise.wav"]["snr_db"] == pytest.approx(10 * np.log10(2), abs=0.3)


@pytest.mark.parametrize(("limit", "expected"), [(1, FILES[:1]), (2, FILES), (9, FILES)])
def test_a_limit_takes_the_first_files(corpus, limit, expected):
    limited = evaluated("sinc", corpus, limit=limit)
    assert list(of_system(limited, "sinc")) == expected
    whole = of_system(evaluated("sinc", corpus), "sinc")
    for file, row in of_system(limited, "sinc").items():
        assert row == whole[file]


def test_another_split_is_another_set_of_files(corpus):
    rows = evaluated("sinc", corpus, split="train")
    assert {(row["file"], row["split"]) for row in rows} == {("train/other.wav", "train")}


def test_progress_tells_the_system_and_the_files(corpus):
    told = []
    evaluated("sinc", corpus, progress=lambda *state: told.append(state))
    assert told == [
        (system, done, 2) for system in ("ideal-lowpass", "sinc", "spline") for done in (0, 1, 2)
    ]


def test_auto_is_the_released_model_that_fits(corpus, exported, tmp_path, monkeypatch):
    released = tmp_path / "released"
    released.mkdir()
    for suffix in (".onnx", ".json"):
        shutil.copy(exported[4].with_suffix(suffix), released / f"tiny-4x{suffix}")
    monkeypatch.setattr("fullband.card.RELEASED", released)
    rows = evaluated("auto", corpus, limit=1)
    assert systems_of(rows) == ["ideal-lowpass", "sinc", "spline", "auto"]
    named = of_system(evaluated("tiny-4x", corpus, limit=1), "tiny-4x")[FILES[0]]
    auto = of_system(rows, "auto")[FILES[0]]
    assert {name: auto[name] for name in SCORES} == {name: named[name] for name in SCORES}


def test_the_corpus_is_decoded_into_the_cache_that_is_given(corpus, tmp_path, own_cache):
    cache = tmp_path / "cache"
    evaluated("sinc", corpus, cache=cache)
    decoded = decode(read_corpus(corpus), "test", 16_000, cache)
    assert decoded.names == tuple(FILES)
    assert len(list(cache.iterdir())) == 2
    assert list(own_cache.iterdir()) == []


def test_rows_can_be_stored_and_shown(corpus, tmp_path):
    rows = evaluated("spline", corpus)
    write_rows(rows, tmp_path / "rows.csv")
    assert len(read_rows(tmp_path / "rows.csv")) == len(rows)
    table = markdown_table(rows).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == systems_of(rows)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"split": "valid"}, MissingFileError, "has no split 'valid', only test, train"),
        ({"model": "splin"}, ModelError, "unknown model 'splin'; did you mean 'spline'?"),
        ({"model": "none.onnx"}, ModelError, "none.onnx: a model needs both"),
        ({"method": "fur"}, SettingsError, "unknown degradation 'fur'"),
        (
            {"narrow_rate": 6000},
            SettingsError,
            "'chebyshev' needs a whole ratio, not 16000 to 6000",
        ),
        ({"narrow_rate": 16_000}, SettingsError, "must lie below 16000 Hz, got 16000"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(corpus, change, error, message):
    with pytest.raises(error) as caught:
        evaluated(**{"model": "sinc", "corpus": corpus, **change})
    assert message in str(caught.value)


def test_a_corpus_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"/none: no such folder$"):
        evaluated("sinc", tmp_path / "none")


def test_a_damaged_file_is_named(corpus):
    (corpus / "test" / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioFileError, match=r"broken\.wav: "):
        evaluated("sinc", corpus)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_leaves_at_least_one_file(corpus, limit):
    with pytest.raises(SettingsError, match="at least 1 file"):
        evaluated("sinc", corpus, limit=limit)
