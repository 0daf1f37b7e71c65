"""Holes that a codec left are filled where a recording is riddled with them, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fullband.audio.file import write
from fullband.cli import main
from fullband.degrade.codec import Coding
from fullband.engine import open_model
from fullband.enhancement import analyse, enhance, enhance_file
from signals import band, error_db, low_passed, pink_noise, rms_db, tone

RATE = 48_000


@pytest.fixture(scope="module")
def music():
    """Four seconds of a loud chord over a weak noise that comes and goes. Shape: `[T]`."""
    chord = sum(0.1 * tone(hz, 4, RATE) for hz in (220, 277, 330, 440, 554, 660, 880))
    time = np.arange(4 * RATE) / RATE
    hiss = 0.03 * pink_noise(4, RATE) * (1 + 0.8 * np.sin(2 * np.pi * 3 * time))
    return (chord + hiss).astype(np.float32)


@pytest.fixture(scope="module")
def riddled(music):
    return Coding("mp3", 32).apply(music, RATE)[0]


def test_only_a_riddled_recording_is_taken_for_one(music, riddled):
    assert analyse([riddled[None]], RATE).riddled
    for whole in (music, low_passed(music, RATE, 6000)):
        assert not analyse([np.atleast_2d(whole).astype(np.float32)], RATE).riddled


def test_holes_are_filled_and_what_is_there_is_left(music, riddled):
    assert open_model("music").fills_holes
    wide, _ = enhance(riddled, RATE, model="music")
    end_hz = analyse([riddled[None]], RATE).bandwidth_hz
    low, high = 0.5 * end_hz, 0.95 * end_hz
    before, after, truth = (rms_db(band(each, RATE, low, high)) for each in (riddled, wide, music))
    assert before < truth - 1  # something is lacking there
    assert abs(after - truth) < abs(before - truth)
    # Bins without holes outweigh the others, and below 800 Hz there are none.
    assert error_db(band(wide, RATE, 0, 700), band(riddled, RATE, 0, 700)) < -60


def test_a_recording_without_holes_keeps_its_band(music):
    narrow = low_passed(music, RATE, 6000).astype(np.float32)
    wide, _ = enhance(narrow, RATE, model="music")
    assert error_db(band(wide, RATE, 0, 5000), band(narrow, RATE, 0, 5000)) < -70


def test_a_summary_says_so(tmp_path, riddled, any_rate):
    write(tmp_path / "old.wav", riddled[None], RATE, "FLOAT")
    assert enhance_file(tmp_path / "old.wav", tmp_path / "new.wav", model="music").filled
    assert not enhance_file(tmp_path / "old.wav", tmp_path / "same.wav", model=str(any_rate)).filled


def test_the_command_line_says_so(tmp_path, riddled, any_rate):
    write(tmp_path / "old.wav", riddled[None], RATE, "FLOAT")
    runner = CliRunner()
    told = runner.invoke(main, ["inspect", str(tmp_path / "old.wav"), "--no-picture"])
    assert re.search(r"^holes +\d+% of the spectrum", told.output, re.MULTILINE)
    for model, filled in (("music", True), ("speech", True), (str(any_rate), False)):
        command = [
            "enhance",
            str(tmp_path / "old.wav"),
            "-o",
            str(tmp_path / f"{Path(model).stem}.wav"),
        ]
        told = runner.invoke(main, [*command, "--model", model])
        assert told.exit_code == 0
        assert ("holes filled" in told.output) is filled
