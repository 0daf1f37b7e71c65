"""The command line: what each option does, and what goes to which stream."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from PIL import Image

from any_rate import write_any_rate_model
from encoded import encode, packets_of
from fullband import __version__
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.cli import main
from fullband.enhancement import enhance
from interruptible import interruptible
from signals import low_passed, noise, tone

DITHERED = 1.51 / 2**15  # half a step of rounding and one of noise


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with a narrow recording in it."""
    monkeypatch.chdir(tmp_path)
    write("a.wav", tone(440, 0.5, 8000), 8000)
    return tmp_path


def run(*arguments: str, stdin: bytes | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments), input=stdin)
    assert result.exit_code == code, result.output
    return result


def spline(*arguments: str, **options) -> Result:
    return run("enhance", "--model", "spline", *arguments, **options)


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(main.commands))])
def test_every_command_has_help(command):
    for option in ("--help", "-h"):
        text = run(*command, option).stdout
        assert text.startswith("Usage: main" if not command else f"Usage: main {command[0]}")
        assert "Traceback" not in text
    if command:
        assert len(main.commands[command[0]].help) > 10
        for parameter in main.commands[command[0]].params:
            assert (
                parameter.param_type_name == "argument"
                or parameter.help
                or (parameter.show_default)
            )


def test_version():
    assert run("--version").stdout == f"fullband, version {__version__}\n"


def test_wrong_usage_leaves_2():
    for arguments in (["nothing"], ["enhance"], ["enhance", "a.wav", "--rate", "fast"]):
        result = run(*arguments, code=2)
        assert "Error: " in result.stderr
        assert result.stdout == ""


def test_a_file_is_enhanced_beside_itself():
    result = spline("a.wav")
    audio, rate = read("a-wide.wav")
    assert rate == 16_000
    expected = enhance(read("a.wav")[0], 8000, model="spline")[0]
    np.testing.assert_allclose(audio, expected, atol=DITHERED)
    assert result.stdout == ""
    line = result.stderr.strip()
    assert line.startswith("a.wav -> a-wide.wav  8000 -> 16000 Hz  content to ")
    assert "spline" in line
    assert "0.50 s" in line


def test_rate():
    spline("a.wav", "--rate", "44100")
    assert soundfile.info("a-wide.wav").samplerate == 44_100
    assert soundfile.info("a-wide.wav").frames == 22_050


def test_model(exported):
    run("enhance", "a.wav", "--model", str(exported[3]))
    assert soundfile.info("a-wide.wav").samplerate == 48_000


def test_output_as_file_and_as_folder():
    spline("a.wav", "-o", "new/b.flac")
    assert soundfile.info("new/b.flac").format == "FLAC"
    spline("a.wav", "--output", "folder")
    assert soundfile.info("folder/a.wav").frames == 8000


def test_force_replaces():
    Path("a-wide.wav").write_text("old")
    assert "use --force" in spline("a.wav", code=1).stderr
    assert Path("a-wide.wav").read_text() == "old"
    spline("a.wav", "--force")
    assert soundfile.info("a-wide.wav").frames == 8000


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_says_nothing_but_errors(option):
    assert spline("a.wav", option).output == ""
    assert "exists already" in spline("a.wav", option, code=1).stderr


def test_what_was_limited_is_said():
    square = np.sign(tone(101, 1, 8000)) * np.float32(0.999)
    write("loud.wav", low_passed(square, 8000, 3000), 8000)
    text = spline("loud.wav").stderr
    assert "warning loud-wide.wav: " in text
    assert "samples beyond full scale were limited" in text


def test_nothing_to_add_is_said():
    write("full.wav", noise(0.5, 48_000), 48_000)
    assert "(nothing to add)" in spline("full.wav").stderr


def test_a_folder_keeps_its_tree():
    Path("songs/deep").mkdir(parents=True)
    shutil.copy("a.wav", "songs/b.wav")
    shutil.copy("a.wav", "songs/deep/c.wav")
    spline("songs", "-o", "out")
    found = sorted(str(path) for path in Path("out").rglob("*.wav"))
    assert found == ["out/b.wav", "out/deep/c.wav"]
    spline("songs", "-o", "songs/out")
    result = spline("songs", "-o", "songs/out", "--no-resume")  # its own results are not read again
    assert sum(" -> " in line for line in result.stderr.splitlines()) == 2


def test_standard_input_to_standard_output():
    result = spline("-", stdin=Path("a.wav").read_bytes())
    audio, rate = soundfile.read(io.BytesIO(result.stdout_bytes), dtype="float32")
    spline("a.wav", "-q")
    expected, expected_rate = read("a-wide.wav")
    assert rate == expected_rate
    np.testing.assert_array_equal(audio, expected)
    assert "standard input -> standard output" in result.stderr


