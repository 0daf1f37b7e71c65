"""Which files are enhanced, and where each result goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fullband.batch import Job, is_batch, manifest_path, plan_jobs, read_list
from fullband.errors import MissingFileError, OutputError


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
        (("songs", "other/../one.wav", "other/one.wav"), "out"),
    ],
)
def test_two_inputs_with_one_output_are_refused(tree, sources, output):
    (tree / "speech.wav").write_bytes(b"-")
    with pytest.raises(OutputError, match=r"both .* and .* would become this file"):
        plan_jobs(sources, output)


@pytest.mark.parametrize(
    ("output", "results"),
    [
        (None, ["speech.wma-wide.wav", "speech-wide.wav"]),
        ("out", ["out/speech.wma.wav", "out/speech.wav"]),
    ],
)
def test_an_ending_that_cannot_be_written_stays_where_names_would_be_one(tree, output, results):
    (tree / "speech.wav").write_bytes(b"-")
    sources = ("speech.wma", "speech.wav")
    jobs, problems = plan_jobs(sources, output)
    assert [job.target for job in jobs] == results
    assert problems == []
    assert plan_jobs(sources[::-1], output)[0] == jobs[::-1]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("again", ["one.wav", "./one.wav", "songs/../one.wav"])
def test_a_file_that_is_named_twice_is_enhanced_once(again):
    assert len(pairs("one.wav", again)) == 1
    assert len(pairs("songs", "songs/a.wav", output="out")) == 4


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


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("songs/*.wav", ["songs/a.wav"]),
        ("songs/?.[wf]*", ["songs/a.flac", "songs/a.wav", "songs/b.flac"]),
        ("songs/*", ["songs/a.flac", "songs/a.wav", "songs/b.flac"]),
        ("songs/**/*.MP3", ["songs/deep/er/c.MP3"]),
        ("songs/**", ["songs/a.flac", "songs/a.wav", "songs/b.flac", "songs/deep/er/c.MP3"]),
        ("**/a.flac", ["songs/a.flac"]),
        ("*/one.wav", ["other/one.wav"]),
        ("**/one.wav", ["one.wav", "other/one.wav"]),
        ("none/*.wav", []),
        ("songs/*.txt", ["songs/notes.txt"]),  # named, so taken although no name of audio
        ("*/*/*/*.mp3", ["songs/deep/er/c.MP3"] if os.name == "nt" else []),
    ],
)
def test_patterns(pattern, found):
    jobs, problems = plan_jobs((pattern,), None)
    assert [job.source for job in jobs] == [str(Path(name)) for name in found]
    assert problems == (
        [] if found else [f"{pattern}: no such file, and no audio file that fits it"]
    )


@pytest.mark.usefixtures("tree")
def test_a_pattern_keeps_its_tree_from_its_first_wildcard_on():
    assert pairs("songs/**/*.*", output="out")[-1] == ("songs/deep/er/c.MP3", "out/deep/er/c.MP3")
    assert pairs("songs/deep/*/*.MP3", output="out") == [("songs/deep/er/c.MP3", "out/er/c.MP3")]
    assert pairs("*.wma", output="out") == [("speech.wma", "out/speech.wav")]
    assert pairs("songs/*.wav") == [("songs/a.wav", "songs/a-wide.wav")]


def test_results_that_fit_a_pattern_are_not_read_again(tree):
    first = pairs("**/*.wav", output="out")
    for _, target in first:
        (tree / target).parent.mkdir(parents=True, exist_ok=True)
        (tree / target).write_bytes(b"-")
    assert pairs("**/*.wav", output="out") == first


def test_a_name_with_wildcards_that_is_there_is_a_name(tree):
    (tree / "[a].wav").write_bytes(b"-")
    (tree / "a.wav").write_bytes(b"-")
    assert pairs("[a].wav") == [("[a].wav", "[a]-wide.wav")]
    assert not is_batch(["[a].wav"])
    assert is_batch(["[b].wav"])


def test_links_to_folders_are_no_way_round_in_circles(tree):
    (tree / "songs/round").symlink_to(tree / "songs")
    (tree / "songs/deep/up").symlink_to(tree)
    expected = [name for name, _ in pairs("songs/**")]
    assert len(expected) == 4
    assert [name for name, _ in pairs("songs")] == expected


def test_listed_files_keep_their_path(tree):
    listed = ["songs/a.wav", str(tree / "other/one.wav"), "./songs/../speech.wma", "none.wav"]
    jobs, problems = plan_jobs((), "out", listed)
    assert problems == []
    assert [(job.source, job.target) for job in jobs] == [
        ("songs/a.wav", "out/songs/a.wav"),
        (str(tree / "other/one.wav"), "out/other/one.wav"),
        ("./songs/../speech.wma", "out/speech.wav"),
        ("none.wav", "out/none.wav"),  # which is said where it is to be read
    ]
    assert plan_jobs((), None, ["songs/a.wav"])[0] == [Job("songs/a.wav", "songs/a-wide.wav")]


def test_listed_files_from_elsewhere_have_their_whole_path_and_none_leads_out(tree, monkeypatch):
    monkeypatch.chdir(tree / "songs")
    jobs, problems = plan_jobs((), "out", ["../one.wav", str(tree / "other/one.wav"), "..", "deep"])
    assert problems == [f"{name}: is a folder; a list names files" for name in ("..", "deep")]
    below = "out" + str(tree)
    assert [job.target for job in jobs] == [f"{below}/one.wav", f"{below}/other/one.wav"]


def test_results_of_earlier_batches_are_no_inputs(tree):
    (tree / "one-wide.wav").write_bytes(b"-")
    jobs, _ = plan_jobs(("one.wav", "one-wide.wav"), None, is_result=lambda path: "-wide" in path)
    assert jobs == [Job("one.wav", "one-wide.wav")]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("sources", "output", "listed", "place"),
    [
        (["songs"], None, [], "songs-wide/fullband.jsonl"),
        (["songs"], "out", [], "out/fullband.jsonl"),
        (["one.wav", "speech.wma"], None, [], "fullband.jsonl"),
        (["songs/a.wav", "songs/b.flac"], None, [], "songs/fullband.jsonl"),
        (["songs/*.wav"], None, [], "songs/fullband.jsonl"),
        (["songs/**/*.wav"], None, [], "songs/fullband.jsonl"),
        (["songs/a.wav", "one.wav"], None, [], "fullband.jsonl"),
        (["songs", "other"], None, [], "fullband.jsonl"),
        (["songs/a.wav"], None, ["one.wav"], "fullband.jsonl"),
        ([], "out", ["one.wav"], "out/fullband.jsonl"),
    ],
)
def test_where_the_manifest_belongs(sources, output, listed, place):
    assert manifest_path(sources, output, listed) == Path(place)


@pytest.mark.parametrize(
    ("content", "null", "names"),
    [
        (b"a.wav\nb c.wav\n", False, ["a.wav", "b c.wav"]),
        (b"\xef\xbb\xbfa.wav\r\n\r\nb.wav", False, ["a.wav", "b.wav"]),
        (b"a\nb.wav\0c\r.wav\0", True, ["a\nb.wav", "c\r.wav"]),
        (b"\xff.wav\n", False, [os.fsdecode(b"\xff.wav")]),
        (b"", False, []),
        (b"", True, []),
    ],
)
def test_lists(tmp_path, content, null, names):
    (tmp_path / "list").write_bytes(content)
    assert read_list(str(tmp_path / "list"), null) == names


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(MissingFileError, match="none: no such file"):
        read_list(str(tmp_path / "none"))
    with pytest.raises(MissingFileError, match="is a directory"):
        read_list(str(tmp_path))


def test_a_folder_that_cannot_be_read_is_said_and_the_rest_is_done(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for source in ("songs", "songs/**"):
        jobs, problems = plan_jobs((source,), "out")
        assert len(jobs) == 3
        assert problems == ["songs/deep: permission denied"]
