"""The crossover: its response by physics, its stream against plain convolution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fullband.audio.filters import Fir, crossover_width_hz, highpass_kernel
from signals import noise, split


@pytest.mark.parametrize(
    ("cutoff_hz", "width_hz"),
    [(500, 100), (1250, 100), (2000, 160), (4000, 320), (5000, 400), (20_000, 400)],
)
def test_the_width_is_eight_percent_within_limits(cutoff_hz, width_hz):
    assert crossover_width_hz(cutoff_hz) == pytest.approx(width_hz)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("stop_hz", [400, 1000, 2000, 4000, 7000])
def test_highpass_stops_below_and_passes_above(sample_rate, stop_hz):
    width_hz = crossover_width_hz(stop_hz)
    kernel = highpass_kernel(sample_rate, stop_hz, width_hz)
    frequencies_hz, response = scipy.signal.freqz(kernel, worN=1 << 16, fs=sample_rate)
    level_db = 20 * np.log10(np.abs(response) + 1e-12)
    assert level_db[frequencies_hz <= stop_hz].max() < -80
    assert np.abs(level_db[frequencies_hz >= stop_hz + width_hz]).max() < 0.1


def test_highpass_is_symmetric_so_that_it_moves_nothing():
    kernel = highpass_kernel(16_000, 2000, 160)
    assert len(kernel) % 2 == 1
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-15)
    assert kernel.sum() == pytest.approx(0, abs=1e-12)  # nothing at 0 Hz


@pytest.mark.parametrize("taps", [1, 3, 401, 2201, 20_001])
@pytest.mark.parametrize("length", [1, 2, 5, 21, 16_384, 50_000])
def test_a_stream_equals_convolution(taps, length):
    generator = np.random.default_rng(taps + length)
    kernel = generator.standard_normal(taps) / np.sqrt(taps)
    audio = np.stack([noise(4, 16_000, seed=1)[:length], noise(4, 16_000, seed=2)[:length]])
    fir = Fir(kernel, 2)
    blocks = split(audio, generator, longest=max(1, length // 3))
    streamed = np.concatenate([*map(fir.push, blocks), fir.flush()], axis=-1)
    full = scipy.signal.fftconvolve(audio.astype(np.float64), kernel[None], axes=-1)
    expected = full[:, taps // 2 : taps // 2 + length]
    np.testing.assert_allclose(streamed, expected, atol=1e-6)


def test_an_empty_stream_gives_nothing():
    assert Fir(highpass_kernel(16_000, 2000, 160), 3).flush().shape == (3, 0)
