"""Titles and cover art go along, and the sound they are put beside stays what it was."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from encoded import encode
from fullband.audio import tags
from fullband.audio.ffmpeg import read_chapters, read_tags
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.audio.formats import SUFFIXES
from signals import low_passed, noise

RATE = 48_000
TEXTS = {
    "title": "Anruf",
    "artist": "Ünïcode 日本",
    "album": "Archiv",
    "date": "1999",
    "genre": "Speech",
    "track": "3",
    "comment": "a = b; c",
    "composer": "Someone",
    "album_artist": "Somebody else",
}
STRINGS = ("title", "artist", "album", "date", "genre", "comment")  # of them, libsndfile's


def cover(kind: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (24, 16), (200, 30, 60)).save(content, kind)
    return content.getvalue()


@pytest.fixture
def sound() -> np.ndarray:
    return low_passed(noise(0.5, RATE, seed=4), RATE, 4000)


@pytest.fixture
def source(tmp_path, sound) -> Path:
    """A FLAC file with all tags and a cover."""
    path = tmp_path / "source.flac"
    write(path, sound, RATE)
    tags.attach(path, "FLAC", tags.Tags(dict(TEXTS), [("image/png", cover("PNG"))]))
    return path


def copied(source: Path, target: Path, channels: int = 1) -> tuple[str, ...]:
    with (
        AudioReader(source) as reader,
        AudioWriter(target, RATE, channels, like=reader) as writer,
    ):
        for block in reader.blocks():
            writer.write(block)
    return writer.notes


@pytest.mark.parametrize(
    "suffix", [".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".mka", ".mkv"]
)
def test_all_tags_and_the_cover_go_along(tmp_path, source, suffix):
    target = tmp_path / f"target{suffix}"
    assert copied(source, target) == ()
    plain = tmp_path / f"plain{suffix}"
    write(plain, read(source)[0], RATE)
    np.testing.assert_array_equal(read(target)[0], read(plain)[0])  # the sound is not touched
    with target.open("rb") as file:
        texts, pictures = read_tags(file)
    lower = {name.lower(): value for name, value in texts.items()}
    assert {name: lower.get(name) for name in TEXTS} == TEXTS
    assert pictures == [("image/png", cover("PNG"))]
    again = tmp_path / f"again{suffix}"
    copied(target, again)
    with again.open("rb") as file:
        assert read_tags(file)[1] == pictures


@pytest.mark.parametrize("suffix", [".mov", ".flv", ".avi", ".webm"])
def test_videos_containers_take_tags_and_some_no_cover(tmp_path, source, suffix):
    target = tmp_path / f"target{suffix}"
    notes = copied(source, target)
    assert notes == (f"{SUFFIXES[suffix]} takes no cover art; it stays behind",)
    with target.open("rb") as file:
        texts, _ = read_tags(file)
    assert texts.get("title", texts.get("TITLE")) == "Anruf"


@pytest.mark.parametrize("suffix", [".wav", ".rf64", ".aiff"])
def test_other_containers_keep_what_libsndfile_can_and_say_what_not(tmp_path, source, suffix):
    target = tmp_path / f"target{suffix}"
    notes = copied(source, target)
    assert notes == (f"{SUFFIXES[suffix]} takes no cover art; it stays behind",)
    with soundfile.SoundFile(target) as file:
        kept = file.copy_metadata()
    names = STRINGS if suffix != ".aiff" else ("title", "artist", "comment")
    assert {name: kept.get(name) for name in names} == {name: TEXTS[name] for name in names}


def test_a_jpeg_cover_of_an_mp3_file_keeps_its_bytes(tmp_path, sound):
    first, second = tmp_path / "a.mp3", tmp_path / "b.mp3"
    write(first, sound, RATE)
    plain = first.read_bytes()
    tags.attach(first, "MP3", tags.Tags({"title": "x"}, [("image/jpeg", cover("JPEG"))]))
    assert first.read_bytes().endswith(plain)  # LAME's note on the length among it
    copied(first, second)
    with second.open("rb") as file:
        assert read_tags(file)[1] == [("image/jpeg", cover("JPEG"))]
    tags.attach(second, "MP3", tags.Tags({"title": "y"}))
    with second.open("rb") as file:
        assert read_tags(file) == ({"title": "y"}, [])  # in place of what was there
    assert read(second)[0].shape == sound.shape


def test_tags_of_containers_of_ffmpeg_go_into_wav_and_back(tmp_path, sound):
    encode(tmp_path / "a.m4a", sound, RATE, "aac", "ipod", tags=TEXTS)
    copied(tmp_path / "a.m4a", tmp_path / "b.wav")
    copied(tmp_path / "b.wav", tmp_path / "c.m4a")
    with av.open(str(tmp_path / "c.m4a")) as file:
        assert {name: file.metadata.get(name) for name in STRINGS} == {
            name: TEXTS[name] for name in STRINGS
        }


@pytest.mark.parametrize("suffix", [".m4b", ".mka", ".mp3", ".mkv"])
def test_chapters_go_along(tmp_path, source, suffix):
    at = [(0, 200, "One"), (200, 500, "Twö")]
    chapters = [
        {"id": i, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": name}}
        for i, (a, b, name) in enumerate(at)
    ]
    tags.attach(source, "FLAC", tags.Tags({"title": "x"}))
    encode(tmp_path / "book.m4b", read(source)[0], RATE, "aac", "mp4", chapters=chapters)
    copied(tmp_path / "book.m4b", tmp_path / f"copy{suffix}")
    with (tmp_path / f"copy{suffix}").open("rb") as file:
        found = read_chapters(file)
    assert [
        (round(each["start"] * each["time_base"] * 1000), each["metadata"]["title"])
        for each in found
    ] == [(0, "One"), (200, "Twö")]


def test_without_pyav_the_strings_go_along(tmp_path, source, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for suffix in (".flac", ".wav", ".ogg"):
        assert copied(source, tmp_path / f"target{suffix}") == ()
        with soundfile.SoundFile(tmp_path / f"target{suffix}") as file:
            kept = file.copy_metadata()
        names = STRINGS[:-1]  # FFmpeg calls a FLAC file's comment its description
        assert {name: kept.get(name) for name in names} == {name: TEXTS[name] for name in names}
