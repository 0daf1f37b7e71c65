"""Mirror images are found where software left them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.interpolate
import scipy.signal

from fullband.audio.bandwidth import BandwidthMeter, detect_bandwidth
from fullband.audio.mirror import find_mirror
from fullband.audio.resample import resample
from fullband.degrade.bandlimit import sinc_hann_kernel
from signals import band, noise, pink_noise, silence, tone, voice

RATE = 48_000
SOUNDS = {"white": noise, "pink": pink_noise, "voice": voice}


def raised_linearly(audio, ratio):
    places = np.arange(len(audio) * ratio) / ratio
    return np.interp(places, np.arange(len(audio)), audio).astype(np.float32)


def raised_by_splines(audio, ratio):
    spline = scipy.interpolate.CubicSpline(np.arange(len(audio)), audio)
    return spline(np.arange(len(audio) * ratio) / ratio).astype(np.float32)


def raised_by_a_short_filter(audio, ratio):
    return scipy.signal.resample_poly(audio, ratio, 1).astype(np.float32)


RAISED = [raised_linearly, raised_by_splines, raised_by_a_short_filter]


def mirror_hz(audio, rate=RATE):
    meter = BandwidthMeter(rate)
    meter.push(np.atleast_2d(audio))
    return meter.mirror_hz()


@pytest.mark.parametrize("raise_rate", RAISED)
@pytest.mark.parametrize("rate", [8000, 12_000, 16_000, 24_000])
@pytest.mark.parametrize("sound", SOUNDS)
def test_a_raised_rate_is_found(sound, rate, raise_rate):
    audio = raise_rate(SOUNDS[sound](4, rate), RATE // rate)
    assert mirror_hz(audio) == rate / 2
    assert 0.9 * rate / 2 < detect_bandwidth(audio, RATE) < rate / 2


def test_at_other_rates_too():
    assert mirror_hz(raised_linearly(noise(4, 11_025), 4), 44_100) == 11_025 / 2
    assert mirror_hz(raised_linearly(noise(4, 4000), 4), 16_000) == 2000


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("rate", [16_000, 44_100, RATE])
def test_natural_sound_has_none(sound, rate):
    assert mirror_hz(SOUNDS[sound](4, rate), rate) is None


def test_images_that_end_in_the_noise_of_sixteen_bits_are_images():
    # What falls so steeply leaves images next to the mirror and, farther off, the last bit's noise.
    narrow = scipy.signal.lfilter([1], [1, -0.98], noise(6, 24_000))
    narrow *= 3e-3 * (1 + 0.8 * np.sin(2 * np.pi * 1.5 * np.arange(len(narrow)) / 24_000))
    padded = np.zeros(2 * len(narrow))
    padded[::2] = narrow
    kernel = sinc_hann_kernel(2, 1)  # falls from 10 to 14 kHz
    raised = scipy.signal.fftconvolve(padded, 2 * kernel, "same")
    written = (np.round(raised * 2**15) / 2**15).astype(np.float32)
    assert mirror_hz(written) == 12_000
    assert detect_bandwidth(written, RATE) == pytest.approx(0.92 * 12_000, rel=0.005)


def test_a_good_resampler_leaves_none():
    for rate in (8000, 16_000, 24_000):
        assert mirror_hz(resample(pink_noise(4, rate), rate, RATE)) is None


def test_steady_harmonics_that_happen_to_be_symmetric_are_none():
    harmonics = sum(tone(200.0 * k, 4, RATE, amplitude=0.5 / k) for k in range(1, 110))
    assert mirror_hz(harmonics + noise(4, RATE, rms=1e-4)) is None


def test_a_recording_that_is_wide_for_half_the_time_has_none():
    halves = [raised_linearly(noise(4, 8000), 6), noise(4, RATE)]
    assert mirror_hz(np.concatenate(halves)) is None


def test_a_recording_that_is_wide_for_a_while_has_none():
    raised = raised_linearly(noise(40, 8000), 6)
    assert mirror_hz(raised) == 4000
    raised[20 * RATE : 24 * RATE] = noise(4, RATE)
    assert mirror_hz(raised) is None


def test_what_is_symmetric_for_a_little_way_only_is_content():
    # Chance does that now and then within a few hundred hertz.
    symmetric = band(raised_linearly(noise(4, 4000), 12), RATE, 1600, 2400)
    assert mirror_hz(symmetric) == 2000
    assert mirror_hz(symmetric + band(noise(4, RATE, seed=1), RATE, 2400, 24_000)) is None


@pytest.mark.parametrize("windows", [0, 1, 3])
def test_a_moment_does_not_tell(windows):
    assert find_mirror(np.zeros((windows, 1025), np.float16), RATE) is None


def test_silence_has_none():
    assert mirror_hz(silence(2, RATE)) is None
    assert mirror_hz(np.zeros(10, np.float32)) is None
