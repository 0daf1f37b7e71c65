"""Decoding by a child with limits: the same samples, and one line whatever becomes of the child."""

from __future__ import annotations

import ctypes
import json
import os
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
from fullband.audio import sandbox
from fullband.audio.file import AudioReader, read, write
from fullband.audio.sandbox import Limits, SandboxedReader, open_reader
from fullband.cli import main
from fullband.errors import AudioFileError, FullbandError, MissingFileError
from signals import noise, tone

RATE = 8000
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("good.wav", tone(440, 0.5, RATE), RATE)
    return tmp_path


def samples_of(reader) -> np.ndarray:
    return np.concatenate(list(reader.blocks()), axis=-1)


def reason(path: str, limits: Limits | None = None) -> str:
    """Why a file cannot be read in the sandbox: one line that names it."""
    with pytest.raises(AudioFileError) as caught, SandboxedReader(path, limits) as reader:
        for _ in reader.blocks():
            pass
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_the_samples_are_those_that_decoding_here_gives(name):
    write(name, np.stack([noise(9, 16_000), noise(9, 16_000, 1)]), 16_000)
    with AudioReader(name) as here, SandboxedReader(name) as there:
        assert there.info == here.info
        expected = samples_of(here)
        for _ in range(2):  # as often as asked
            np.testing.assert_array_equal(samples_of(there), expected)


def test_formats_of_ffmpeg_come_through_without_their_tags():
    pytest.importorskip("av")
    write("a.m4a", noise(0.5, 16_000), 16_000)
    with AudioReader("a.m4a") as here, SandboxedReader("a.m4a") as there:
        assert there.info == here.info
        np.testing.assert_array_equal(samples_of(there), samples_of(here))
    with soundfile.SoundFile("titled.flac", "w", RATE, 1) as titled:
        titled.title = "A title"
        titled.write(noise(0.5, RATE))
    summary = fullband.enhance_file("titled.flac", "out.flac", model="sinc", sandbox=Limits())
    assert "stay behind" in " ".join(summary.notes)
    with soundfile.SoundFile("out.flac") as made:
        assert "title" not in made.copy_metadata()


def test_samples_without_a_header():
    samples = np.arange(-4000, 4000, dtype="<i2")
    samples.tofile("plain.raw")
    with SandboxedReader("plain.raw", raw="s16le:16000:2") as reader:
        assert (reader.info.sample_rate, reader.info.channels) == (16_000, 2)
        np.testing.assert_array_equal(samples_of(reader).T.ravel() * 2**15, samples)


def test_blocks_are_as_small_as_asked():
    with SandboxedReader("good.wav") as reader:
        sizes = [block.shape for block in reader.blocks(1500)]
    assert sizes == [(1, 1500), (1, 1500), (1, 1000)]


def test_a_pass_that_is_broken_off_leaves_no_process():
    write("long.wav", noise(60, RATE), RATE)
    with SandboxedReader("long.wav") as reader:
        assert reader._child is not None
        process = reader._child._process
        blocks = reader.blocks()
        next(blocks)
        blocks.close()
    assert process.poll() is not None


@pytest.mark.parametrize("path", ["none.wav", ".", "text.wav", "empty.wav", "cut.wav"])
def test_what_cannot_be_read_is_refused_in_the_same_words(path):
    Path("text.wav").write_text("Dear diary\n" * 20)
    Path("empty.wav").touch()
    Path("cut.wav").write_bytes(Path("good.wav").read_bytes()[:3000])
    messages = []
    for limits in (None, Limits()):
        with pytest.raises(FullbandError) as caught, open_reader(path, limits) as reader:
            samples_of(reader)
        messages.append((type(caught.value), str(caught.value)))
    assert messages[0] == messages[1]
    assert (messages[0][0] is MissingFileError) == (path == "none.wav")


def test_a_recording_longer_than_allowed_is_refused_by_its_header():
    assert "is longer than the 0.4 s that are allowed" in reason("good.wav", Limits(most_s=0.4))
    with SandboxedReader("good.wav", Limits(most_s=0.5)) as reader:
        assert samples_of(reader).shape == (1, 4000)


@ON_POSIX
def test_more_memory_than_allowed():
    write("long.wav", noise(60, RATE), RATE)
    assert "needs more than 64 MiB" in reason("long.wav", Limits(memory_bytes=64 << 20))


