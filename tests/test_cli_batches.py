"""Batches on the command line: what is asked for, said and left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fullband.audio.file import AudioWriter, read, write
from fullband.cli import main
from fullband.manifest import Manifest, read_entries
from inline import InlineWorkers
from interruptible import interruptible
from signals import noise, tone


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with two recordings in a tree and no worker processes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fullband.batch_run.Workers", InlineWorkers)
    monkeypatch.setattr("fullband.batch_run.use_cores", lambda cores: None)
    Path("in/deep").mkdir(parents=True)
    write("in/a.wav", tone(440, 0.5, 8000), 8000)
    write("in/deep/b.wav", tone(660, 0.5, 8000), 8000)
    return tmp_path


def sinc(*arguments: str, stdin: bytes | None = None, code: int = 0) -> Result:
    command = ["enhance", "--model", "sinc", *arguments]
    result = CliRunner().invoke(main, command, input=stdin)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result


def made(root: str = "out") -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in Path(root).rglob("*.wav"))


def test_a_folder_goes_on_where_it_was_and_says_what_it_came_to():
    lines = sinc("in", "-o", "out").stderr.splitlines()
    assert lines[0].startswith("in/a.wav -> out/a.wav  8000 -> 16000 Hz")
    assert lines[2].startswith("done     2  1.0 s of audio in ")
    assert lines[2].endswith("x real time")
    assert lines[3:] == ["skipped  0", "failed   0"]
    assert sinc("in", "-o", "out").stderr.splitlines() == ["done     0", "skipped  2", "failed   0"]
    assert " -> " in sinc("in", "-o", "out", "--no-resume").stderr
    assert sinc("in", "-o", "out", "--quiet", "--resume").stderr == ""


def test_failures_are_named_at_the_end_up_to_a_number():
    for number in range(25):
        Path(f"in/{number:02}.wav").write_text("not audio")
    lines = sinc("in", "-o", "out", code=1).stderr.splitlines()
    assert "failed   25" in lines
    end = lines[lines.index("25 failed:") :]
    assert len(end) == 22
    assert end[1].startswith("  in/00.wav: is not audio")
    assert end[-1] == "  and 5 more: see the manifest"
    assert sum(entry.state == "failed" for entry in read_entries("out/fullband.jsonl")) == 25


def test_files_from_a_list_and_from_standard_input():
    odd = "in/two\nlines.wav"
    shutil.copy("in/a.wav", odd)
    Path("list").write_text("in/a.wav\nin/deep/b.wav\nin/none.wav\n")
    result = sinc("--files-from", "list", "-o", "out", code=1)
    assert "in/none.wav: no such file" in result.stderr
    assert made() == ["in/a.wav", "in/deep/b.wav"]
    names = f"{odd}\0in/a.wav\0".encode()
    result = sinc("--files-from", "-", "-0", "-o", "out", stdin=names)
    assert "in/two\\nlines.wav -> " in result.stderr
    assert "skipped  1" in result.stderr
    assert made() == ["in/a.wav", "in/deep/b.wav", "in/two\nlines.wav"]
    sinc("in/a.wav", "--files-from", "-", "-o", "both", stdin=b"in/deep/b.wav")
    assert made("both") == ["a.wav", "in/deep/b.wav"]


def test_wrong_usage():
    assert "Missing argument" in sinc(code=2).stderr
    assert "either the list or the audio" in sinc("-", "--files-from", "-", code=2).stderr
    assert "is a file or folder" in sinc("-", "--manifest", "m.jsonl", code=2).stderr
    assert "--picture needs" in sinc("in", "--picture", "p.png", code=2).stderr
    assert "0 is not in the range" in sinc("in", "--jobs", "0", code=2).stderr
    assert "none: no such file" in sinc("--files-from", "none", code=1).stderr


def test_a_pattern_with_results_beside_the_inputs_is_not_done_in_circles():
    for expected in ("done     2", "skipped  2"):
        assert expected in sinc("in/**/*.wav").stderr
        assert made("in") == ["a-wide.wav", "a.wav", "deep/b-wide.wav", "deep/b.wav"]
    assert "left out 2 results of earlier batches" in sinc("in/**/*.wav").stderr
    assert Path("in/fullband.jsonl").exists()
    # The shell's own patterns name them too.
    assert "skipped  1" in sinc("in/a.wav", "in/a-wide.wav").stderr


def test_a_dry_run_says_what_and_why_and_writes_nothing():
    sinc("in/a.wav", "-o", "out", "--manifest", "out/fullband.jsonl")
    Path("in/deep/c.wav").symlink_to("nothing")
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    lines = sinc("in", "-o", "out", "--dry-run", code=1).stderr.splitlines()
    assert lines[:3] == [
        "skip    in/a.wav -> out/a.wav  (done before)",
        "do      in/deep/b.wav -> out/deep/b.wav  (new)",
        "failed  in/deep/c.wav: no such file",
    ]
    assert lines[3:6] == ["to do    1", "skipped  1", "failed   1"]
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before
    sinc("in/a.wav", "-o", "elsewhere", "--dry-run")
    assert not Path("elsewhere").exists()


def test_a_manifest_of_ones_own_also_for_a_single_file():
    sinc("in/a.wav", "-o", "wide.wav", "--manifest", "m.jsonl")
    assert [entry.target for entry in read_entries("m.jsonl")] == ["wide.wav"] * 2
    for line in Path("m.jsonl").read_text().splitlines():
        assert json.loads(line)["settings"] == {"model": "sinc"}
    assert read("wide.wav")[0].shape == (8000,)
    assert sinc("in/a.wav", "-o", "wide.wav", "--manifest", "m.jsonl", "-q").stderr == ""
    assert "skipped  1" in sinc("in/a.wav", "-o", "wide.wav", "--manifest", "m.jsonl").stderr
    Path("song.txt").write_text("precious")
    result = sinc("in", "-o", "out", "--manifest", "song.txt", code=1)
    assert "song.txt: is not a manifest of fullband" in result.stderr
    assert Path("song.txt").read_text() == "precious"
    assert not Path("out").exists()


def test_a_second_batch_at_the_same_time_is_refused_in_one_line():
    with Manifest("out/fullband.jsonl"):
        lines = sinc("in", "-o", "out", code=1).stderr.splitlines()
    assert len(lines) == 1
    assert "out/fullband.jsonl: another batch is at work here; wait for it" in lines[0]
    assert made() == []


def living(group: int) -> list[str]:
    """The processes of a group, without those that nobody has asked how they ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(own) == group and state != "Z":
            found.append(status.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_batch_that_is_stopped_leaves_nothing_half_and_goes_on(sent, code):
    for name in ("c.wav", "d.wav"):
        with AudioWriter(f"in/deep/{name}", 8000, 1) as writer:
            for seed in range(20):
                writer.write(noise(60, 8000, seed)[None])
    command = [sys.executable, "-m", "fullband.cli", "enhance", "in", "-o", "out", "--jobs", "2"]
    command += ["--model", "sinc", "--rate", "48000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=interruptible,
    )
    deadline = time.monotonic() + 60
    while made() != ["a.wav", "deep/b.wav"] and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(process.pid, sent)  # as a terminal does
    said = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert "Traceback" not in said
    *_, done, skipped, failed, last = said.splitlines()
    assert done.startswith("done     2 ")
    assert (skipped, failed) == ("skipped  0", "failed   0")
    assert last == "stopped; the same command goes on from here"
    assert made() == ["a.wav", "deep/b.wav"]
    assert not list(Path("out").rglob(".*"))
    deadline = time.monotonic() + 10
    while living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)  # for Python's own process that cleans up after others
    assert living(process.pid) == []
    for name in ("c.wav", "d.wav"):
        write(f"in/deep/{name}", tone(440, 0.5, 8000), 8000, force=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "skipped  2" in done.stderr
    assert made() == ["a.wav", "deep/b.wav", "deep/c.wav", "deep/d.wav"]
