"""Audio files: round trips, blocks, and results that appear whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fullband.audio.file import SUFFIXES, AudioReader, AudioWriter, read, write
from fullband.errors import AudioError, AudioFileError, MissingFileError, OutputError
from signals import error_db, lag, low_passed, noise, tone

RATE = 16_000
LOSSLESS = [  # ending, sample format, the largest error
    (".wav", "PCM_U8", 1 / 128),
    (".wav", "PCM_16", 1 / 2**15),
    (".wav", "PCM_24", 1 / 2**23),
    (".wav", "PCM_32", 1 / 2**24),  # float32 holds 24 bits
    (".wav", "FLOAT", 0),
    (".wav", "DOUBLE", 0),
    (".rf64", "PCM_24", 1 / 2**23),
    (".w64", "PCM_16", 1 / 2**15),
    (".aiff", "PCM_24", 1 / 2**23),
    (".aif", "PCM_16", 1 / 2**15),
    (".au", "PCM_16", 1 / 2**15),
    (".caf", "PCM_24", 1 / 2**23),
    (".flac", "PCM_16", 1 / 2**15),
    (".flac", "PCM_24", 1 / 2**23),
]


@pytest.fixture
def stereo():
    return np.stack([noise(0.5, RATE, seed=1), tone(440, 0.5, RATE)])


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("suffix", "subtype", "step"), LOSSLESS)
def test_lossless_round_trip(tmp_path, stereo, suffix, subtype, step):
    path = tmp_path / f"sound{suffix}"
    write(path, stereo, RATE, subtype)
    audio, sample_rate = read(path)
    assert sample_rate == RATE
    assert audio.shape == stereo.shape
    assert np.max(np.abs(audio - stereo)) <= step
    with AudioReader(path) as reader:
        assert (reader.info.container, reader.info.subtype) == (SUFFIXES[suffix], subtype)
        assert (reader.info.frames, reader.info.channels) == (8000, 2)
        assert reader.info.duration_s == 0.5


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".mp3"])
def test_lossy_round_trip_keeps_length_and_alignment(tmp_path, suffix):
    sound = low_passed(noise(2, RATE, seed=3), RATE, 3000)
    path = tmp_path / f"sound{suffix}"
    write(path, sound, RATE)
    audio, sample_rate = read(path)
    assert sample_rate in (RATE, 48_000)  # Opus files play at 48 kHz by definition
    audio = audio[:: sample_rate // RATE]  # no content above 3 kHz, so nothing folds
    # MP3 fills its last frame where the header does not say how much of it counts.
    assert 0 <= len(audio) - len(sound) <= (1152 if suffix == ".mp3" else 0)
    assert lag(audio[: len(sound)], sound) == 0
    assert np.corrcoef(audio[: len(sound)], sound)[0, 1] > 0.95


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
@pytest.mark.parametrize(("subtype", "steps"), [("PCM_16", 2**15), ("PCM_24", 2**23)])
def test_integers_are_the_nearest(tmp_path, suffix, subtype, steps):
    sound = np.array([0.0, 1e-9, -1e-9, 0.4, -0.4, 0.6, -0.6, 100.4, -100.4, 0.9 * steps]) / steps
    path = tmp_path / f"sound{suffix}"
    write(path, sound, RATE, subtype)
    found = read(path)[0] * steps
    assert found[:9].tolist() == [0, 0, 0, 0, 0, 1, -1, 100, -100]
    assert abs(found[9] - 0.9 * steps) <= 1


def test_one_channel_is_one_axis(tmp_path):
    write(tmp_path / "mono.wav", tone(440, 0.1, RATE), RATE)
    assert read(tmp_path / "mono.wav")[0].shape == (1600,)


def test_blocks_are_the_whole_and_can_be_had_twice(tmp_path):
    sound = np.stack([noise(20, RATE, seed=1), noise(20, RATE, seed=2)])
    write(tmp_path / "long.wav", sound, RATE, "FLOAT")
    with AudioReader(tmp_path / "long.wav") as reader:
        first = list(reader.blocks())
        second = list(reader.blocks())
    assert len(first) > 2
    np.testing.assert_array_equal(np.concatenate(first, axis=-1), sound)
    np.testing.assert_array_equal(np.concatenate(second, axis=-1), sound)


def test_blocks_written_are_the_whole(tmp_path, stereo):
    with AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
        for start in range(0, 8000, 777):
            writer.write(stereo[:, start : start + 777])
        writer.write(stereo[:, :0])
    write(tmp_path / "b.wav", stereo, RATE)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert writer.frames == 8000


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", "PCM_16"), (".wav", "PCM_24"), (".wav", "PCM_U8"), (".flac", None), (".ogg", None)],
)
def test_beyond_full_scale_is_limited_and_counted(tmp_path, suffix, subtype):
    sound = np.concatenate([np.linspace(-2, 2, 401), np.zeros(4000)]).astype(np.float32)
    path = tmp_path / f"loud{suffix}"
    with AudioWriter(path, RATE, 1, subtype) as writer:
        writer.write(sound[None])
    assert writer.limited == 200  # of steps of 0.01: 100 below -1 and 100 above 1
    assert writer.peak == 2
    audio, _ = read(path)
    if suffix != ".ogg":
        np.testing.assert_allclose(audio, np.clip(sound, -1, 1), atol=1 / 127)
    assert audio[:90].max() < -0.5  # never wrapped around to the other side
    assert audio[310:400].min() > 0.5


def test_float_holds_what_is_beyond_full_scale(tmp_path):
    with AudioWriter(tmp_path / "loud.wav", RATE, 1, "FLOAT") as writer:
        writer.write(np.array([[-3.0, 0.5, 3.0]], np.float32))
    assert (writer.limited, writer.peak) == (0, 3)
    assert read(tmp_path / "loud.wav")[0].tolist() == [-3.0, 0.5, 3.0]


def test_full_scale_itself_is_not_limited(tmp_path):
    with AudioWriter(tmp_path / "full.wav", RATE, 1) as writer:
        writer.write(np.array([[-1.0, 1.0]], np.float32))
    assert writer.limited == 0
    assert read(tmp_path / "full.wav")[0].tolist() == [-1.0, 32767 / 32768]


def test_an_existing_file_is_kept_unless_forced(tmp_path, stereo):
    path = tmp_path / "sound.wav"
    write(path, stereo, RATE)
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"sound\.wav: exists already; use --force"):
        write(path, 0 * stereo, RATE)
    assert path.read_bytes() == before
    write(path, 0 * stereo, RATE, force=True)
    assert not read(path)[0].any()
    assert files_in(tmp_path) == ["sound.wav"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, stereo):
    path = tmp_path / "sound.wav"

    def overtaken() -> None:
        with AudioWriter(path, RATE, 2) as writer:
            writer.write(stereo)
            path.write_text("someone else's")

    with pytest.raises(OutputError, match="exists already"):
        overtaken()
    assert path.read_text() == "someone else's"
    assert files_in(tmp_path) == ["sound.wav"]


def write_and_fail(path: Path, sound: np.ndarray) -> None:
    before = path.read_bytes() if path.exists() else None
    with AudioWriter(path, RATE, len(sound), force=True) as writer:
        writer.write(sound)
        assert (path.read_bytes() if path.exists() else None) == before
        raise RuntimeError


def test_a_failure_leaves_nothing(tmp_path, stereo):
    path = tmp_path / "sound.wav"
    with pytest.raises(RuntimeError):
        write_and_fail(path, stereo)
    assert files_in(tmp_path) == []


def test_a_failure_keeps_what_was_to_be_replaced(tmp_path, stereo):
    path = tmp_path / "sound.wav"
    write(path, stereo, RATE)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_and_fail(path, 0 * stereo)
    assert path.read_bytes() == before
    assert files_in(tmp_path) == ["sound.wav"]


def test_missing_folders_are_made(tmp_path, stereo):
    write(tmp_path / "a" / "b" / "sound.wav", stereo, RATE)
    assert files_in(tmp_path / "a" / "b") == ["sound.wav"]


def test_a_name_as_long_as_the_disk_allows(tmp_path, stereo):
    name = "ä" * 125 + ".wav"  # 254 bytes of at most 255
    write(tmp_path / name, stereo, RATE)
    assert files_in(tmp_path) == [name]


@pytest.mark.parametrize(
    ("name", "rate", "channels", "message"),
    [
        ("sound.xyz", RATE, 1, r"cannot write files ending in '\.xyz'; use one of .*\.wav"),
        ("sound", RATE, 1, "cannot write files ending in ''"),
        ("sound.opus", 44_100, 1, "OGG cannot hold 44100 Hz; --rate one of 8000, .* 48000"),
        ("sound.mp3", 96_000, 1, "MP3 cannot hold 96000 Hz; --rate one of"),
        ("sound.mp3", 48_000, 3, "MP3 holds at most 2 channels, this has 3"),
        ("sound.flac", 48_000, 9, "FLAC holds at most 8 channels, this has 9"),
        ("sound.flac", 768_000, 1, "FLAC cannot hold 768000 Hz"),
    ],
)
def test_what_a_format_cannot_hold_is_said_before_any_work(tmp_path, name, rate, channels, message):
    with pytest.raises(OutputError, match=message):
        AudioWriter(tmp_path / name, rate, channels)
    assert files_in(tmp_path) == []


def test_arrays_are_checked_before_they_are_written(tmp_path):
    with pytest.raises(AudioError, match="sample 1 is NaN"):
        write(tmp_path / "bad.wav", np.array([0, np.nan]), RATE)
    with pytest.raises(AudioError, match="sample rate 5 Hz is outside"):
        write(tmp_path / "bad.wav", np.zeros(10), 5)
    assert files_in(tmp_path) == []


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.wav: no such file"):
        read(tmp_path / "none.wav")
    with pytest.raises(AudioFileError, match="is a folder"):
        read(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        with pytest.raises(AudioFileError, match="not a regular file"):
            read(tmp_path / "pipe.wav")


def test_more_channels_than_anyone_has_are_refused(tmp_path):
    soundfile.write(tmp_path / "wide.wav", np.zeros((10, 65), np.float32), RATE)
    with pytest.raises(AudioFileError, match="has 65 channels, at most 64"):
        read(tmp_path / "wide.wav")


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au", ".flac"])
def test_a_file_that_was_cut_off_is_damaged(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    write(path, noise(2, RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(AudioFileError, match=r"cut\.\w+: "):
        read(path)


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_written_to_a_pipe_does_not_know_its_length_and_is_whole(tmp_path, stated):
    path = tmp_path / "piped.wav"
    sound = tone(440, 0.5, RATE)
    write(path, sound, RATE)
    content = path.read_bytes()
    assert content[36:40] == b"data"
    path.write_bytes(content[:40] + struct.pack("<I", stated) + content[44:])
    np.testing.assert_allclose(read(path)[0], sound, atol=1 / 2**15)


class _Standard:
    """Stands for `sys.stdin` or `sys.stdout`: something with a `buffer`."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_standard_input_is_any_format_and_can_be_heard_twice(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"sound{suffix}"
    write(path, tone(440, 0.5, RATE), RATE)
    monkeypatch.setattr(sys, "stdin", _Standard(path.read_bytes()))
    with AudioReader("-") as reader:
        assert reader.name == "standard input"
        passes = [np.concatenate(list(reader.blocks()), axis=-1) for _ in range(2)]
    np.testing.assert_array_equal(passes[0], passes[1])
    assert error_db(passes[0][0], read(path)[0]) < -200