def a_child(monkeypatch, code: str) -> None:
    """Have the child do something else."""
    start = "import json, os, signal, struct, sys, time\ngiven = json.loads(sys.argv[1])\n"
    monkeypatch.setattr(sandbox, "_START", start + code)


@ON_POSIX
def test_more_processor_time_than_allowed(monkeypatch):
    a_child(
        monkeypatch,
        "sys.path[:] = given['import_from']\n"
        "from fullband.audio.sandbox_child import _keep_to\n"
        "_keep_to(1 << 30, 1)\n"
        "while True: pass",
    )
    assert "it took more than 1 s of processor time" in reason("good.wav", Limits(cpu_s=1))


def test_a_child_that_hangs_is_ended(monkeypatch):
    a_child(monkeypatch, "time.sleep(60)")
    begun = time.monotonic()
    assert "no block came within 0.3 s" in reason("good.wav", Limits(block_s=0.3))
    assert time.monotonic() - begun < 10


@ON_POSIX
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_child_that_crashes(monkeypatch, name):
    a_child(monkeypatch, f"os.kill(os.getpid(), signal.{name})")
    assert f"the decoder crashed, {name}" in reason("good.wav")


def test_a_child_that_ends_early(monkeypatch):
    a_child(monkeypatch, "sys.stdout.buffer.write(b'i\\x05\\0\\0\\0{')")
    assert "the decoder ended early" in reason("good.wav")


INFO = {
    "name": "good.wav",
    "sample_rate": RATE,
    "channels": 1,
    "frames": 4000,
    "container": "WAV",
    "subtype": "PCM_16",
}


def framed(*frames: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack("<cI", kind, len(load)) + load for kind, load in frames)


def info(**changes: object) -> tuple[bytes, bytes]:
    return b"i", json.dumps(INFO | changes).encode()


BLOCK = (b"b", np.zeros(4000, "<f4").tobytes())
END = (b"z", (4000).to_bytes(8, "little"))
NONSENSE = {
    "text": b"Traceback (most recent call last):",
    "an unknown kind": framed((b"?", b"")),
    "too long a frame": struct.pack("<cI", b"i", 1 << 31),
    "samples before it says what they are": framed(BLOCK),
    "no JSON": framed((b"i", b"{")),
    "no table": framed((b"i", b"[]")),
    "deep JSON": framed((b"i", b"[" * 100_000)),
    "another name": framed(info(name="other.wav")),
    "an unknown key": framed(info(code="import os")),
    "a wrong type": framed(info(frames="4000")),
    "no rate": framed(info(sample_rate=0)),
    "an absurd rate": framed(info(sample_rate=1 << 40)),
    "no channels": framed(info(channels=0)),
    "many channels": framed(info(channels=1 << 20)),
    "a negative length": framed(info(frames=-1)),
    "half a sample": framed(info(), (b"b", b"123")),
    "an empty block": framed(info(), (b"b", b"")),
    "an end too early": framed(info(), BLOCK, (b"z", (1).to_bytes(8, "little"))),
    "it all again": framed(info(), info()),
    "an error without a message": framed(info(), (b"e", b"AudioFileError")),
    "an error of no such kind": framed(info(), (b"e", b"SystemExit good.wav: no")),
}


def sends(monkeypatch, content: bytes) -> None:
    Path("sent").write_bytes(content)
    a_child(monkeypatch, "sys.stdout.buffer.write(open('sent', 'rb').read())")


def test_what_makes_sense_is_taken(monkeypatch):
    sends(monkeypatch, framed(info(), BLOCK, END))
    with SandboxedReader("good.wav") as reader:
        assert samples_of(reader).shape == (1, 4000)


@pytest.mark.parametrize("content", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_not(monkeypatch, content):
    sends(monkeypatch, content)
    assert "the decoder sent what makes no sense" in reason("good.wav")


def test_samples_that_are_none_are_refused(monkeypatch):
    sends(monkeypatch, framed(info(), (b"b", np.full(4, np.nan, "<f4").tobytes())))
    assert "sample 0 is NaN or infinite" in reason("good.wav")


def test_more_samples_than_allowed_are_refused_whatever_the_header_said(monkeypatch):
    sends(monkeypatch, framed(info(frames=1), BLOCK, BLOCK, END))
    assert "is longer than the 0.6 s" in reason("good.wav", Limits(most_s=0.6))


def test_an_error_is_one_line_that_names_the_file_whatever_the_child_says(monkeypatch):
    sends(monkeypatch, framed((b"e", b"AudioFileError two\nlines \x1b[31m \xff")))
    assert reason("good.wav") == "good.wav: two\\nlines \\x1b[31m \\udcff"


def test_a_file_that_has_changed_before_the_second_pass():
    with SandboxedReader("good.wav") as reader:
        samples_of(reader)
        write("good.wav", tone(440, 1.0, RATE), RATE, force=True)
        with pytest.raises(AudioFileError, match="good\\.wav: changed while it was read"):
            samples_of(reader)


def landlock() -> int:
    """Its version, below 1 where there is none."""
    if sys.platform != "linux":
        return 0
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)


