"""Change of sample rate: physics, and the stream against the whole."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.resample import Resampler, resample
from signals import error_db, lag, noise, rms_db, split, tone

RATES = [(8000, 16_000), (11_025, 48_000), (48_000, 44_100), (44_100, 8000), (16_000, 16_000)]


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
def test_a_tone_stays_the_same_tone(source_rate, target_rate):
    before = tone(1000, 2, source_rate)
    after = resample(before, source_rate, target_rate)
    assert error_db(after, tone(1000, 2, target_rate)) < -80


def test_what_the_lower_rate_cannot_hold_is_gone():
    assert rms_db(resample(tone(7000, 0.5, 48_000), 48_000, 8000)) < -120


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
@pytest.mark.parametrize("length", [1, 2, 5, 21, 1000, 4801])
def test_the_length_is_the_rounded_duration(source_rate, target_rate, length):
    audio = noise(1, 48_000)[:length]
    assert len(resample(audio, source_rate, target_rate)) == round(
        length * target_rate / source_rate
    )


def test_nothing_moves_in_time():
    audio = noise(0.5, 8000)
    there_and_back = resample(resample(audio, 8000, 48_000), 48_000, 8000)
    assert lag(there_and_back, audio) == 0


def test_any_leading_axes_are_kept():
    audio = noise(0.1, 8000)
    stack = np.stack([[audio, -audio], [0 * audio, 2 * audio]])
    result = resample(stack, 8000, 16_000)
    assert result.shape == (2, 2, 1600)
    np.testing.assert_allclose(result[1, 1], 2 * resample(audio, 8000, 16_000), atol=1e-6)
    assert not result[1, 0].any()


@pytest.mark.parametrize(("source_rate", "target_rate"), RATES)
def test_the_stream_equals_the_whole(source_rate, target_rate):
    audio = np.stack([noise(0.3, source_rate, seed=1), noise(0.3, source_rate, seed=2)])
    stream = Resampler(source_rate, target_rate, 2)
    blocks = split(audio, np.random.default_rng(3), longest=700)
    pieces = [stream.push(block) for block in blocks]
    streamed = np.concatenate([*pieces, stream.flush()], axis=-1)
    np.testing.assert_allclose(streamed, resample(audio, source_rate, target_rate), atol=1e-6)


@pytest.mark.parametrize("target_rate", [8000, 16_000])
def test_a_stream_of_nothing_gives_nothing(target_rate):
    assert Resampler(8000, target_rate, 2).flush().shape == (2, 0)
