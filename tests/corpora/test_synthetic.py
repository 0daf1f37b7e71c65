"""The corpus made of arithmetic: repeatable, full-band, and consistent with what it says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fullband.corpora.synthetic import synthetic_corpus, synthetic_voice
from signals import band, rms_db


def voice(seed=0, sample_rate=16_000, duration_s=2.0):
    return synthetic_voice(sample_rate, duration_s, np.random.default_rng(seed))


def band_db(audio, sample_rate, low_hz, high_hz):
    return rms_db(band(audio, sample_rate, low_hz, high_hz))


def test_the_same_seed_gives_the_same():
    np.testing.assert_array_equal(voice(3), voice(3))
    np.testing.assert_array_equal(
        synthetic_corpus(8000, 3, 2, 0.5).samples, synthetic_corpus(8000, 3, 2, 0.5).samples
    )


def test_another_seed_gives_another():
    assert not np.array_equal(voice(3), voice(4))
    assert not np.array_equal(
        synthetic_corpus(8000, 3, 2, 0.5).samples, synthetic_corpus(8000, 4, 2, 0.5).samples
    )


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("duration_s", [0.01, 1.0, 1.23456])
def test_the_length_is_the_duration(sample_rate, duration_s):
    audio = voice(0, sample_rate, duration_s)
    assert audio.shape == (round(duration_s * sample_rate),)
    assert audio.dtype == np.float32
    assert 0.01 < np.max(np.abs(audio)) < 0.5 or duration_s < 0.1


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
@pytest.mark.parametrize("seed", range(5))
def test_there_is_more_than_noise_above_every_cutoff(sample_rate, seed):
    audio = voice(seed, sample_rate)
    nyquist_hz = sample_rate / 2
    for ratio in (2, 4, 6):
        noise_db = 20 * np.log10(0.002) + 10 * np.log10(1 - 1 / ratio)
        assert band_db(audio, sample_rate, nyquist_hz / ratio, nyquist_hz) > noise_db + 3


@pytest.mark.parametrize("seed", range(5))
def test_harmonics_end_before_nyquist(seed):
    # Above 0.45 of the rate there is noise alone, evenly spread.
    noise_db = 20 * np.log10(0.002) + 10 * np.log10(0.04 / 0.5)
    left_db = band_db(voice(seed, 16_000, 4.0), 16_000, 0.46 * 16_000, 8000)
    assert left_db == pytest.approx(noise_db, abs=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_harmonics_fall_by_6_db_per_octave(seed):
    # Twice as many of them in the next octave, each a quarter of the power: 3 dB per octave.
    audio = voice(seed, 48_000, 3.0)
    octaves = [band_db(audio, 48_000, low_hz, 2 * low_hz) for low_hz in (1000, 2000, 4000, 8000)]
    assert -np.diff(octaves) == pytest.approx(3, abs=1)


def test_there_are_pauses():
    audio = voice(0, 16_000, 3.0)
    blocks = [rms_db(block) for block in audio[: len(audio) // 160 * 160].reshape(-1, 160)]
    noise_db = 20 * np.log10(0.002)
    assert min(blocks) == pytest.approx(noise_db, abs=2)
    assert max(blocks) > noise_db + 25


def test_a_corpus_is_what_it_says():
    corpus = synthetic_corpus(8000, 1, count=3, duration_s=1.5)
    assert len(corpus) == 3
    assert corpus.names == ("synthetic-0", "synthetic-1", "synthetic-2")
    assert corpus.starts == (0, 12_000, 24_000, 36_000)
    assert corpus.samples.shape == (36_000,)
    assert corpus.sample_rate == 8000
    for one, other in itertools.combinations(range(3), 2):
        assert not np.array_equal(corpus.recording(one), corpus.recording(other))


def test_levels_are_of_the_loud_parts():
    corpus = synthetic_corpus(16_000, 2, count=3)
    for index, level_db in enumerate(corpus.levels_db):
        audio = corpus.recording(index)
        assert rms_db(audio) < level_db < 20 * np.log10(np.max(np.abs(audio)))
