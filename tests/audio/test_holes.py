"""Holes in spectra: none in noise but those it has by itself, all that are made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fullband.audio.holes import HoleMeter, hole_share
from signals import band, noise, silence, tone

RATE = 48_000


def riddled(audio, share, seed=0):
    """The same with so large a share of the bins of 20 ms frames zeroed, as a codec does."""
    generator = np.random.default_rng(seed)
    frames = audio[: len(audio) // 960 * 960].reshape(-1, 960)
    spectrum = np.fft.rfft(frames)
    # In runs of eight, so that the frames they are looked at in have them too.
    empty = generator.random((len(spectrum), 61)) < share
    spectrum[np.repeat(empty, 8, axis=1)[:, : spectrum.shape[1]]] = 0
    return np.fft.irfft(spectrum).reshape(-1).astype(np.float32)


@pytest.mark.parametrize("rate", [32_000, 48_000])
def test_noise_has_what_chance_gives_it(rate):
    # Power in a bin is exponential: less than 10^-2.5 of its mean at 1 - exp(-10^-2.5) of the time.
    expected = 1 - math.exp(-(10**-2.5))
    assert hole_share(noise(4, rate), rate) == pytest.approx(expected, rel=0.15)


def test_bins_that_were_dropped_are_holes():
    shares = [hole_share(riddled(noise(2, RATE), share), RATE) for share in (0.0, 0.2, 0.4)]
    assert shares[0] == pytest.approx(0.003, abs=0.001)
    assert shares[1] > 3 * shares[0]
    assert shares[2] > 1.5 * shares[1]


def test_what_lies_outside_the_band_does_not_count():
    audio = noise(2, RATE)
    for low_hz, high_hz in ((0, 3500), (13_000, 24_000)):
        part = band(audio, RATE, low_hz, high_hz)
        other = audio - part + band(riddled(audio, 0.4), RATE, low_hz, high_hz)
        assert hole_share(other, RATE) == pytest.approx(hole_share(audio, RATE), abs=1e-3)


def test_loudness_does_not_matter():
    audio = riddled(noise(1, RATE), 0.3)
    assert hole_share(0.05 * audio, RATE) == pytest.approx(hole_share(audio, RATE), abs=1e-4)


def test_silence_has_none():
    assert hole_share(silence(1, RATE), RATE) == 0
    assert hole_share(1e-7 * noise(1, RATE), RATE) == 0


def test_what_has_no_such_band_has_none():
    assert hole_share(noise(1, 8000), 8000) == 0
    assert hole_share(tone(440, 0.001, RATE), RATE) == 0


def test_in_blocks_as_in_one():
    audio = riddled(noise(2, RATE), 0.3)
    meter = HoleMeter(RATE)
    for start in range(0, len(audio), 1777):
        meter.push(np.stack([audio, audio])[:, start : start + 1777])
    assert meter.share(2000, 12_000) == hole_share(audio, RATE, 2000, 12_000) > 0.01
