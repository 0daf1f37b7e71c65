"""Streams behind real telephone decoders: nothing bursts, nothing hisses, losses are survived."""

from __future__ import annotations

import numpy as np
import pytest

import fullband
from fullband.degrade.codec import Coding
from fullband.streaming import Stream, stream
from signals import band, rms_db, voice

RATE = 8000
TELEPHONES = ("mulaw", "alaw", "g726:16", "gsm", "amr:4.75", "amr:12.2", "opus-nb:6")


def through(opened: Stream, audio: np.ndarray) -> np.ndarray:
    packets = [opened(audio[start : start + 160]) for start in range(0, len(audio), 160)]
    return np.concatenate([*packets, opened.flush()])


@pytest.mark.parametrize("text", TELEPHONES)
def test_what_a_decoder_gives_is_widened_within_its_own_level(text):
    wide = np.concatenate([voice(1.5, 48_000), np.zeros(24_000, np.float32)])
    coded, rate = Coding.parse(text).apply(wide, 48_000)
    assert rate == RATE
    found = through(stream(source_rate=RATE, lows=1.0), coded)
    kept = through(stream(source_rate=RATE, bypass=True), coded)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 2.0 * np.abs(kept).max()
    assert abs(rms_db(found) - rms_db(kept)) < 1.5
    above = band(found, 48_000, 4500.0, 12_000.0)
    assert -60 < rms_db(above[:72_000]) - rms_db(kept[:72_000]) < -3
    # What the decoder makes of silence may have a floor; what is added to it stays below.
    quiet = slice(80_000, 95_000)
    assert rms_db(above[quiet]) < max(rms_db(kept[quiet]) + 3, -75)


@pytest.mark.parametrize("text", ["mulaw", "amr:12.2"])
def test_packets_that_were_lost_leave_gaps_and_no_clicks_above(text):
    """A tenth of the packets silent, as a decoder without concealment leaves them."""
    coded, _ = Coding.parse(text).apply(voice(2.0, 48_000), 48_000)
    lost = np.random.default_rng(5).random(len(coded) // 160) < 0.1
    gaps = coded.copy()
    for number in np.flatnonzero(lost):
        gaps[160 * number : 160 * number + 160] = 0
    whole = through(stream(source_rate=RATE), coded)
    found = through(stream(source_rate=RATE), gaps)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 2 * np.abs(whole).max()
    loudest = [np.abs(band(each, 48_000, 6000.0, 20_000.0)).max() for each in (found, whole)]
    assert loudest[0] < 4 * loudest[1]


def test_lows_come_back_only_where_a_telephone_took_them(tmp_path):
    """A voice of 120 Hz and its partials, once whole and once without what is below 300 Hz."""
    t = np.arange(2 * RATE) / RATE
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 2 * t)
    whole = swell * sum(0.2 / k * np.sin(2 * np.pi * 120 * k * t) for k in range(1, 28))
    cut = band(whole, RATE, 300.0, 3500.0)
    levels = {}
    for name, audio in (("whole", whole), ("cut", cut)):
        for lows in (0.0, 1.0):
            opened = fullband.stream("live", source_rate=RATE, lows=lows, bandwidth_hz=3600.0)
            found = through(opened, audio.astype(np.float32))
            levels[name, lows] = rms_db(band(found, 48_000, 70.0, 280.0))
    assert abs(levels["whole", 1.0] - levels["whole", 0.0]) < 1.5
    assert levels["cut", 1.0] > levels["cut", 0.0] + 10
    assert levels["cut", 1.0] < levels["whole", 0.0] + 6
