"""Hostile input: what the fuzz run found, what is no file, and files that change."""

from __future__ import annotations

import contextlib
import random
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import fullband
from fullband.audio import ffmpeg
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.audio.samples import MAX_LEVEL
from fullband.audio.sandbox import Limits, SandboxedReader
from fullband.cli import main
from fullband.errors import AudioFileError, FullbandError, OutputError
from fullband.manifest import MANIFEST_NAME
from hostile import ogg
from hostile.bomb import silent_flac
from hostile.seeds import seeds
from hostile.special import IS_POSSIBLE, SPECIAL, make_special
from signals import noise, tone

RATE = 8000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What it found


@pytest.mark.parametrize("value", [3e38, -1e20, 2 * MAX_LEVEL])
def test_samples_that_are_absurdly_large_are_refused(value):
    sound = tone(440, 0.5, RATE)
    sound[1234] = value
    soundfile.write("loud.wav", sound, RATE, "FLOAT")
    with pytest.raises(AudioFileError, match=r"loud\.wav: sample 1234 is .* times full scale"):
        fullband.inspect_file("loud.wav")
    with pytest.raises(fullband.FullbandError, match="times full scale"):
        fullband.enhance(sound, RATE)


def test_samples_on_the_scale_of_integers_are_enhanced():
    sound = tone(440, 0.5, RATE) * np.float32(2**31)
    wide, _ = fullband.enhance(sound, RATE, model="sinc")
    assert np.max(np.abs(wide)) == pytest.approx(2**30, rel=0.01)


def test_a_damaged_mp3_is_heard_the_same_twice():
    """libsndfile's decoder, sent back to the start, gave other samples than the first time."""
    whole = next(seed for seed in seeds() if seed.label == "MP3-MPEG_LAYER_III-1").content
    rng, heard = random.Random(0), 0
    for _ in range(150):
        made = bytearray(whole)
        for _ in range(3):
            at = rng.randrange(len(made))
            made[at : at + 8] = rng.randbytes(8)
        Path("damaged.mp3").write_bytes(made)
        try:
            with AudioReader("damaged.mp3") as reader:
                first, second = (np.concatenate(list(reader.blocks()), axis=-1) for _ in range(2))
        except AudioFileError:
            continue
        np.testing.assert_array_equal(first, second)
        heard += 1
    assert heard > 50


def test_an_opus_file_that_ends_before_it_begins():
    """soundfile raised ValueError: the decoder stood behind the end."""
    whole = next(seed for seed in seeds() if seed.label == "OGG-OPUS-1").content
    *_, (start, _) = ogg.pages(whole)
    for position in (0, 1, 300, 1000, 2**62, 2**63, 2**64 - 1):
        made = whole[: start + 6] + struct.pack("<Q", position) + whole[start + 14 :]
        Path("ends.opus").write_bytes(ogg.with_checksums(made))
        with contextlib.suppress(FullbandError):
            fullband.inspect_file("ends.opus")


@pytest.mark.parametrize("label", ["MP3-MPEG_LAYER_III-2", "SDS-PCM_16-1"])
def test_what_decoders_print_is_not_heard(label):
    """libmpg123 prints on standard error, libsndfile's reader of SDS on standard output."""
    seed = next(seed for seed in seeds() if seed.label == label)
    middle = len(seed.content) // 2
    path = Path(f"damaged{seed.suffix}")
    path.write_bytes(seed.content[:middle] + b"\x55" * 200 + seed.content[middle + 200 :])
    loud = subprocess.run(
        [sys.executable, "-c", f"import soundfile; soundfile.read('{path}')"],
        capture_output=True,
        text=True,
        check=False,
    )
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(path), "--model", "sinc"]
    done = subprocess.run([*command, "-o", "-"], capture_output=True, check=False)
    heard = (loud.stdout + loud.stderr).split()
    assert len(heard) > 3  # else this tests nothing
    assert done.stdout[:4] in (b"RIFF", b"")
    assert heard[0].encode() not in done.stdout[:200]
    lines = done.stderr.decode().splitlines()
    assert all(str(path) in line or line.startswith("warning") for line in lines)


