"""Dither: the noise that theory asks for, the same however a recording is cut, none on the grid."""

from __future__ import annotations

import numpy as np
import pytest

from fullband.audio.dither import quantised, triangular
from fullband.audio.file import AudioWriter, read, write
from fullband.enhancement import enhance_file
from signals import low_passed, noise, silence, tone

RATE = 16_000
STEPS = 1 << 15


def test_the_noise_is_triangular_and_white():
    drawn = triangular(0, 0, 400_000)
    assert np.max(np.abs(drawn)) < 1
    assert np.mean(drawn) == pytest.approx(0, abs=0.003)
    assert np.var(drawn) == pytest.approx(1 / 6, rel=0.01)  # of a sum of two uniform ones
    assert np.mean(np.abs(drawn) < 0.5) == pytest.approx(0.75, abs=0.005)
    assert np.mean(drawn[1:] * drawn[:-1]) == pytest.approx(0, abs=0.001)
    assert np.mean(drawn * triangular(1, 0, 400_000)) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 999, 2**33 + 5])
def test_the_noise_belongs_to_the_place(start):
    np.testing.assert_array_equal(triangular(0, start, 50)[7:], triangular(0, start + 7, 43))


def test_the_error_no_longer_follows_the_sound():
    """A tone of a third of a step is lost by rounding, and heard under noise with dither."""
    faint = tone(440, 4, RATE, amplitude=0.3 / STEPS)[None]
    assert not quantised(faint, STEPS).any()
    dithered = quantised(faint, STEPS, dither=True)
    assert np.vdot(dithered, faint) / np.vdot(faint, faint) == pytest.approx(1, abs=0.1)
    error = (dithered - faint) * STEPS
    assert np.var(error) == pytest.approx(1 / 6 + 1 / 12, rel=0.05)


def test_samples_on_the_grid_stay():
    generator = np.random.default_rng(0)
    whole = (generator.integers(-STEPS, STEPS, (2, 5000)) / STEPS).astype(np.float32)
    np.testing.assert_array_equal(quantised(whole, STEPS, dither=True), whole)
    assert not quantised(np.zeros((1, 5000), np.float32), STEPS, dither=True).any()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".m4a"])
def test_blocks_of_any_size_are_dithered_alike(tmp_path, suffix):
    audio = np.stack([noise(1, RATE, seed=1), noise(1, RATE, seed=2)])
    results = []
    for size in (16_000, 777):
        path = tmp_path / f"{size}{suffix}"
        with AudioWriter(path, RATE, 2, "PCM_16", dither=True) as writer:
            for start in range(0, RATE, size):
                writer.write(audio[:, start : start + size])
        results.append(read(path)[0])
    np.testing.assert_array_equal(*results)
    assert np.max(np.abs(results[0] - audio)) <= 1.5 / STEPS
    write(tmp_path / f"plain{suffix}", audio, RATE, "PCM_16")
    assert (read(tmp_path / f"plain{suffix}")[0] != results[0]).any()


def test_24_bits_and_floats_are_not_dithered(tmp_path):
    audio = noise(0.2, RATE)
    for subtype in ("PCM_24", "FLOAT"):
        files = []
        for dither in (False, True):
            write(tmp_path / "sound.wav", audio, RATE, subtype, force=True, dither=dither)
            files.append((tmp_path / "sound.wav").read_bytes())
        assert files[0] == files[1]


def test_enhancing_dithers_what_is_new_and_nothing_else(tmp_path):
    narrow = np.concatenate([silence(0.5, 8000), low_passed(noise(0.5, 8000), 8000, 3000)])
    write(tmp_path / "narrow.wav", narrow, 8000)
    for name, options in (("plain", {"dither": False}), ("dithered", {}), ("again", {})):
        enhance_file(tmp_path / "narrow.wav", tmp_path / f"{name}.wav", model="spline", **options)
    plain, dithered, again = (
        read(tmp_path / f"{name}.wav")[0] for name in ("plain", "dithered", "again")
    )
    np.testing.assert_array_equal(dithered, again)
    assert not dithered[:7000].any()  # digital silence stays what it is
    assert 0 < np.max(np.abs(dithered - plain)) <= 1.5 / STEPS
    enhance_file(tmp_path / "plain.wav", tmp_path / "same.wav", model="sinc", bandwidth_hz=8000)
    np.testing.assert_array_equal(read(tmp_path / "same.wav")[0], plain)  # nothing to add
