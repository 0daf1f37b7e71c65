"""`fullband corpora`: what each command prints, and how it fails."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result

from file_server import serving
from fullband.audio.file import write
from fullband.cli import main
from fullband.corpora.listing import read_list
from fullband.corpora.registry import CORPORA
from fullband.corpora.table import read_rows, write_rows
from signals import noise

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, with eight speakers of one recording each."""
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        (tmp_path / "voices" / f"s{number}").mkdir(parents=True)
        write(f"voices/s{number}/a.wav", noise(0.5, 16_000, number), 16_000)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["corpora", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def served(monkeypatch):
    """A server with two utterances of each of 110 speakers, in place of VCTK's."""
    sound, out = io.BytesIO(), io.BytesIO()
    soundfile.write(sound, noise(0.1, 48_000), 48_000, format="FLAC")
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(225, 335):
            for take in (1, 2):
                name = f"wav48_silence_trimmed/p{number}/p{number}_00{take}_mic1.flac"
                archive.writestr(name, sound.getvalue())
    content = out.getvalue()
    with serving(content) as server:
        corpus = CORPORA["vctk-multi"]
        source = dataclasses.replace(
            corpus.source,
            url=server.url,
            size_bytes=len(content),
            digest=hashlib.md5(content).hexdigest(),
        )
        monkeypatch.setitem(CORPORA, corpus.name, dataclasses.replace(corpus, source=source))
        yield server


@pytest.mark.parametrize("command", sorted(main.commands["corpora"].commands))
def test_every_command_has_help(command):
    text = run(command, "--help").stdout
    assert text.startswith(f"Usage: main corpora {command}")
    for parameter in main.commands["corpora"].commands[command].params:
        assert parameter.param_type_name == "argument" or parameter.help


def test_list_names_every_corpus_with_size_and_licence():
    result = run("list")
    for name, corpus in CORPORA.items():
        line = next(line for line in result.stdout.splitlines() if line.startswith(name))
        assert corpus.licence in line
        assert " GB  " in line
    assert "weights trained on it cannot be released freely" in result.stdout


def test_fetch_prepare_show(served):
    result = run("fetch", "vctk-multi", "--valid", "0.1")
    assert result.stdout.splitlines() == [
        "220 files in corpora/vctk-multi; next: fullband corpora prepare corpora/vctk-multi",
        "corpora/VCTK-Corpus-0.92.zip is not needed any more, unless for another corpus in it",
    ]
    result = run("show", "corpora/vctk-multi")
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        ["train", "178", "-", "89", "-"],
        ["valid", "20", "-", "10", "-"],
        ["test", "22", "-", "11", "-"],
    ]
    result = run("prepare", "corpora/vctk-multi", "--split", "valid")
    assert result.stdout.splitlines()[2].split() == ["valid", "20", "0.00", "10", "24000", "Hz"]
    result = run("fetch", "vctk-multi")
    assert "has its files.csv already, 220 files; nothing was done" in result.stdout
    assert len(served.asked) == 1


def test_prepare_shares_out_by_speaker():
    result = run("prepare", "voices", "--valid", "0.25", "--test", "0.125")
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [
        ["train", "5"],
        ["valid", "2"],
        ["test", "1"],
    ]
    assert run("prepare", "voices", "--valid", "0.25", "--test", "0.125").stdout == result.stdout
    assert run("show", "voices").stdout == result.stdout


def test_by_alone_takes_the_usual_shares():
    result = run("prepare", "voices", "--by", "file")
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [
        ["train", "6"],
        ["valid", "1"],
        ["test", "1"],
    ]


def test_a_public_corpus_brings_its_own_test_split():
    for option in (["--test", "0.1"], ["--by", "file"]):
        result = run("prepare", "voices", "--name", "vctk-multi", *option, code=2)
        assert "leave --test and --by out" in result.stderr


def test_show_fails_where_a_speaker_is_in_two_splits(folder):
    (folder / "voices" / "files.csv").write_text(
        "file,split,speaker\ns0/a.wav,train,x\ns1/a.wav,test,x\ns2/a.wav,test,y\n"
    )
    result = run("show", "voices", code=1)
    assert result.stdout.startswith("split  files  hours")
    assert result.stderr == "Error: voices: speaker 'x' is in train, test\n"