def test_empty_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", _Standard())
    with pytest.raises(AudioFileError, match="standard input: is empty"):
        AudioReader("-")


def test_standard_output_is_the_file_that_would_have_been_written(tmp_path, monkeypatch, stereo):
    output = _Standard()
    monkeypatch.setattr(sys, "stdout", output)
    write("-", stereo, RATE)
    monkeypatch.undo()
    write(tmp_path / "sound.wav", stereo, RATE)
    assert output.buffer.getvalue() == (tmp_path / "sound.wav").read_bytes()


@pytest.mark.parametrize(("subtype", "channels"), [("PCM_16", 2), ("PCM_24", 1), ("FLOAT", 1)])
def test_standard_output_of_a_known_length_begins_at_once(tmp_path, monkeypatch, subtype, channels):
    blocks = [noise(0.1, RATE, seed, rms=0.4)[None].repeat(channels, 0) for seed in (1, 2, 3)]
    frames = sum(block.shape[1] for block in blocks)
    output = _Standard()
    monkeypatch.setattr(sys, "stdout", output)
    with AudioWriter("-", RATE, channels, subtype, frames=frames) as writer:
        writer.write(blocks[0])
        begun = len(output.buffer.getvalue())
        for block in blocks[1:]:
            writer.write(block)
    assert writer.frames == frames
    monkeypatch.undo()
    assert (begun > blocks[0].size) == (subtype != "FLOAT")
    write(tmp_path / "sound.wav", np.concatenate(blocks, axis=1), RATE, subtype)
    written, rate = soundfile.read(io.BytesIO(output.buffer.getvalue()))
    expected, _ = soundfile.read(tmp_path / "sound.wav")
    assert rate == RATE
    np.testing.assert_array_equal(written, expected)
    info = soundfile.info(io.BytesIO(output.buffer.getvalue()))
    assert (info.subtype, info.channels, info.frames) == (subtype, channels, frames)


def test_fewer_samples_than_were_told_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", _Standard())
    with (
        pytest.raises(OutputError, match="standard output: 100 samples came, not 101"),
        AudioWriter("-", RATE, 1, frames=101) as writer,
    ):
        writer.write(np.zeros((1, 100), np.float32))


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds 64 KiB and no more."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", os.fspath(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here; see the next test")
    yield folder
    subprocess.run(["umount", os.fspath(folder)], check=True)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_a_full_disk(small_disk, suffix):
    with pytest.raises(OutputError, match=r"big\.\w+: could not be written \(.+\); nothing was"):
        write(small_disk / f"big{suffix}", noise(40, RATE), RATE)
    assert files_in(small_disk) == []


def test_a_write_that_fails(tmp_path, monkeypatch, stereo):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(OutputError, match=r"could not be written \(no space left on device\)"):
        write(tmp_path / "sound.wav", stereo, RATE)
    assert files_in(tmp_path) == []
