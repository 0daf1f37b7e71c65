"""The door for arrays."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.samples import (
    MAX_CHANNELS,
    MAX_LEVEL,
    as_audio,
    check_finite,
    check_sample_rate,
    output_length,
)
from fullband.errors import AudioError


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint8, [0, 128, 192], [-1.0, 0.0, 0.5]),
        (np.int8, [-128, 0, 64], [-1.0, 0.0, 0.5]),
        (np.int16, [-32768, 0, 16384], [-1.0, 0.0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1.0, 0.0, 0.5]),
        (np.float16, [-1.0, 0.0, 0.5], [-1.0, 0.0, 0.5]),
        (np.float64, [-1.5, 0.0, 0.5], [-1.5, 0.0, 0.5]),
    ],
)
def test_every_sample_format_has_full_scale_one(dtype, values, expected):
    audio = as_audio(np.array(values, dtype))
    assert audio.dtype == np.float32
    assert audio.tolist() == expected


def test_a_list_of_floats_is_audio():
    assert as_audio([[0.0, 0.25], [0.5, 1.0]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 2, 2)), "shape"),
        (np.float32(0.5), "shape"),
        (np.zeros(4, np.complex64), "real numbers"),
        (np.zeros(4, bool), "real numbers"),
        (np.array(["a", "b"]), "real numbers"),
        (np.zeros((48_000, 2), np.float32), "transpose it: time comes last"),
        (np.zeros((MAX_CHANNELS + 1, 1000), np.float32), "65 channels"),
    ],
)
def test_what_is_not_audio_is_refused(samples, message):
    with pytest.raises(AudioError, match=message):
        as_audio(samples)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_sample_that_is_not_finite_is_named(bad):
    audio = np.zeros((2, 100), np.float32)
    audio[1, 42] = bad
    audio[0, 60] = np.inf
    audio[0, 70] = -np.inf
    with pytest.raises(AudioError, match="sample 42 is NaN or infinite"):
        as_audio(audio)
    with pytest.raises(AudioError, match="sample 1042 is"):
        check_finite(audio, start=1000)


def test_a_double_too_large_for_a_float_is_refused():
    with pytest.raises(AudioError, match="sample 1 is NaN or infinite"):
        as_audio(np.array([0.0, 1e300]))


def test_samples_on_the_scale_of_integers_are_audio_and_larger_ones_are_not():
    large = np.full((2, 1000), MAX_LEVEL, np.float32)
    np.testing.assert_array_equal(as_audio(large), large)
    for value in (2 * MAX_LEVEL, -3e38):
        large[1, 70] = value
        with pytest.raises(AudioError, match=r"sample 70 is .* times full scale"):
            as_audio(large)


@pytest.mark.parametrize("rate", [2000, 48_000.0, np.int64(768_000), np.float32(8000)])
def test_whole_numbers_within_the_limits_are_rates(rate):
    assert check_sample_rate(rate) == int(rate)
    assert type(check_sample_rate(rate)) is int


@pytest.mark.parametrize(
    "rate", [1999, 768_001, 0, -48_000, 44_100.5, float("nan"), float("inf"), "48000", None, True]
)
def test_other_rates_are_refused(rate):
    with pytest.raises(AudioError, match="sample rate"):
        check_sample_rate(rate)


def test_output_length_keeps_the_duration():
    assert output_length(8000, 8000, 48_000) == 48_000
    assert output_length(44_100, 44_100, 16_000) == 16_000
    assert output_length(1, 8000, 11_025) == 1  # 1.378
    assert output_length(5, 48_000, 8000) == 1  # 0.833
    assert output_length(0, 8000, 16_000) == 0
