"""The crossover: its response by physics, its stream against plain convolution."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from fullband.audio.filters import Fir, SwitchedFir, crossover_width_hz, highpass_kernel
from signals import band, noise, rms_db, split


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


def rise(length: int, at: int, fade: int) -> np.ndarray:
    t = np.clip((np.arange(length) - at) / fade + 0.5, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * t)


@pytest.mark.parametrize("longest", [700, 40_000])
def test_filters_that_follow_one_another_equal_the_sum_of_faded_convolutions(longest):
    kernels = [highpass_kernel(48_000, hz, 300) for hz in (2000, 5000)]
    kernels.insert(1, None)
    starts, fade, length = [0, 20_011, 41_003], 2400, 90_000
    audio = np.stack([noise(2, 48_000, seed=seed)[:length] for seed in (1, 2)])
    fir = SwitchedFir(kernels, starts, fade, 2)
    blocks = split(audio, np.random.default_rng(longest), longest)
    streamed = np.concatenate([*map(fir.push, blocks), fir.flush()], axis=-1)
    first = audio * (1 - rise(length, starts[1], fade))
    last = audio * rise(length, starts[2], fade)
    expected = sum(
        scipy.signal.fftconvolve(part.astype(np.float64), kernel[None], "same", axes=-1)
        for part, kernel in ((first, kernels[0]), (last, kernels[2]))
    )
    np.testing.assert_allclose(streamed, expected, atol=1e-6)
    assert np.max(np.abs(streamed[:, starts[1] + 3000 : starts[2] - 3000])) < 1e-7


def test_one_that_never_switches_is_a_plain_filter():
    kernel = highpass_kernel(16_000, 2000, 160)
    audio = noise(5, 16_000)[None]
    plain, switched = Fir(kernel, 1), SwitchedFir([kernel], [0], 800, 1)
    expected = np.concatenate([plain.push(audio), plain.flush()], axis=-1)
    actual = np.concatenate([switched.push(audio), switched.flush()], axis=-1)
    np.testing.assert_array_equal(actual, expected)


def test_nothing_but_silence_between_silent_filters():
    fir = SwitchedFir([None, None], [0, 500], 100, 2)
    audio = np.stack([noise(1, 16_000), noise(1, 16_000, seed=1)])
    result = np.concatenate([fir.push(audio), fir.flush()], axis=-1)
    assert result.shape == audio.shape
    assert not result.any()


def test_a_switch_does_not_reach_into_the_stopped_band():
    # Both stop below 3 kHz; so does whatever the fade from one to the other makes of the sound.
    kernels = [highpass_kernel(48_000, hz, 300) for hz in (3000, 6000)]
    audio = noise(2, 48_000)[None]
    fir = SwitchedFir(kernels, [0, 48_000], 2400, 1)
    result = np.concatenate([fir.push(audio), fir.flush()], axis=-1)[0]
    around = result[40_000:56_000] * np.blackman(16_000)
    assert rms_db(band(around, 48_000, 0, 2950)) < rms_db(audio) - 85
