"""Low-delay resampling: sines stay where they are, images go, blocks make no difference."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.polyphase import Polyphase

PAIRS = [
    (8000, 48_000),
    (16_000, 48_000),
    (22_050, 48_000),
    (24_000, 48_000),
    (44_100, 48_000),
    (48_000, 16_000),
    (48_000, 8000),
    (48_000, 44_100),
]
AHEAD_S = 0.005


def run(filter_: Polyphase, audio: np.ndarray, lengths) -> np.ndarray:
    before = np.zeros((len(audio), filter_.history), np.float32)
    position, start, pieces = filter_.start, 0, []
    while start < audio.shape[-1]:
        length = int(next(lengths))
        piece, before, position = filter_.push(before, audio[:, start : start + length], position)
        pieces.append(piece)
        start += length
    return np.concatenate(pieces, axis=-1)


def forever(length: int):
    while True:
        yield length


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8])
def test_a_sine_comes_out_as_the_same_sine_at_the_same_time(source, target, share):
    filter_ = Polyphase(source, target, AHEAD_S)
    hz = share * min(source, target) / 2
    audio = np.sin(2 * np.pi * hz * np.arange(source) / source + 0.3)[None].astype(np.float32)
    found = run(filter_, audio, forever(source))[0]
    expected = np.sin(2 * np.pi * hz * np.arange(len(found)) / target + 0.3)
    inside = slice(target // 10, len(found) - target // 10)
    error = np.mean((found[inside] - expected[inside]) ** 2) / 0.5
    assert 10 * np.log10(error) < -60


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_blocks_of_any_length_give_what_the_whole_gives(source, target):
    filter_ = Polyphase(source, target, AHEAD_S)
    generator = np.random.default_rng(3)
    audio = generator.standard_normal((2, 6000)).astype(np.float32)
    whole = run(filter_, audio, forever(6000))
    pieces = run(filter_, audio, iter(lambda: generator.integers(1, 300), None))
    assert pieces.shape == whole.shape
    np.testing.assert_allclose(pieces, whole, atol=3e-6)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_it_waits_as_long_as_it_says(source, target):
    """A sample is given as soon as `ahead` samples after it are there, and not before."""
    filter_ = Polyphase(source, target, AHEAD_S)
    assert filter_.ahead == round(AHEAD_S * source)
    before = np.zeros((1, filter_.history), np.float32)
    position, given = filter_.start, 0
    for taken in range(1, 1000):
        piece, before, position = filter_.push(before, np.ones((1, 1), np.float32), position)
        given += piece.shape[-1]
        # Output n lies at n / target seconds; what is needed of the source ends `ahead` after it.
        possible = max(0, -(-(taken - filter_.ahead) * target // source))
        assert given == possible


def test_images_are_70_db_down():
    filter_ = Polyphase(8000, 48_000, AHEAD_S)
    hz = 3000.0
    audio = np.sin(2 * np.pi * hz * np.arange(48_000) / 8000)[None].astype(np.float32)
    found = run(filter_, audio, forever(48_000))[0][4800:-4800]
    spectrum = np.abs(np.fft.rfft(found * np.blackman(len(found))))
    frequency = np.fft.rfftfreq(len(found), 1 / 48_000)
    image = spectrum[np.abs(frequency - 5000) < 50].max()
    assert 20 * np.log10(image / spectrum.max()) < -68


def test_where_it_has_fallen_by_3_db_is_where_it_says():
    filter_ = Polyphase(8000, 48_000, AHEAD_S)
    for hz, least_db, most_db in ((filter_.passed_hz, -3.3, -2.7), (3500.0, -0.1, 0.1)):
        audio = np.sin(2 * np.pi * hz * np.arange(16_000) / 8000)[None].astype(np.float32)
        found = run(filter_, audio, forever(16_000))[0][4800:-4800]
        turns = np.exp(-2j * np.pi * hz / 48_000 * np.arange(len(found)))
        level = 2 * np.abs(np.mean(found * turns))
        assert least_db < 20 * np.log10(level) < most_db


def test_equal_rates_change_nothing():
    filter_ = Polyphase(48_000, 48_000, AHEAD_S)
    audio = np.arange(10, dtype=np.float32)[None]
    found, _, _ = filter_.push(np.zeros((1, 0), np.float32), audio, filter_.start)
    assert (found == audio).all()
    assert filter_.ahead == filter_.history == 0


def test_rates_without_a_common_measure_are_refused():
    with pytest.raises(ValueError, match="phases"):
        Polyphase(7919, 48_000, AHEAD_S)
