"""The short-time Fourier transform: by hand, and against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fullband.audio.spectrum import power_spectrogram
from signals import noise, tone


def test_a_full_scale_sine_peaks_at_a_quarter_frame_squared():
    power = power_spectrogram(tone(1000, 1, 16_000, amplitude=1.0), frame=512, hop=128)
    middle = power[:, power.shape[1] // 2]
    assert np.argmax(middle) == 32  # 1000 Hz of bins of 31.25 Hz
    assert middle[32] == pytest.approx((512 / 4) ** 2, rel=1e-4)


@pytest.mark.parametrize("length", [3000, 4096, 5001])
def test_it_is_scipys_away_from_the_ends(length):
    audio = noise(1, 8000)[:length]
    ours = power_spectrogram(audio, frame=512, hop=128)
    window = scipy.signal.get_window("hann", 512)
    transform = scipy.signal.ShortTimeFFT(window, 128, 8000)
    theirs = np.abs(transform.stft(audio.astype(np.float64), p0=0, p1=ours.shape[1])) ** 2
    inside = slice(2, 1 + (length - 256) // 128)
    np.testing.assert_allclose(ours[:, inside], theirs[:, inside], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 5, 511, 1025, 2048, 2049, 10_000])
def test_the_shape_follows_from_the_length(length):
    power = power_spectrogram(noise(1, 16_000)[:length])
    assert power.shape == (1025, 1 + length // 512)
    assert np.isfinite(power).all()
    assert power.any()


def test_the_ends_are_mirrored():
    audio = noise(0.5, 8000)
    mirrored = np.concatenate([audio[1024:0:-1], audio])
    np.testing.assert_allclose(
        power_spectrogram(audio)[:, 0], power_spectrogram(mirrored)[:, 2], rtol=1e-9
    )


def test_long_audio_is_the_same_in_pieces():
    audio = noise(40, 8000)  # more frames than are transformed at once
    whole = power_spectrogram(audio)
    assert whole.shape[1] > 512
    part = power_spectrogram(audio[100 * 512 :])  # starts at frame 100
    np.testing.assert_allclose(whole[:, 110:600], part[:, 10:500], rtol=1e-9)
