"""Spectrograms: a tone is a line where it should be, and silence is dark."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fullband.audio.picture import Panel, SpectrogramMeter, draw_spectrograms, feed
from signals import click, noise, silence, split, tone


def panel_of(audio: np.ndarray, sample_rate: int, highest_hz: float | None = None) -> Panel:
    meter = SpectrogramMeter(sample_rate, audio.shape[-1], highest_hz or sample_rate / 2)
    return feed(meter, [np.atleast_2d(audio)]).panel("sound")


@pytest.mark.parametrize("frequency_hz", [500, 3000, 7500])
def test_a_tone_is_a_line_at_its_height(frequency_hz):
    level_db = panel_of(tone(frequency_hz, 3, 16_000, amplitude=1.0), 16_000).level_db
    rows = np.argmax(level_db[:, 100:-100], axis=0)
    expected = frequency_hz / 8000 * (level_db.shape[0] - 1)
    assert np.max(np.abs(rows - expected)) <= 1
    assert level_db[:, 100:-100].max() == pytest.approx(0, abs=0.5)  # a full-scale sine


def test_a_click_is_a_line_at_its_time():
    panel = panel_of(click(3, 16_000, at_s=1.0), 16_000)
    columns = np.argmax(panel.level_db[10:-10], axis=1)
    assert np.max(np.abs(columns - panel.level_db.shape[1] / 3)) <= 4  # within half a frame
    assert panel.duration_s == 3


def test_above_the_files_nyquist_there_is_nothing():
    level_db = panel_of(noise(1, 8000), 8000, highest_hz=8000).level_db
    half = level_db.shape[0] // 2
    assert np.median(level_db[:half]) > -60
    assert (level_db[half + 1 :] == -160).all()


@pytest.mark.parametrize("length", [1, 2, 5, 1000, 48_000, 200_001])
def test_blocks_equal_the_whole(length):
    audio = np.stack([noise(5, 48_000, seed=1)[:length], noise(5, 48_000, seed=2)[:length]])
    meter = SpectrogramMeter(48_000, length, 24_000)
    blocks = split(audio, np.random.default_rng(0), longest=max(1, length // 5), shortest=1)
    streamed = feed(meter, blocks).panel("sound").level_db
    assert np.isfinite(streamed).all()
    np.testing.assert_allclose(streamed, panel_of(audio, 48_000).level_db, atol=1e-3)


def test_the_picture_has_a_panel_for_each_and_the_mark(tmp_path):
    sound = tone(1000, 1, 8000)
    meter = SpectrogramMeter(8000, 8000, 4000)
    with_mark = feed(meter, [sound[None]]).panel("marked", mark_hz=3000)
    draw_spectrograms(tmp_path / "one.png", [panel_of(sound, 8000)])
    draw_spectrograms(tmp_path / "two.png", [panel_of(sound, 8000), with_mark])
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert one.format == "PNG"
        assert one.width == two.width
        assert one.height < two.height < 2 * one.height
        marked = [(np.asarray(image) == (90, 220, 255)).all(axis=-1).any() for image in (one, two)]
    assert marked == [False, True]


def test_silence_is_dark(tmp_path):
    draw_spectrograms(tmp_path / "dark.png", [panel_of(silence(1, 8000), 8000)])
    with Image.open(tmp_path / "dark.png") as image:
        centre = image.getpixel((image.width // 2, image.height // 2))
    assert max(centre) < 30
