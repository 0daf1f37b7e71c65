"""A call over real RTP on loopback, widened on its way."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

import fullband
from fullband.audio.pcm import PcmDecoder, encode
from fullband.audio.resample import resample
from signals import band, lag

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="calls need ffmpeg: apt-get install ffmpeg"
)


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location(
        "telephone_call", ROOT / "examples" / "telephone_call.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    audio, rate = fullband.read(ROOT / "demo" / "telephone-8khz.wav")
    path = tmp_path_factory.mktemp("call") / "call.wav"
    fullband.write(path, np.atleast_2d(audio)[0, : 3 * rate], rate)
    return path


@pytest.mark.parametrize(("law", "loss"), [("mulaw", 0.0), ("alaw", 0.1)])
def test_a_call_arrives_wide_and_below_3_khz_as_g711_leaves_it(example, call, tmp_path, law, loss):
    wide = tmp_path / "wide.wav"
    report, sent, lost = example.place_call(call, wide, law, loss)
    audio, rate = fullband.read(call)
    assert sent >= len(audio) / 160 - 1  # packets of 20 ms, and perhaps RTCP's
    assert (lost > 0) == (loss > 0)
    assert report["audio_s"] == pytest.approx(len(audio) / rate, abs=0.3)
    assert report["delay_ms"] == 15.0
    heard, wide_rate = fullband.read(wide)
    assert wide_rate == 48_000
    if loss:
        return
    coded = PcmDecoder(law).push(encode(audio[None], law))[0]
    back = resample(heard.astype(np.float32), wide_rate, rate)
    late = lag(back, coded)
    assert 0 <= late < 0.2 * rate or abs(late) < 0.05 * rate
    common = min(len(back) - max(0, late), len(coded) + min(0, late))
    pair = [each[start : start + common] for each, start in
            ((back, max(0, late)), (coded, max(0, -late)))]  # fmt: skip
    kept = [band(each, rate, 200.0, 3300.0) for each in pair]
    error = np.mean((kept[0] - kept[1]) ** 2) / np.mean(kept[1] ** 2)
    assert 10 * np.log10(error) < -20
    if not report["overloads"]:  # on a machine that kept up there is a new band
        above = band(heard, wide_rate, 5000.0, 12_000.0)
        assert np.sqrt(np.mean(above**2)) > 1e-4