def test_a_pipe_of_processes():
    command = [sys.executable, "-m", "fullband.cli", "enhance", "--model", "spline"]
    piped = subprocess.run(
        [*command, "-", "-o", "-"],
        input=Path("a.wav").read_bytes(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    audio, rate = soundfile.read(io.BytesIO(piped.stdout), dtype="float32")
    assert (rate, audio.shape) == (16_000, (8000,))
    spline("a.wav", "-o", "-")
    spline("-", "-o", "b.flac", stdin=Path("a.wav").read_bytes())
    np.testing.assert_array_equal(read("b.flac")[0], audio)


def test_pictures():
    spline("a.wav", "--picture", "both.png")
    with Image.open("both.png") as image:
        image.verify()
    shutil.copy("a.wav", "b.wav")
    for sources in (["a.wav", "b.wav"], ["-"]):
        result = spline(*sources, "--picture", "p.png", stdin=Path("a.wav").read_bytes(), code=2)
        assert "--picture needs exactly one input file" in result.stderr


def test_models_lists_what_can_be_given():
    names = [line.split()[0] for line in run("models").stdout.splitlines() if line[0] != " "]
    assert {"auto", "sinc", "spline"} <= set(names)
    for name in names:
        if name not in ("auto",):
            shutil.rmtree("out", ignore_errors=True)
            run("enhance", "a.wav", "-q", "--model", name, "-o", "out")


def test_inspect_by_hand():
    sound = low_passed(noise(2, 16_000, rms=0.05), 16_000, 3000)
    sound *= np.float32(0.5) / np.max(np.abs(sound))
    write("cut.flac", np.stack([sound, sound]), 16_000, "PCM_24")
    rows = dict(line.split(maxsplit=1) for line in run("inspect", "cut.flac").stdout.splitlines())
    assert rows["file"] == "cut.flac"
    assert rows["format"] == "FLAC PCM_24"
    assert rows["sample"] == "rate  16000 Hz"
    assert rows["channels"] == "2"
    assert rows["length"] == "2.000 s (32000 samples)"
    assert rows["level"].endswith("peak -6.0 dBFS")
    level_db = 10 * np.log10(np.mean(sound**2))
    assert float(rows["level"].split()[0]) == pytest.approx(level_db, abs=0.3)
    assert rows["content"].startswith(("speech,", "music,"))
    bandwidth, nyquist = rows["bandwidth"].split(" Hz of ")
    assert float(bandwidth) == pytest.approx(3000, rel=0.05)
    assert nyquist == "8000 Hz"
    assert rows["spectrogram"] == "cut-spectrogram.png"
    assert Path("cut-spectrogram.png").exists()


def test_inspect_of_silence_and_without_a_picture():
    write("silent.wav", np.zeros(8000), 8000)
    text = run("inspect", "silent.wav", "--no-picture").stdout
    assert "-100.0 dBFS where it is active, peak -inf dBFS" in text
    assert sorted(path.name for path in Path().iterdir()) == ["a.wav", "silent.wav"]


def test_inspect_of_standard_input():
    text = run("inspect", "-", "--picture", "p.png", stdin=Path("a.wav").read_bytes()).stdout
    assert "standard input" in text
    assert Path("p.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_stopped_leaves_nothing_half_written(tmp_path, sent):
    source, folder = tmp_path / "long.wav", tmp_path / "out"
    folder.mkdir()
    generator = np.random.default_rng(0)
    with AudioWriter(source, 4000, 1) as writer:
        for _ in range(60):
            writer.write(0.1 * generator.standard_normal((1, 240_000)).astype(np.float32))
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(source), "--model", "spline"]
    process = subprocess.Popen(
        [*command, "--rate", "48000", "-o", str(folder / "wide.wav")], preexec_fn=interruptible
    )
    deadline = time.monotonic() + 60
    while not any(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    assert process.wait(timeout=30) != 0
    assert list(folder.iterdir()) == []


def test_bandwidth(any_rate):
    write("full.wav", noise(1, 48_000, rms=0.02), 48_000)
    result = run("enhance", "full.wav", "--model", str(any_rate), "--bandwidth", "3500")
    assert "content to 3500 Hz" in result.stderr
    expected = enhance(read("full.wav")[0], 48_000, model=str(any_rate), bandwidth_hz=3500)[0]
    np.testing.assert_allclose(read("full-wide.wav")[0], expected, atol=DITHERED)


def test_detail(any_rate):
    write("narrow.wav", low_passed(noise(1, 48_000, rms=0.02), 48_000, 4000), 48_000)
    for detail in (0.0, 0.25):
        options = ["--model", str(any_rate), "--detail", str(detail), "--force"]
        run("enhance", "narrow.wav", *options)
        narrow = read("narrow.wav")[0]
        expected = enhance(narrow, 48_000, model=str(any_rate), detail=detail)[0]
        np.testing.assert_allclose(read("narrow-wide.wav")[0], expected, atol=DITHERED)
    assert "1.5" in run("enhance", "narrow.wav", "--detail", "1.5", code=2).stderr


def test_headerless_input():
    Path("call.ul").write_bytes(Path("a.wav").read_bytes()[44:4044])
    for stdin, source in ((None, "call.ul"), (Path("call.ul").read_bytes(), "-")):
        result = spline(source, "--raw", "mulaw:8000", "-o", "out.wav", "--force", stdin=stdin)
        assert "8000 -> 16000 Hz" in result.stderr
        assert read("out.wav")[0].shape == (8000,)
    text = run("inspect", "call.ul", "--raw", "s16le:16000:2", "--no-picture").stdout
    assert "format       RAW PCM_16" in text
    assert "(1000 samples)" in text
    spline("call.ul", "--raw", "alaw")
    assert Path("call-wide.wav").exists()
    assert "files or -, not folders" in spline(".", "--raw", "alaw", code=2).stderr
    assert (
        "give its sample rate too"
        in spline("call.ul", "--raw", "s16le", "-o", "b.wav", code=1).stderr
    )


def test_a_headerless_picture():
    Path("call.ul").write_bytes(Path("a.wav").read_bytes()[44:4044])
    spline("call.ul", "--raw", "mulaw", "--picture", "p.png")
    with Image.open("p.png") as picture:
        assert picture.size[0] > 100


def test_depth_bit_rate_and_dither():
    spline("a.wav", "-o", "deep.wav", "--depth", "24")
    assert soundfile.info("deep.wav").subtype == "PCM_24"
    spline("a.wav", "-o", "deep.m4a", "--depth", "24")
    with AudioReader("deep.m4a") as reader:
        assert reader.info.subtype == "ALAC_24"
    assert "use .wav for 32f" in spline("a.wav", "-o", "d.flac", "--depth", "32f", code=1).stderr
    sizes = []
    for kbps in ("64", "256"):
        spline("a.wav", "-o", "a.opus", "--rate", "48000", "--bitrate", kbps, "--force")
        sizes.append(Path("a.opus").stat().st_size)
    assert sizes[1] > 2 * sizes[0]
    assert "is outside" in spline("a.wav", "-o", "b.opus", "--bitrate", "999", code=1).stderr
    spline("a.wav", "-o", "dithered.wav")
    spline("a.wav", "-o", "plain.wav", "--no-dither")
    expected = enhance(read("a.wav")[0], 8000, model="spline")[0]
    errors = [read(f"{name}.wav")[0] - expected for name in ("plain", "dithered")]
    assert np.max(np.abs(errors[0])) <= 0.501 / 2**15 < np.max(np.abs(errors[1])) <= DITHERED


def test_a_container_that_is_not_written_gets_another_and_is_named():
    encode("call.amr", tone(440, 0.5, 8000), 8000, "libopencore_amrnb", "amr")
    result = spline("call.amr")
    assert "call.amr -> call-wide.wav" in result.stderr
    note = "note    call.amr: .amr files are not written; the result is WAV PCM_16"
    assert note in result.stderr
    Path("calls").mkdir()
    Path("call.amr").rename("calls/call.amr")
    assert "calls/call.amr -> calls-wide/call.wav" in spline("calls").stderr


def test_a_video_is_enhanced_beside_itself():
    encode("talk.mp4", tone(440, 1, 8000), 8000, "aac", "mp4", video="libx264")
    assert "talk.mp4 -> talk-wide.mp4" in spline("talk.mp4").stderr
    assert packets_of("talk-wide.mp4", "video") == packets_of("talk.mp4", "video")
    assert read("talk-wide.mp4")[0].shape == (16_000,)


@pytest.mark.parametrize("value", ["4001", "-1", "nan", "0"])
def test_a_bandwidth_that_cannot_be_is_one_line(value):
    result = spline("a.wav", "--bandwidth", value, code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "bandwidth" in result.stderr
    assert not Path("a-wide.wav").exists()


def test_a_recording_whose_bandwidth_changes_is_told(any_rate):
    audio = noise(24, 48_000)
    audio[: 48_000 * 12] = low_passed(audio, 48_000, 3400)[: 48_000 * 12]
    write("mixed.wav", audio, 48_000)
    result = run("enhance", "mixed.wav", "--model", str(any_rate))
    assert " to 24000 Hz in 2 parts" in result.stderr
    shown = run("inspect", "mixed.wav", "--no-picture").stdout
    assert " Hz from 0.00 s, 24000 Hz from 1" in shown
    assert "in parts" not in run("inspect", "a.wav", "--no-picture").stdout


def test_mirror_images_are_told():
    narrow = noise(6, 8000)
    raised = np.interp(np.arange(6 * 48_000) / 6, np.arange(len(narrow)), narrow)  # linearly
    write("raised.wav", raised, 48_000)
    shown = run("inspect", "raised.wav", "--no-picture").stdout
    assert "mirror images above 4000 Hz" in shown
    assert "mirror" not in run("inspect", "a.wav", "--no-picture").stdout


def test_models_of_any_rate_are_listed_as_such(tmp_path, monkeypatch):
    write_any_rate_model(tmp_path, "speech")
    monkeypatch.setattr("fullband.card.RELEASED", tmp_path)
    listed = run("models").stdout
    assert "any rate to 48 kHz" in listed
    assert "auto" in listed
