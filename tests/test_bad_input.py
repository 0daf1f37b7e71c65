"""What goes wrong, through the real command line: one line that names the file and says what to do,
an exit code that is not 0, and nothing half-written left."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from fullband.audio.file import read, write
from fullband.cli import main
from signals import noise, tone

RATE = 8000


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with one good file in it."""
    monkeypatch.chdir(tmp_path)
    write("good.wav", tone(440, 0.5, RATE), RATE)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def failure(*arguments: str) -> str:
    """The one line that a failing command prints; checks that it left everything as it was."""
    before = tree(Path.cwd())
    result = CliRunner().invoke(main, list(arguments))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert tree(Path.cwd()) == before
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def enhance_failure(*arguments: str) -> str:
    return failure("enhance", "--model", "spline", *arguments)


def header_with(rate: int) -> bytes:
    """A WAV of half a second whose header states another rate."""
    content = Path("good.wav").read_bytes()
    assert struct.unpack("<I", content[24:28]) == (RATE,)
    return content[:24] + struct.pack("<II", rate, 2 * rate) + content[32:]


def cut(path: str) -> bytes:
    content = Path(path).read_bytes()
    return content[: len(content) * 6 // 10]


def float_wav(*values: float) -> bytes:
    sound = tone(440, 0.5, RATE)
    sound[1000 : 1000 + len(values)] = values
    soundfile.write("made.wav", sound, RATE, "FLOAT")
    content = Path("made.wav").read_bytes()
    Path("made.wav").unlink()
    return content


def flac() -> bytes:
    write("whole.flac", noise(3, RATE), RATE)
    content = cut("whole.flac")
    Path("whole.flac").unlink()
    return content


def no_samples() -> bytes:
    soundfile.write("none.wav", np.zeros(0), RATE)
    content = Path("none.wav").read_bytes()
    Path("none.wav").unlink()
    return content


BAD_FILES = {
    "empty.wav": (lambda: b"", "is empty"),
    "text.wav": (lambda: b"Dear diary,\n" * 20, "is not audio that can be read"),
    "random.mp3": (lambda: np.random.default_rng(0).bytes(5000), "is not audio that can be read"),
    "header.wav": (lambda: Path("good.wav").read_bytes()[:30], "is not audio that can be read"),
    "cut.wav": (lambda: cut("good.wav"), "damaged after 0.30 s of 0.50 s"),
    "cut.flac": (flac, "cut.flac: "),
    "nan.wav": (lambda: float_wav(np.nan), "sample 1000 is NaN or infinite"),
    "inf.wav": (lambda: float_wav(0.0, np.inf, -np.inf), "sample 1001 is NaN or infinite"),
    "none.wav": (no_samples, "holds no samples"),
    "slow.wav": (lambda: header_with(1), "sample rate 1 Hz is outside 2000 to 768000 Hz"),
    "fast.wav": (lambda: header_with(768_001), "sample rate 768001 Hz is outside"),
    "absurd.wav": (lambda: header_with(2**31 - 1), "absurd.wav: "),
}


@pytest.mark.parametrize("command", ["enhance", "inspect"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file(name, command):
    make, message = BAD_FILES[name]
    Path(name).write_bytes(make())
    line = failure(command, name, *(["--model", "spline"] if command == "enhance" else []))
    assert name in line
    assert message in line


def test_missing_files_and_folders_without_audio():
    assert "none.wav: no such file" in enhance_failure("none.wav")
    assert "none.wav: no such file" in failure("inspect", "none.wav")
    Path("empty").mkdir()
    Path("empty/notes.txt").write_text("hello")
    assert "empty: no audio files in it" in enhance_failure("empty")
    assert "empty: is a folder" in failure("inspect", "empty")


@pytest.mark.parametrize("length", [1, 2, 5, 21])
def test_very_short_files_are_enhanced(length):
    write("short.wav", tone(440, 0.1, RATE)[100 : 100 + length], RATE)
    result = CliRunner().invoke(main, ["enhance", "--model", "spline", "-q", "short.wav"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert read("short-wide.wav")[0].shape == (2 * length,)


@pytest.mark.parametrize("rate", [2000, 768_000])
def test_the_lowest_and_the_highest_rate_are_enhanced(rate):
    write("edge.wav", noise(0.05, rate), rate)
    result = CliRunner().invoke(
        main, ["enhance", "--model", "spline", "-q", "--rate", "48000", "edge.wav"]
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert read("edge-wide.wav")[0].shape == (2400,)


@pytest.mark.parametrize("rate", ["0", "-8000", "1999", "768001"])
def test_a_rate_out_of_range(rate):
    assert f"sample rate {rate} Hz is outside" in enhance_failure("good.wav", "--rate", rate)


def test_unwritable_places():
    Path("file").write_text("precious")
    for target in ("file/out.wav", "file/deeper/out.wav", "/proc/nope/out.wav"):
        line = enhance_failure("good.wav", "-o", target)
        assert f"{target}: cannot be written (" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; run the tests as a user")
def test_a_read_only_folder():
    Path("locked").mkdir(mode=0o500)
    line = enhance_failure("good.wav", "-o", "locked/out.wav")
    assert "locked/out.wav: cannot be written (" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything; run the tests as a user")
def test_an_unreadable_file():
    write("secret.wav", tone(440, 0.1, RATE), RATE)
    Path("secret.wav").chmod(0)
    result = CliRunner().invoke(main, ["enhance", "--model", "spline", "secret.wav"])
    assert result.exit_code == 1
    assert "secret.wav: may not be read (permissions)" in result.stderr


def test_a_full_disk(monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    line = enhance_failure("good.wav", "-o", "out.wav")
    assert "out.wav: could not be written (no space left on device)" in line


@pytest.mark.parametrize("options", [[], ["--force"]])
@pytest.mark.parametrize("target", ["good.wav", "./good.wav", "link.wav", "sub/../good.wav"])
def test_the_output_may_not_be_the_input(target, options):
    Path("sub").mkdir()
    Path("link.wav").symlink_to("good.wav")
    assert "is the input itself" in enhance_failure("good.wav", "-o", target, *options)


def test_a_folder_may_not_be_enhanced_into_itself():
    Path("songs").mkdir()
    shutil.copy("good.wav", "songs/a.wav")
    assert "songs/a.wav: is the input itself" in enhance_failure("songs", "-o", "songs", "--force")


def test_two_inputs_for_one_output():
    Path("sub").mkdir()
    shutil.copy("good.wav", "sub/good.wav")
    line = enhance_failure("good.wav", "sub/good.wav", "-o", "out")
    assert "out/good.wav: both good.wav and sub/good.wav would become this file" in line
    assert "give a folder" in enhance_failure("good.wav", "sub/good.wav", "-o", "out.wav")


def test_an_existing_result():
    Path("good-wide.wav").write_text("precious")
    line = enhance_failure("good.wav")
    assert "good-wide.wav: exists already; use --force to replace it" in line


def test_an_unknown_model():
    line = failure("enhance", "good.wav", "--model", "splines")
    assert "unknown model 'splines'; did you mean 'spline'?" in line
    assert "none.onnx: a model needs both" in failure("enhance", "good.wav", "--model", "none.onnx")


def test_an_output_that_cannot_be():
    line = enhance_failure("good.wav", "-o", "out.wma")
    assert "out.wma: cannot write files ending in '.wma'; use one of .3g2, .3gp, .aif" in line
    line = enhance_failure("good.wav", "-o", "out.opus", "--rate", "44100")
    assert "out.opus: OGG cannot hold 44100 Hz; --rate one of 8000" in line


def test_a_folder_where_the_file_should_go():
    Path("out/good.wav").mkdir(parents=True)
    assert "out/good.wav: is a folder" in enhance_failure("good.wav", "-o", "out")


STRANGE = [
    "with space.wav",
    'it\'s "quoted".wav',
    "[red]bold.wav",
    "[bold red] [link=x].wav",
    "日本語 ü.wav",
    "-dash.wav",
    "two\nlines.wav",
    "\x1b[31mred.wav",
    "a" * 250 + ".wav",
]


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_enhanced(name):
    shutil.copy("good.wav", name)
    result = CliRunner().invoke(main, ["enhance", "--model", "spline", "-o", "out", "--", name])
    assert result.exit_code == 0, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    assert read(Path("out") / name)[0].shape == (8000,)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_named_when_they_fail(name):
    Path(name).write_text("not audio")
    line = failure("enhance", "--model", "spline", "-o", "out", "--", name)
    shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert f"{shown}: is not audio that can be read" in line


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_inspected(name):
    shutil.copy("good.wav", name)
    result = CliRunner().invoke(main, ["inspect", "--picture", "picture.png", "--", name])
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 9


def test_a_name_longer_than_any_file():
    name = "a" * 300 + ".wav"
    assert f"{name}: " in enhance_failure(name)
    assert f"{name}: " in enhance_failure("good.wav", "-o", name)
    almost = "a" * 250 + ".wav"  # is one, but `-wide` does not fit
    shutil.copy("good.wav", almost)
    assert "-wide.wav: cannot be written (file name too long)" in enhance_failure(almost)


def test_one_bad_file_does_not_stop_the_rest_and_is_named_at_the_end():
    Path("songs/deep").mkdir(parents=True)
    shutil.copy("good.wav", "songs/a.wav")
    Path("songs/b.wav").write_text("not audio")
    shutil.copy("good.wav", "songs/deep/c.wav")
    result = CliRunner().invoke(main, ["enhance", "--model", "spline", "songs", "none.wav"])
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[-3] == "2 failed:"
    assert {line.split(":")[0].strip() for line in lines[-2:]} == {"none.wav", "songs/b.wav"}
    assert [path for path in tree(Path("songs-wide")) if path.endswith(".wav")] == [
        "a.wav",
        str(Path("deep/c.wav")),
    ]


def test_a_missing_file_beside_one_good_file_is_named_at_the_end():
    result = CliRunner().invoke(main, ["enhance", "--model", "spline", "none.wav", "good.wav"])
    assert result.exit_code == 1
    assert Path("good-wide.wav").exists()
    assert result.stderr.splitlines()[-2:] == ["1 failed:", "  none.wav: no such file"]


def test_the_real_process_says_one_line_and_leaves_1():
    Path("text.wav").write_text("not audio")
    before = tree(Path.cwd())
    result = subprocess.run(
        [sys.executable, "-m", "fullband.cli", "enhance", "--model", "spline", "text.wav"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "text.wav: is not audio that can be read" in result.stderr
    assert tree(Path.cwd()) == before
