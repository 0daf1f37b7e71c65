"""What is found out about a file, against what was put into it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fullband.audio.file import write
from fullband.errors import AudioFileError, MissingFileError, OutputError
from fullband.inspection import compare_picture, inspect_file
from signals import low_passed, noise, tone


@pytest.fixture
def sound(tmp_path):
    cut = low_passed(noise(2, 16_000, rms=0.05), 16_000, 3000)
    write(tmp_path / "sound.flac", np.stack([cut, cut]), 16_000, "PCM_24")
    return tmp_path / "sound.flac"


def test_header_and_content(sound):
    found = inspect_file(sound)
    assert (found.file.container, found.file.subtype) == ("FLAC", "PCM_24")
    assert (found.file.sample_rate, found.file.channels, found.file.frames) == (16_000, 2, 32_000)
    assert found.file.duration_s == 2
    assert found.analysis.frames == 32_000
    assert found.analysis.bandwidth_hz == pytest.approx(3000, rel=0.05)
    # 0.05 is -26.02 dB, and 3 of 8 kHz are left of it: 4.26 dB less.
    assert found.analysis.level_db == pytest.approx(-26.02 - 4.26, abs=0.3)


def test_a_picture_is_drawn_whole(tmp_path, sound):
    picture = tmp_path / "new" / "sound.png"
    inspect_file(sound, picture)
    with Image.open(picture) as image:
        image.verify()
    assert [path.name for path in picture.parent.iterdir()] == ["sound.png"]


def test_pictures_are_compared_on_one_axis(tmp_path, sound):
    write(tmp_path / "wide.wav", tone(1000, 2, 48_000), 48_000)
    compare_picture(tmp_path / "both.png", [sound, tmp_path / "wide.wav"], mark_hz=3000)
    with Image.open(tmp_path / "both.png") as image:
        image.verify()


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, sound):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"x\.png: the picture cannot be written"):
        inspect_file(sound, tmp_path / "file" / "x.png")
    with pytest.raises(OutputError, match="the picture cannot be written"):
        inspect_file(sound, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "sound.flac"]


def test_bad_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.wav"):
        inspect_file(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(AudioFileError, match=r"text\.wav: is not audio"):
        inspect_file(tmp_path / "text.wav", tmp_path / "text.png")
    assert not (tmp_path / "text.png").exists()