@pytest.fixture
def movie() -> bytes:
    pytest.importorskip("av")
    return next(seed for seed in seeds() if seed.label == "mp4-aac").content


def test_a_codec_that_nobody_knows():
    """FFmpeg has no decoder then, and PyAV None in its place."""
    pytest.importorskip("av")
    known = next(seed for seed in seeds() if seed.label == "mov-pcm_s16le").content
    Path("secret.mov").write_bytes(known.replace(b"sowt", b"zzzz"))
    with pytest.raises(AudioFileError, match=r"secret\.mov: holds no sound that can be decoded"):
        fullband.inspect_file("secret.mov")


def test_a_title_that_is_no_text(movie):
    """PyAV raised UnicodeDecodeError."""
    Path("titled.mp4").write_bytes(movie.replace(b"A title", b"\xff\xfe\xed tit"))
    fullband.enhance_file("titled.mp4", "out.mp4", model="sinc")
    assert read("out.mp4")[1] == 16_000


def test_places_before_the_start_of_a_file():
    """FFmpeg asks for them where a file lies about its chunks, and Python raised OSError."""
    Path("some").write_bytes(b"bytes")
    with Path("some").open("rb", buffering=0) as file:
        nameless = ffmpeg._Nameless(file)
        assert nameless.seek(-1) == -1
        assert nameless.seek(-10, 2) == -1
        assert nameless.seek(-2, 2) == 3
        assert nameless.read(9) == b"es"


@pytest.mark.skipif(sys.platform != "linux", reason="counts what is open in /proc")
def test_a_result_without_a_header_is_closed(movie):
    """PyAV left it open for every picture whose description FFmpeg cannot copy."""
    at = movie.index(b"esds", movie.index(b"mp4v")) + 21
    Path("blank.mp4").write_bytes(movie[:at] + b" " * 16 + movie[at + 16 :])
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(OutputError, match=r"out\.mp4: cannot be written"):
        fullband.enhance_file("blank.mp4", "out.mp4", model="sinc")
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert not Path("out.mp4").exists()


def test_more_channels_than_ffmpeg_has_loudspeakers_for():
    """A damaged AAC file said that it had forty, for which FFmpeg has no layout: a ValueError."""
    for name in ("out.mka", "out.mov", "out.avi", "out.m4a"):
        with pytest.raises(OutputError, match="holds at most 8 channels, this has 40"):
            AudioWriter(name, RATE, 40)


# What is no file


@pytest.mark.skipif(not IS_POSSIBLE, reason="Windows has none of these")
@pytest.mark.parametrize("sandbox", [None, Limits()], ids=["here", "sandbox"])
def test_what_is_no_recording_is_refused_at_once(sandbox):
    make_special()
    names = list(SPECIAL) if sandbox is None else ["fifo.wav", "zeros.wav", "two\nlines.wav"]
    for name in names:
        with pytest.raises(FullbandError) as caught:
            fullband.inspect_file(name, sandbox=sandbox)
        shown = name.replace("\n", "\\n").replace("\0", "\\x00")
        assert str(caught.value).startswith(f"{shown}: {SPECIAL[name]}")
        with pytest.raises(FullbandError):
            fullband.enhance_file(name, "out.wav", model="sinc", sandbox=sandbox)
        assert not Path("out.wav").exists()


@pytest.mark.skipif(not IS_POSSIBLE, reason="Windows has none of these")
def test_a_folder_with_all_of_them_in_it():
    Path("in").mkdir()
    write("in/good.wav", tone(440, 0.5, RATE), RATE)
    with pytest.MonkeyPatch.context() as inside:
        inside.chdir("in")
        make_special()
        Path("up").symlink_to("..")
    done = CliRunner().invoke(main, ["enhance", "in", "-o", "out", "--model", "sinc"])
    assert done.exit_code == 1
    assert not isinstance(done.exception, Exception)
    assert {path.name for path in Path("out").rglob("*")} == {"good.wav", MANIFEST_NAME}
    assert "two\\nlines.wav: is not audio" in done.stderr


