"""ViSQOL against its published conformance value, and what both measures must know about sound."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fullband.audio.file import read
from fullband.audio.resample import resample
from fullband.degrade import ideal_lowpass
from fullband.errors import DependencyError
from fullband.evaluate import perceptual
from fullband.evaluate.perceptual import dnsmos, score_perceptual, visqol
from signals import noise

DEMO = Path(__file__).parents[2] / "demo" / "telephone-8khz.wav"

needs_metrics = pytest.mark.skipif(
    importlib.util.find_spec("visqol") is None or importlib.util.find_spec("speechmos") is None,
    reason="ViSQOL and DNSMOS are not installed: pip install 'fullband[metrics]'",
)


@pytest.fixture(scope="module")
def speech():
    """The recording that ships with the project, 8 kHz, at 16 kHz: content to 4 kHz, 3 s of it."""
    audio, rate = read(DEMO)
    return resample(audio, rate, 16_000)[: 3 * 16_000]


@needs_metrics
@pytest.mark.parametrize("kind", ["speech", "music"])
def test_the_same_audio_scores_high_and_less_band_scores_lower(speech, kind):
    same = visqol(speech, speech, 16_000, kind)
    less = visqol(ideal_lowpass(speech, 16_000, 2000), speech, 16_000, kind)
    least = visqol(ideal_lowpass(speech, 16_000, 700), speech, 16_000, kind)
    if kind == "music":  # the published score of anything compared with itself
        assert same == pytest.approx(4.732101253042348, abs=1e-4)
    assert 4 < same <= 5
    assert 1 <= least < less < same


@needs_metrics
def test_what_is_too_short_or_silent_is_no_number():
    assert np.isnan(visqol(np.zeros(100, np.float32), np.zeros(100, np.float32), 16_000, "speech"))


@needs_metrics
def test_dnsmos_hears_noise_and_repeats_what_is_short(speech):
    clean = dnsmos(speech, 16_000)
    noisy = dnsmos(speech + noise(len(speech) / 16_000, 16_000, rms=0.1), 16_000)
    assert 1 < noisy < clean < 5
    # Shorter than a window: the same as the repetition written out.
    part = speech[:40_000]
    assert dnsmos(part, 16_000) == pytest.approx(dnsmos(np.tile(part, 4)[:144_160], 16_000))


@needs_metrics
def test_dnsmos_means_over_windows_that_start_every_second(speech):
    long = np.tile(speech, 8)[: 144_160 + 16_000]
    each = [dnsmos(long[start : start + 144_160], 16_000) for start in (0, 16_000)]
    assert dnsmos(long, 16_000) == pytest.approx(np.mean(each), abs=1e-5)


@needs_metrics
def test_music_is_not_rated_as_speech(speech):
    scores = score_perceptual(speech, speech, 16_000, "music")
    assert np.isnan(scores["dnsmos"])
    assert scores["visqol"] > 4


@needs_metrics
def test_other_rates_are_resampled(speech):
    wide = resample(speech, 16_000, 48_000)
    assert visqol(wide, wide, 48_000, "speech") == pytest.approx(
        visqol(speech, speech, 16_000, "speech"), abs=0.3
    )


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        ("speechmos", lambda audio: dnsmos(audio, 16_000)),
        ("ai_edge_litert", lambda audio: visqol(audio, audio, 16_000, "speech")),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_installs_it(monkeypatch, missing, call):
    for function in (perceptual._dnsmos, perceptual._visqol):
        function.cache_clear()
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == missing else found(name)
    )
    with pytest.raises(DependencyError, match=r"pip install 'fullband\[metrics\]'"):
        call(np.zeros(16_000, np.float32))
    for function in (perceptual._dnsmos, perceptual._visqol):
        function.cache_clear()
