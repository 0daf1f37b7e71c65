"""Running a system over recordings: rows, levels and lengths."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fullband.audio.level import active_level_db
from fullband.audio.resample import resample
from fullband.corpora.dataset import Decoded
from fullband.degrade import Degradation
from fullband.evaluate.metrics import score
from fullband.evaluate.run import evaluate_recordings, fit_length, mean_scores, raw_system
from fullband.models.spline import interpolate
from signals import error_db, low_passed, noise, rms_db, silence

DEGRADATION = Degradation("chebyshev", 16_000, 4000)
RECORDINGS = [noise(0.5, 16_000, seed=1), noise(0.8, 16_000, seed=2, rms=0.01)[:-3]]
CORPUS = Decoded(
    samples=np.concatenate(RECORDINGS),
    starts=(0, 8000, 8000 + 12_797),
    levels_db=(-20.0, -40.0),
    names=("a.wav", "b.wav"),
    sample_rate=16_000,
)

UPSAMPLE = {"spline": interpolate, "sinc": resample}


def config(upsampling):
    return SimpleNamespace(sample_rate=16_000, upsampling=upsampling)


def knowing_the_answer():
    """A system that returns the references, in their order."""
    references = iter(RECORDINGS)
    return lambda narrow, degradation, length: next(references)


def test_a_system_that_knows_the_answer_is_perfect():
    rows = evaluate_recordings(knowing_the_answer(), CORPUS, DEGRADATION)
    assert [row["file"] for row in rows] == ["a.wav", "b.wav"]
    assert [row["seconds"] for row in rows] == [0.5, 0.8]
    for row in rows:
        assert row["snr_db"] == row["si_sdr_db"] == 120
        assert row["lsd"] == row["lsd_2017"] == row["lsd_low"] == row["lsd_high"] == 0


def test_a_system_that_gives_nothing_loses_everything():
    def mute(narrow, degradation, length):
        return np.zeros(length, np.float32)

    for row in evaluate_recordings(mute, CORPUS, DEGRADATION):
        assert row["snr_db"] == pytest.approx(0)
        assert row["lsd_low"] > 1
        assert row["lsd_high"] > 1


def test_a_system_is_given_the_degraded_recording():
    given = []

    def system(narrow, degradation, length):
        given.append((narrow, degradation, length))
        return np.zeros(length, np.float32)

    evaluate_recordings(system, CORPUS, DEGRADATION)
    assert len(given) == 2
    for (narrow, degradation, length), wide in zip(given, RECORDINGS, strict=True):
        np.testing.assert_array_equal(narrow, DEGRADATION.apply(wide))
        assert degradation == DEGRADATION
        assert length == len(wide)


def test_rows_hold_the_scores_below_and_above_the_cutoff():
    def system(narrow, degradation, length):
        return fit_length(interpolate(narrow, 4000, 16_000), length)

    rows = evaluate_recordings(system, CORPUS, DEGRADATION)
    for row, wide in zip(rows, RECORDINGS, strict=True):
        predicted = fit_length(interpolate(DEGRADATION.apply(wide), 4000, 16_000), len(wide))
        expected = score(predicted, wide, 16_000, 2000)
        assert {name: row[name] for name in expected} == expected
        assert row["lsd_low"] < row["lsd_high"]


def test_progress_sees_every_recording():
    seen = []

    def progress(indices):
        for index in indices:
            seen.append(index)
            yield index

    rows = evaluate_recordings(knowing_the_answer(), CORPUS, DEGRADATION, progress)
    assert seen == [0, 1]
    assert len(rows) == 2


@pytest.mark.parametrize("upsampling", ["spline", "sinc"])
@pytest.mark.parametrize("rms", [0.9, 0.1, 1e-3])
def test_a_model_that_changes_nothing_gives_its_input_upsampled(upsampling, rms):
    narrow = noise(1, 4000, rms=rms)
    raw = raw_system(lambda audio: audio, config(upsampling))
    expected = UPSAMPLE[upsampling](narrow, 4000, 16_000)
    assert error_db(raw(narrow, DEGRADATION, 16_000), expected) < -110


def test_how_a_model_is_fed_is_what_its_config_says():
    narrow = noise(1, 4000)
    spline, sinc = (
        raw_system(lambda audio: audio, config(upsampling))(narrow, DEGRADATION, 16_000)
        for upsampling in ("spline", "sinc")
    )
    assert error_db(spline, sinc) > -30


@pytest.mark.parametrize("rms", [0.9, 0.1, 1e-3])
def test_a_model_hears_every_recording_at_the_reference_level(rms):
    heard = []

    def run_model(audio):
        heard.append(audio)
        return audio

    narrow = low_passed(noise(1, 4000, rms=rms), 4000, 1500)
    raw_system(run_model, config("spline"))(narrow, DEGRADATION, 16_000)
    (audio,) = heard
    assert audio.shape == (1, 16_000)
    assert active_level_db(audio[0], 16_000) == pytest.approx(-26, abs=0.3)


def test_a_model_that_clips_does_the_same_to_loud_and_faint_recordings():
    def clipping(audio):
        return np.clip(audio, -0.05, 0.05)

    raw = raw_system(clipping, config("spline"))
    loud, faint = noise(1, 4000, rms=0.5), noise(1, 4000, rms=0.005)
    results = [raw(audio, DEGRADATION, 16_000) for audio in (loud, faint)]
    assert error_db(results[0], 100 * results[1]) < -100
    assert rms_db(results[0]) < rms_db(loud)  # it did clip


def test_silence_is_not_blown_up():
    result = raw_system(lambda audio: audio, config("spline"))(
        silence(1, 4000), DEGRADATION, 16_000
    )
    assert np.all(result == 0)


@pytest.mark.parametrize("length", [15_997, 16_000, 16_005])
def test_a_models_output_has_the_length_of_the_recording(length):
    raw = raw_system(lambda audio: audio, config("spline"))
    assert raw(noise(1, 4000), DEGRADATION, length).shape == (length,)


@pytest.mark.parametrize(
    ("length", "expected"), [(0, []), (2, [1, 2]), (3, [1, 2, 3]), (5, [1, 2, 3, 0, 0])]
)
def test_fit_length_cuts_or_pads_the_end(length, expected):
    fitted = fit_length(np.array([1, 2, 3], np.float32), length)
    np.testing.assert_array_equal(fitted, expected)
    assert fitted.dtype == np.float32


def test_mean_scores_are_of_the_scores_alone():
    rows = [
        {"file": "a", "seconds": 1.0, "limit": 3, "snr_db": 10.0, "lsd": 1.0},
        {"file": "b", "seconds": 3.0, "limit": 3, "snr_db": 20.0, "lsd": 2.5},
        {"file": "c", "seconds": 3.0, "limit": 3, "snr_db": 60.0, "lsd": 1.0},
    ]
    assert mean_scores(rows) == {"snr_db": 30.0, "lsd": 1.5}


def test_mean_scores_of_rows_as_they_are_made():
    rows = evaluate_recordings(knowing_the_answer(), CORPUS, DEGRADATION)
    means = mean_scores(rows)
    assert list(means) == list(score(RECORDINGS[0], RECORDINGS[0], 16_000, 2000))
    assert (means["snr_db"], means["lsd"]) == (120, 0)