@pytest.mark.skipif(not IS_POSSIBLE, reason="Windows has none of these")
@pytest.mark.parametrize("name", ["null\0.wav", "a" * 300 + ".wav", "folder.wav", "empty.wav"])
def test_names_that_cannot_be_written(name):
    make_special()
    write("good.wav", tone(440, 0.5, RATE), RATE)
    for target in (lambda: write(name, tone(440, 0.5, RATE), RATE), lambda: enhanced(name)):
        with pytest.raises(FullbandError) as caught:
            target()
        assert str(caught.value).startswith(name.replace("\0", "\\x00"))


def enhanced(target: str) -> None:
    fullband.enhance_file("good.wav", target, model="sinc")


# Files that change, and files that are longer than they look


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("change", ["shrinks", "grows", "vanishes", "is another"])
def test_a_file_that_changes_between_the_two_passes(suffix, change):
    path = Path(f"changing{suffix}")
    write(path, noise(3, RATE), RATE)
    write(f"longer{suffix}", noise(4, RATE), RATE)
    write(f"other{suffix}", noise(3, 16_000), 16_000)
    content = path.read_bytes()
    becomes = {
        "shrinks": content[: len(content) // 3],
        "grows": Path(f"longer{suffix}").read_bytes(),
        "is another": Path(f"other{suffix}").read_bytes(),
    }

    def changed(fraction: float) -> None:
        if fraction < 0.1:
            return
        if change == "vanishes":
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(becomes[change])

    with pytest.raises(FullbandError) as caught:
        fullband.enhance_file(path, "out.wav", model="sinc", progress=changed)
    assert str(caught.value).startswith(f"{path}: ")
    assert not Path("out.wav").exists()
    assert [entry for entry in Path.cwd().iterdir() if entry.suffix == ".part"] == []


def test_a_file_that_is_replaced_is_enhanced_as_it_was_when_it_was_opened():
    write("replaced.wav", noise(3, RATE), RATE)

    def replaced(fraction: float) -> None:
        if fraction >= 0.1:
            write("replaced.wav", noise(4, 16_000), 16_000, force=True)

    fullband.enhance_file("replaced.wav", "out.wav", model="sinc", progress=replaced)
    assert read("out.wav")[0].shape == (3 * 16_000,)


def test_hours_of_silence_in_few_bytes_take_time_in_proportion_and_no_more_memory():
    """The first hour fills the spectra that are kept; from there on memory is flat."""
    seconds, grown = [], []
    for hours in (0.1, 0.2):
        content = silent_flac(round(3600 * hours), 48_000)
        assert len(content) < 10_000
        Path("bomb.flac").write_bytes(content)
        begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with AudioReader("bomb.flac") as reader:
            frames = sum(block.shape[-1] for block in reader.blocks())
        assert frames == reader.info.frames == hours * 3600 * 48_000
        seconds.append(time.process_time() - begun)
        grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert seconds[1] < 4 * seconds[0]
    assert grown[1] < 20 << 10


def test_the_sandbox_refuses_hours_in_few_bytes_by_what_the_header_says():
    Path("bomb.flac").write_bytes(silent_flac(36 * 3600, RATE))
    with pytest.raises(AudioFileError, match=r"bomb\.flac: is longer than the 86400 s"):
        SandboxedReader("bomb.flac")


def test_a_header_that_claims_more_than_there_is_takes_no_memory():
    write("claims.wav", tone(440, 0.5, RATE), RATE)
    content = bytearray(Path("claims.wav").read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0x7000_0000)
    Path("claims.wav").write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioFileError, match=r"claims\.wav: damaged after 0\.50 s of 117440\.51 s"):
        fullband.inspect_file("claims.wav")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


def test_many_channels_are_read_in_blocks_as_small():
    with AudioWriter("many.wav", RATE, 64) as writer:
        writer.write(np.zeros((64, 20_000), np.float32))
    with AudioReader("many.wav") as reader:
        assert max(block.size for block in reader.blocks()) <= 1 << 18
    assert read("many.wav")[0].shape == (64, 20_000)
