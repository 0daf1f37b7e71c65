"""Which files are enhanced, and where each result goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fullband.batch import Job, plan_jobs
from fullband.errors import OutputError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Some files, with the folder above them as the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "songs/b.flac",
        "songs/a.wav",
        "songs/a.flac",
        "songs/deep/er/c.MP3",
        "songs/notes.txt",
        "songs/.hidden.wav",
        "songs/.git/d.wav",
        "one.wav",
        "other/one.wav",
        "speech.wma",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    (tmp_path / "empty").mkdir()
    return tmp_path


def pairs(*sources: str, output: str | None = None) -> list[tuple[str, str]]:
    jobs, problems = plan_jobs(sources, output)
    assert problems == []
    return [(job.source, job.target) for job in jobs]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("source", "output", "target"),
    [
        ("one.wav", None, "one-wide.wav"),
        ("other/one.wav", None, "other/one-wide.wav"),
        ("speech.wma", None, "speech-wide.wav"),
        ("one.wav", "out.flac", "out.flac"),
        ("one.wav", "OUT.FLAC", "OUT.FLAC"),
        ("one.wav", "-", "-"),
        ("one.wav", "results", "results/one.wav"),
        ("one.wav", "empty", "empty/one.wav"),
        ("-", None, "-"),
        ("-", "out.flac", "out.flac"),
        ("-", "results", "results/stdin.wav"),
    ],
)
def test_one_file(source, output, target):
    assert pairs(source, output=output) == [(source, target)]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(("output", "root"), [(None, "songs-wide"), ("out", "out")])
def test_a_folder_keeps_its_tree_and_leaves_out_what_is_hidden(output, root):
    assert pairs("songs", output=output) == [
        ("songs/a.flac", f"{root}/a.flac"),
        ("songs/a.wav", f"{root}/a.wav"),
        ("songs/b.flac", f"{root}/b.flac"),
        ("songs/deep/er/c.MP3", f"{root}/deep/er/c.MP3"),
    ]


@pytest.mark.parametrize("folder", [".", "..", "./", "../songs", "../songs/."])
def test_a_folder_named_by_dots_has_its_results_beside_it(tree, monkeypatch, folder):
    where = "songs" if folder != ".." else "songs/deep"
    monkeypatch.chdir(tree / where)
    jobs, problems = plan_jobs((folder,), None)
    assert problems == []
    assert {os.path.abspath(job.target) for job in jobs} == {
        str(tree / "songs-wide" / name) for name in ("a.flac", "a.wav", "b.flac", "deep/er/c.MP3")
    }


def test_results_inside_the_folder_are_not_read_again(tree):
    first = pairs("songs", output="songs/out")
    (tree / "songs/out").mkdir()
    for _, target in first:
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        (tree / target).write_bytes(b"-")
    assert pairs("songs", output="songs/out") == first
    assert pairs("songs", output=str(tree / "songs" / "deep" / ".." / "out"))[0][0] == first[0][0]


@pytest.mark.usefixtures("tree")
def test_several_sources_go_to_one_folder():
    assert pairs("one.wav", "songs/b.flac", output="out") == [
        ("one.wav", "out/one.wav"),
        ("songs/b.flac", "out/b.flac"),
    ]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (("one.wav", "other/one.wav"), "out"),
        (("one.wav", "one.wav"), None),
        (("one.wav", "./one.wav"), None),
        (("songs", "songs/a.wav"), "out"),
        (("speech.wma", "speech.wav"), None),
    ],
)
def test_two_inputs_with_one_output_are_refused(tree, sources, output):
    (tree / "speech.wav").write_bytes(b"-")
    with pytest.raises(OutputError, match=r"both .* and .* would become this file"):
        plan_jobs(sources, output)


def test_a_result_may_not_replace_another_input(tree):
    (tree / "one-wide.wav").write_bytes(b"-")
    with pytest.raises(OutputError, match=r"one-wide\.wav: is itself an input"):
        plan_jobs(("one.wav", "one-wide.wav"), None)


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("sources", [("one.wav", "songs/a.wav"), ("songs",), ("-", "one.wav")])
@pytest.mark.parametrize("output", ["out.wav", "-"])
def test_several_inputs_for_one_file_are_refused(sources, output):
    with pytest.raises(OutputError, match=r"is one file, but there are several inputs"):
        plan_jobs(sources, output)


@pytest.mark.usefixtures("tree")
def test_an_ending_that_cannot_be_written_is_refused():
    with pytest.raises(OutputError, match=r"out\.wma: cannot write files ending in '\.wma'"):
        plan_jobs(("one.wav",), "out.wma")


@pytest.mark.usefixtures("tree")
def test_what_is_not_there_is_said_and_the_rest_is_done():
    jobs, problems = plan_jobs(("none.wav", "one.wav", "empty"), "out")
    assert jobs == [Job("one.wav", "out/one.wav")]
    assert problems == ["none.wav: no such file", "empty: no audio files in it"]


@pytest.mark.usefixtures("tree")
def test_a_folder_with_an_audio_ending_is_a_folder():
    Path("album.wav").mkdir()
    assert pairs("one.wav", output="album.wav") == [("one.wav", "album.wav/one.wav")]
