"""Moments are found where they were put, and drawn at every cutoff."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from PIL import Image

from fullband.audio.resample import resample
from fullband.evaluate.cutoffs import Recording
from fullband.evaluate.gallery import GALLERY_CUTOFFS_HZ, MOMENTS, draw_gallery, find_moments
from signals import band, faded, noise

RATE = 48_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A vowel, then a hiss, a pause with a breath in it, a pause with nothing, and a vowel."""
    t = np.arange(RATE) / RATE
    vowel = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 20))
    vowel = faded(0.2 * vowel, RATE)
    hiss = faded(3 * band(noise(1, RATE, 1, rms=0.05), RATE, 5000, 20_000), RATE)
    breath = faded(band(noise(0.5, RATE, 2, rms=0.01), RATE, 300, 6000), RATE)
    pause = np.zeros(RATE // 2, np.float32)
    parts = [vowel, hiss, pause, breath, pause, pause, vowel]
    audio = np.concatenate(parts) + noise(5, RATE, 3, rms=1e-5)
    path = tmp_path_factory.mktemp("gallery") / "one.wav"
    soundfile.write(path, audio, RATE, "FLOAT")
    return Recording("one.wav", path, "", "", np.inf)


def test_moments_are_where_they_were_put(recording):
    found = {moment.kind: moment.at_s for moment in find_moments([recording])}
    assert tuple(found) == MOMENTS
    assert 0.1 < found["harmonics"] < 0.95 or 4.05 < found["harmonics"] < 4.95
    assert 1.05 < found["fricatives"] < 1.95
    assert found["onset"] == pytest.approx(4.0, abs=0.12)
    assert 2.0 < found["silence"] < 2.5 or 3.0 < found["silence"] < 4.0
    assert 2.45 < found["breath"] < 3.05


def test_what_is_too_short_has_no_moments(tmp_path):
    soundfile.write(tmp_path / "short.wav", noise(0.3, RATE), RATE)
    assert find_moments([Recording("short.wav", tmp_path / "short.wav", "", "", np.inf)]) == []


def test_a_picture_per_moment_and_cutoff(tmp_path, recording, monkeypatch):
    monkeypatch.setattr("fullband.evaluate.gallery.GALLERY_CUTOFFS_HZ", (4000, 12_000))
    moments = find_moments([recording])[1:2]
    told = []
    paths = draw_gallery(
        moments,
        lambda audio, rate, wide_rate: resample(audio, rate, wide_rate),
        tmp_path / "pictures",
        progress=lambda *state: told.append(state),
    )
    assert [path.name for path in paths] == ["fricatives-4000.png", "fricatives-12000.png"]
    assert told == [("fricatives-4000.png", 0, 2), ("fricatives-12000.png", 1, 2)]
    assert GALLERY_CUTOFFS_HZ == (4000, 6000, 8000, 12_000)
    with Image.open(paths[-1]) as picture:
        pixels = np.asarray(picture.convert("L"), np.float64)
    # Three panels of 320 rows from 34 down, 34 apart: at 18 kHz only the original has the hiss.
    means = [pixels[34 + 354 * n + 80, 100:900].mean() for n in range(3)]
    assert means[2] > means[0] + 20
    assert means[0] == pytest.approx(means[1], abs=1)