@ON_POSIX
@pytest.mark.parametrize(
    ("attempt", "refused"),
    [
        ("os.write(1, b'x' * 100)", "File too large"),
        ("os.fork()", "temporarily unavailable"),
        ("bytearray(2 << 30)", "MemoryError"),
        ("open('written', 'w')", "Permission denied"),
        ("os.remove('good.wav')", "Permission denied"),
        ("os.mkdir('made')", "Permission denied"),
        ("os.execv('/bin/true', ['true'])", "Permission denied"),
        ("socket.create_connection(('127.0.0.1', 9))", "Permission denied"),
        ("os.kill(os.getppid(), 0)", "Operation not permitted"),
        ("open('good.wav', 'rb').read()", "done"),
    ],
)
def test_what_the_child_may_not_do(monkeypatch, attempt, refused):
    if refused in ("Permission denied", "Operation not permitted") and landlock() < 6:
        pytest.skip("this kernel does not know all of Landlock")
    a_child(
        monkeypatch,
        "sys.path[:] = given['import_from']\n"
        "import resource, socket\n"
        "from fullband.audio.sandbox_child import _give_up_rights, _keep_to, _send_error\n"
        "out = os.fdopen(os.dup(1), 'wb')\n"
        "os.dup2(os.open('file', os.O_CREAT | os.O_WRONLY), 1)\n"
        "if os.geteuid() == 0 and 'fork' in " + repr(attempt) + ":\n"
        "    os.setuid(65534)  # root may start any number of processes\n"
        "_give_up_rights()\n"
        "_keep_to(1 << 30, 10)\n"
        f"try: {attempt}\n"
        "except BaseException as error: said = f'{type(error).__name__} {error}'\n"
        "else: said = 'done'\n"
        "_send_error(out, 'AudioFileError', said)\n"
        "out.flush()\n"
        "os._exit(0)",
    )
    assert refused in reason("good.wav")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["file", "good.wav"]
    assert not Path("file").stat().st_size


def test_nothing_is_imported_from_the_working_folder():
    Path("soundfile.py").write_text("raise SystemExit('taken over')")
    Path("numpy.py").write_text("raise SystemExit('taken over')")
    with SandboxedReader("good.wav") as reader:
        assert samples_of(reader).shape == (1, 4000)


@pytest.mark.parametrize("command", ["enhance", "inspect"])
@pytest.mark.parametrize("piped", [False, True])
def test_from_the_command_line(command, piped):
    options = {"enhance": ["--model", "sinc", "-o", "out.wav"], "inspect": ["--no-picture"]}
    source, given = ("-", Path("good.wav").read_bytes()) if piped else ("good.wav", None)
    done = CliRunner().invoke(main, [command, source, "--sandbox", *options[command]], input=given)
    assert done.exit_code == 0, done.stderr
    if command == "enhance":
        CliRunner().invoke(main, ["enhance", "good.wav", "--model", "sinc", "-o", "here.wav"])
        np.testing.assert_array_equal(read("out.wav")[0], read("here.wav")[0])
    else:
        assert "0.500 s (4000 samples)" in done.stdout


def test_standard_input_that_is_a_file_is_read_in_place():
    command = [sys.executable, "-m", "fullband.cli", "inspect", "-", "--no-picture", "--sandbox"]
    with Path("good.wav").open("rb") as given:
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0.500 s (4000 samples)" in done.stdout


@pytest.mark.parametrize("command", ["enhance", "inspect"])
def test_a_crash_is_one_line_and_leaves_nothing(monkeypatch, command):
    a_child(monkeypatch, "os.kill(os.getpid(), signal.SIGKILL)" if os.name != "nt" else "exit(1)")
    done = CliRunner().invoke(main, [command, "good.wav", "--sandbox"])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "good.wav: cannot be decoded in the sandbox (" in done.stderr
    assert [path.name for path in Path.cwd().iterdir()] == ["good.wav"]