def test_combine_links_and_shows():
    run("prepare", "voices", "--valid", "0.125", "--test", "0.125")
    result = run("combine", "both", "one=voices", "other=voices")
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [
        ["train", "12"],
        ["valid", "2"],
        ["test", "2"],
    ]
    for parts in (["voices"], ["a=voices", "a=voices"]):
        assert "each part is NAME=CORPUS" in run("combine", "new", *parts, code=2).stderr


def test_combine_holds_out_and_show_tells_of_each_part():
    run("prepare", "voices", "--valid", "0.125", "--test", "0.125")
    for name in ("train", "test"):
        Path("school", name).mkdir(parents=True)
        write(f"school/{name}/a.wav", noise(0.25, 16_000, len(name)), 16_000)
    parts = ("voices=voices", "school=school")
    result = run("combine", "all", *parts, "--hold-out", "school", "--leave-out", "voices/s0")
    splits = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()[1:]}
    assert splits == {"train": "5", "valid": "1", "test": "2", "valid-same": "1"}
    assert [line.split() for line in run("show", "all").stdout.splitlines()[6:]] == [
        ["corpus", "train", "valid", "test", "valid-same"],
        ["school", "-", "1", "files", "1", "files", "-"],
        ["voices", "0.0", "min", "-", "0.0", "min", "0.0", "min"],
    ]
    wrong = run("combine", "all", *parts, "--hold-out", "scool", code=1).stderr
    assert wrong == (
        "Error: --hold-out scool: nothing of that name is in the parts; did you mean 'school'?\n"
    )


def test_the_corpus_of_48_khz_speech_is_made_as_contributing_says(folder):
    """With one file of some bytes in place of each speaker's recordings in each split."""
    text = (PROJECT / "CONTRIBUTING.md").read_text("utf-8")
    command = next(
        line.split()
        for line in text.replace("\\\n", " ").splitlines()
        if line.startswith("    fullband corpora combine")
    )
    for name in ("public-speech", "debian-speech", "studio-speech"):
        rows = {}
        for row in read_list(CORPORA[name].source.listing):
            rows.setdefault((row["speaker"], row["split"], row["file"].partition("/")[0]), row)
        for number, row in enumerate(rows.values()):
            path = folder / "corpora" / name / row["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} {number}".encode())
        write_rows(folder / "corpora" / name, CORPORA[name].rows(folder / "corpora" / name))
    run(*command[2:])
    found = {}
    for row in read_rows(folder / "corpora" / "speech"):
        source = row["file"].split("/")[1].partition("-")[0]
        found.setdefault(source, set()).add(row["split"])
        assert float(row["bandwidth_hz"]) > 0
        assert float(row["wall_hz"]) >= 0
    without_test = {"train", "valid-same"}
    own = {"train", "valid-same", "test"}
    assert {source: splits - {"valid-short", "test-short"} for source, splits in found.items()} == {
        "artikulate": {"valid", "test"},
        "ktuberling": {"valid", "test"},
        "gcompris": own,
        "kathleen": own,
        "klettres": own,
        "nathalie": own,
        "fillets": {"train"},
        "tuxpaint": own,
        "again": without_test,
        "stargan": without_test,
        "magphase": {"train"},
        "richard": {"train"},
    }
    assert "debian/klettres-data" not in {
        "/".join(row["file"].split("/")[:2]) for row in read_rows(folder / "corpora" / "speech")
    }


def test_errors_are_one_line():
    assert run("fetch", "vctk", code=1).stderr.startswith("Error: no corpus 'vctk', only vctk-s")
    assert run("show", "none", code=1).stderr == "Error: none: no such folder\n"
    assert run("prepare", "none", code=1).stderr == "Error: none: no such folder\n"


def test_a_failed_download_is_one_line(served):
    served.statuses = [404]
    result = run("fetch", "vctk-multi", code=1)
    assert result.stderr == f"Error: {served.url}: the server says 404 Not Found\n"
