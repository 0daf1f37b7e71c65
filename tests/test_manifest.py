"""The manifest: what is written is read, whatever a crash left of it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fullband.errors import OutputError
from fullband.manifest import Entry, Manifest, read_entries, sha256_of

ENTRIES = [
    Entry("done", "a.wav", "/in/a.wav", settings={"model": "auto"}, warnings=("loud",)),
    Entry("written", "b.wav", "/in/b.wav", target_sha256="00" * 32, bandwidth_hz=3400.5),
    Entry("failed", "c.wav", "/in/c.wav", error="/in/c.wav: is empty"),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fullband.jsonl"


@pytest.fixture
def filled(path):
    with Manifest(path) as manifest:
        manifest.append(ENTRIES)
    return path


def test_what_is_appended_is_read(filled):
    assert list(read_entries(filled)) == ENTRIES
    with Manifest(filled) as manifest:
        manifest.append([dataclasses.replace(ENTRIES[1], state="done")], durable=False)
        manifest.append([])
    assert [entry.state for entry in read_entries(filled)] == ["done", "written", "failed", "done"]


@pytest.mark.parametrize("name", ["two\nlines.wav", "日本 ü.wav", "\udcff\udc00.wav", '"\\\r.wav'])
def test_names_of_any_bytes_keep_to_their_line(path, name):
    entry = Entry("done", name, f"/in/{name}")
    with Manifest(path) as manifest:
        manifest.append([entry])
    content = path.read_bytes()
    assert content.count(b"\n") == 1
    assert content.isascii()
    assert list(read_entries(path)) == [entry]
    with Manifest(path) as manifest:
        assert manifest.made(str(path.parent / name))


def test_the_last_line_that_says_where_a_result_is_counts(path):
    first, second = Entry("done", "a.wav", "1"), Entry("written", "a.wav", "2")
    with Manifest(path) as manifest:
        manifest.append([first, second])
        assert manifest.last(str(path.parent / "a.wav")) == second
        manifest.append([Entry("failed", "a.wav", "3")])  # before there was another result
        assert manifest.last(str(path.parent / "a.wav")) == second
        manifest.append([Entry("failed", "a.wav", "2", target_sha256="0")])  # it got no name
        assert manifest.last(str(path.parent / "a.wav")) == first
        manifest.append([second])
        assert manifest.last(str(path.parent / "b.wav")) is None
        manifest.append([dataclasses.replace(second, state="done")])
        assert manifest.last(str(path.parent / "a.wav")).state == "done"
    with Manifest(path, read_only=True) as manifest:
        assert manifest.last(str(path.parent / "a.wav")).source == "2"


def test_only_what_got_its_name_is_a_result(filled):
    with Manifest(filled) as manifest:
        made = [manifest.made(str(filled.parent / name)) for name in ("a.wav", "b.wav", "c.wav")]
    assert made == [True, False, False]


def test_results_are_known_after_their_folder_was_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Manifest("out/fullband.jsonl") as manifest:
        assert manifest.key("out/deep/a.wav") == "deep/a.wav"
        assert manifest.key("outer/a.wav") == str(tmp_path / "outer" / "a.wav")
        manifest.append([Entry("done", manifest.key("out/deep/a.wav"), "a.wav")])
    shutil.move("out", "moved")
    with Manifest("moved/fullband.jsonl") as manifest:
        assert manifest.made("moved/deep/a.wav")
        assert not manifest.made("out/deep/a.wav")


def test_a_line_cut_anywhere_is_repaired_and_no_other_is_lost(filled):
    whole = filled.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    near = {max(0, end - back) for end in [0, *ends] for back in (0, 1, 2)}
    for length in sorted(near | set(range(0, len(whole), 41))):
        filled.write_bytes(whole[:length])
        kept = sum(end <= length + 1 for end in ends)  # a line that lacks but its end is all there
        assert len(list(read_entries(filled))) == kept
        with Manifest(filled, read_only=True) as manifest:
            assert manifest.made(str(filled.parent / "a.wav")) == (kept > 0)
        assert filled.read_bytes() == whole[:length]
        with Manifest(filled) as manifest:
            manifest.append([ENTRIES[0]])
        expected = [*ENTRIES[:kept], ENTRIES[0]]
        assert filled.read_bytes() == b"".join(entry.line() for entry in expected)


def test_lines_that_are_no_entries_are_passed_over(filled):
    zeros = b"\0" * 50 + b"\n"
    filled.write_bytes(filled.read_bytes() + zeros + b'["a"]\n{"state": "done"}\n')
    with Manifest(filled) as manifest:
        manifest.append([Entry("done", "d.wav", "d")])
    assert [entry.target for entry in read_entries(filled)] == ["a.wav", "b.wav", "c.wav", "d.wav"]


def test_fields_of_a_later_version_are_passed_over(path):
    line = json.dumps({**json.loads(ENTRIES[0].line()), "mood": "good"})
    path.write_text(line + "\n")
    assert list(read_entries(path)) == [ENTRIES[0]]


@pytest.mark.parametrize("content", [b"RIFF....WAVE", b"a song\n", b'{"name": 1}\n', b"\0"])
@pytest.mark.parametrize("read_only", [True, False])
def test_another_kind_of_file_is_refused_and_left_alone(path, content, read_only):
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"fullband\.jsonl: is not a manifest"):
        Manifest(path, read_only)
    assert path.read_bytes() == content


def test_only_one_batch_at_a_time(path):
    with Manifest(path):
        with pytest.raises(OutputError, match="another batch is at work here"):
            Manifest(path)
        code = (
            "import sys; from fullband.manifest import Manifest; from fullband.errors import *\n"
            "try: Manifest(sys.argv[1])\n"
            "except OutputError as error: print(error)\n"
        )
        command = [sys.executable, "-c", code, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "another batch is at work here" in said
        Manifest(path, read_only=True).close()
    Manifest(path).close()


def test_a_manifest_that_is_not_there_or_cannot_be(tmp_path):
    with Manifest(tmp_path / "none" / "m.jsonl", read_only=True) as manifest:
        assert manifest.last("a.wav") is None
        assert not manifest.made("a.wav")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OutputError, match=r"cannot be written .* --manifest names another place"):
        Manifest(tmp_path / "file" / "m.jsonl")


def test_a_full_disk_takes_no_part_of_an_entry(filled, monkeypatch):
    before = filled.read_bytes()

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Manifest(filled) as manifest:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(OutputError, match=r"could not be written .no space left"):
                manifest.append(ENTRIES)
        assert filled.read_bytes() == before
        manifest.append(ENTRIES[:1])
    assert list(read_entries(filled)) == [*ENTRIES, ENTRIES[0]]


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_digests(tmp_path: Path, size: int) -> None:
    content = (b"0123456789abcdef" * (1 + size // 16))[:size]
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
