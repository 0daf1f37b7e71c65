"""Published clips: what is found, how outputs are made comparable, what the table says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import soundfile

from fullband.audio.resample import resample
from fullband.errors import MissingFileError
from fullband.evaluate.published import (
    aligned,
    find_clips,
    published_input,
    published_methods,
    published_table,
    score_clip,
)
from signals import noise, tone, voice

RATE = 48_000


def make_clip(folder, files, page="AP-BWE", task="8kto48k", sample="s1"):
    where = folder / page / task / sample
    where.mkdir(parents=True)
    for name, (audio, rate) in files.items():
        soundfile.write(where / f"{name}.flac", audio, rate, "PCM_24")
    return where


def test_the_rates_come_from_the_task(tmp_path):
    files = {"reference": (noise(0.1, 16_000), 16_000)}
    make_clip(tmp_path, files)
    make_clip(tmp_path, files, "FLowHigh", "main_12kto48k", "00091")
    make_clip(tmp_path, files, "FlashSR", "speech", "00")
    make_clip(tmp_path, files, "FlashSR", "music", "00")
    make_clip(tmp_path, files, "audio-super-res", "sp1_x6", "sp1.1")
    make_clip(tmp_path, files, "AEROMamba", "piano_11k025to44k1", "1")
    found = {clip.name: (clip.narrow_rate, clip.sample_rate) for clip in find_clips(tmp_path)}
    assert found == {
        "AP-BWE/8kto48k/s1": (8000, 48_000),
        "FLowHigh/main_12kto48k/00091": (12_000, 48_000),
        "FlashSR/speech/00": (8000, 48_000),
        "audio-super-res/sp1_x6/sp1.1": (Fraction(8000, 3), 16_000),
    }
    music = find_clips(tmp_path, "music")
    assert {clip.name: (clip.narrow_rate, clip.sample_rate) for clip in music} == {
        "AEROMamba/piano_11k025to44k1/1": (11_025, 48_000),
        "FlashSR/music/00": (8000, 48_000),
    }


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no PAGE/TASK/SAMPLE"):
        find_clips(tmp_path)


@pytest.mark.parametrize("late", [-7, 0, 10, 16])
def test_a_constant_delay_is_found_and_taken_out(late):
    wide = noise(0.5, RATE)
    predicted = np.pad(wide, (late, 0)) if late >= 0 else wide[-late:]
    x, y, lag = aligned(wide, predicted, 200)
    assert lag == late
    np.testing.assert_array_equal(x, y)
    assert len(x) == len(wide) - max(0, -late)


def test_an_input_that_is_a_spline_gives_the_samples_it_went_through(tmp_path):
    narrow = noise(0.5, 8000)
    held = np.repeat(narrow, 4)  # whatever lies between, every fourth is the original
    make_clip(
        tmp_path,
        {"reference": (noise(0.5, 16_000), 16_000), "input": (held, 32_000)},
        "audio-super-res",
        "msp_x2",
        "msp.1",
    )
    (clip,) = find_clips(tmp_path)
    audio, rate = published_input(clip)
    assert rate == 8000
    np.testing.assert_allclose(audio, narrow, atol=1e-6)


def test_outputs_are_brought_to_the_rate_and_mono(tmp_path):
    reference = tone(1000, 0.5, RATE)
    stereo = np.stack([2 * reference, 0 * reference], axis=1)
    lower = tone(1000, 0.5, 32_000)
    make_clip(
        tmp_path,
        {
            "reference": (reference, RATE),
            "input": (resample(reference, RATE, 8000), 8000),
            "two": (0.5 * stereo, RATE),
            "lower": (lower, 32_000),
        },
    )
    (clip,) = find_clips(tmp_path)
    outputs = {name: make() for name, make in published_methods(clip).items()}
    assert list(outputs) == ["sinc", "lower", "two"]
    for name, gain in (("sinc", 1.0), ("lower", 1.0), ("two", 0.5)):
        assert outputs[name].shape == reference.shape
        inside = slice(4000, 20_000)
        np.testing.assert_allclose(outputs[name][inside], gain * reference[inside], atol=2e-4)


def test_the_reference_itself_is_perfect_and_half_of_it_is_6_db(tmp_path):
    reference = voice(1, RATE)
    make_clip(tmp_path, {"reference": (reference, RATE), "input": (reference[::6], 8000)})
    (clip,) = find_clips(tmp_path)
    same = score_clip(clip, reference, listen=False)
    assert same["lsd"] == pytest.approx(0, abs=0.02)  # 24-bit files
    assert (same["lag"], same["gain_db"]) == (0, 0.0)
    half = score_clip(clip, 0.5 * reference, listen=False)
    assert half["snr_db"] == pytest.approx(6.02, abs=0.01)
    assert "visqol" not in half


def test_pages_that_normalise_every_file_get_the_best_gain(tmp_path):
    reference = voice(1, 16_000)
    files = {"reference": (reference, 16_000), "input": (reference[::4], 4000)}
    make_clip(tmp_path, files, "audio-super-res", "msp_x4", "msp.1")
    (clip,) = find_clips(tmp_path)
    scores = score_clip(clip, 0.5 * reference, listen=False)
    assert scores["gain_db"] == pytest.approx(6.02, abs=0.01)
    assert scores["snr_db"] > 60


def test_the_first_ten_seconds_are_heard(tmp_path, monkeypatch):
    heard = []

    def listen(predicted, wide, rate, kind):
        heard.append((len(predicted), len(wide), rate, kind))
        return 3.0

    monkeypatch.setattr("fullband.evaluate.published.visqol", listen)
    monkeypatch.setattr("fullband.evaluate.published.dnsmos", lambda audio, rate: 2.0)
    reference = noise(11, RATE)
    make_clip(tmp_path, {"reference": (reference, RATE), "input": (reference[::6], 8000)})
    (clip,) = find_clips(tmp_path)
    scores = score_clip(clip, reference)
    assert heard == [(480_000, 480_000, RATE, "music")]
    assert (scores["visqol"], scores["dnsmos"]) == (3.0, 2.0)


def row(page, sample, system, lsd, snr_db=20.0, visqol=3.0, sha="", narrow_rate=8000):
    scores = {"lsd": lsd, "snr_db": snr_db, "visqol": visqol, "lsd_high": lsd}
    where = {"page": page, "task": "t", "sample": sample, "system": system, "model_sha256": sha}
    return where | {"narrow_rate": narrow_rate, "sample_rate": RATE} | scores


ROWS = [
    *(row("A", "1", s, x) for s, x in (("sinc", 3.0), ("good", 1.0), ("bad", 2.0))),
    *(row("A", "2", s, x) for s, x in (("sinc", 3.0), ("good", 1.2), ("bad", 1.0))),
    *(row("B", "1", s, x) for s, x in (("sinc", 4.0), ("other", 0.8), ("gt_vocoded", 0.1))),
    row("A", "1", "speech", 1.05, 19.8, 3.1, "ab"),
    row("A", "2", "speech", 1.05, 19.8, 3.1, "ab"),
    row("B", "1", "speech", 1.35, 19.5, 2.6, "ab"),
    row("B", "1", "candidate", 0.2, 19.5, 2.6, "cd"),  # ours too, of another day
    row("B", "1", "other", 0.7, narrow_rate=12_000),
]


def test_the_table_by_hand():
    lines = [line.split(" | ") for line in published_table(ROWS, "speech", 8000).splitlines()]
    by_page = {line[0].strip("| "): line for line in lines[2:5]}
    assert list(by_page) == ["A", "B", "all"]
    # good has the better mean on A, though bad has the best clip.
    assert by_page["A"][1:5] == ["2", "20.00", "20.00 (bad)", "19.80 (yes)"]
    assert by_page["A"][5:8] == ["3.00", "1.10 (good)", "1.05 (yes)"]
    assert by_page["B"][2:8] == [
        "20.00",
        "20.00 (other)",
        "19.50 (no)",
        "4.00",
        "0.80 (other)",
        "1.35 (no)",
    ]
    assert by_page["A"][10] == "3.10 (yes)"
    # Two clips of A and one of B: (2 * 1.1 + 0.8) / 3 and (1.05 + 1.05 + 1.35) / 3.
    assert by_page["all"][5:8] == ["3.33", "1.00", "1.15 (no)"]
    assert "Floors: lsd at most 1.10" in published_table(ROWS, "speech", 8000)


def test_without_rows_of_the_model_its_column_is_empty():
    line = published_table(ROWS, "sinc", 8000).splitlines()[2].split(" | ")
    assert line[4] == "-"
    assert line[7] == "-"
    # No floors where none are set.
    assert "Floors" not in published_table(ROWS, "speech", 2000, 16_000)
    assert "Floors" not in published_table(ROWS, "speech", 8000, kind="music")
