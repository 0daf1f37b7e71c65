"""Corpora out of git repositories: small ones, made here and cloned from the disk."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import subprocess

import pytest

from fullband.corpora import listing, repositories
from fullband.corpora.fetch import fetch
from fullband.corpora.listing import read_list
from fullband.corpora.overview import check_disjoint
from fullband.corpora.public import Repositories
from fullband.corpora.registry import CORPORA
from fullband.corpora.repositories import fetch_repositories
from fullband.corpora.table import read_rows
from fullband.errors import DownloadError

ROWS = [
    ["file", "split", "speaker", "licence", "corpus", "wall_hz", "bandwidth_hz"],
    ["birds/song/größe.ogg", "train", "birds/a", "GPL", "birds", "16000", "15500"],
    ["birds/song/gone.ogg", "train", "birds/a", "GPL", "birds", "16000", "15500"],
    ["voices/b.wav", "test", "voices/b", "CC0-1.0", "voices", "0", "24000"],
]
SOUND = bytes(range(256)) + b"\r\n\n"


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=N", "-c", "user.email=n@localhost"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder, files):
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "more")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Two repositories with their list; `birds` has two commits and what is not wanted."""
    commit(tmp_path / "birds", {"song/gone.ogg": b"of old"})
    (tmp_path / "birds" / "song" / "gone.ogg").unlink()
    commit(
        tmp_path / "birds",
        {
            "song/größe.ogg": SOUND,
            "song/other.ogg": b"not listed",
            "LICENSES/GPL.txt": b"GPL",
            "course/AUTHORS": b"a",
            "readme_not.md": b"",
        },
    )
    commit(tmp_path / "voices", {"b.wav": SOUND, "README.md": b"CC0"})
    lists = tmp_path / "lists"
    lists.mkdir()
    with gzip.open(lists / "tiny.csv.gz", "wt", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(ROWS)
    monkeypatch.setattr(listing, "LISTS", lists)
    addresses = {name: (tmp_path / name).as_uri() for name in ("birds", "voices")}
    return Repositories(addresses, "tiny.csv.gz", size_bytes=1, room_bytes=1)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_listed_recordings_and_papers_come_out_and_nothing_else(made, tmp_path):
    told = []
    missing = fetch_repositories(made, tmp_path / "corpus", lambda *what: told.append(what))
    assert files_in(tmp_path / "corpus") == {
        "birds/song/größe.ogg",
        "birds/LICENSES/GPL.txt",
        "birds/course/AUTHORS",
        "birds/COMMIT",
        "voices/b.wav",
        "voices/README.md",
        "voices/COMMIT",
    }
    assert (tmp_path / "corpus" / "birds" / "song" / "größe.ogg").read_bytes() == SOUND
    assert missing == ["birds/song/gone.ogg"]
    assert told == [("birds", 0, 2), ("voices", 1, 2), ("repositories", 2, 2)]
    newest = git(tmp_path / "birds", "rev-parse", "HEAD")
    assert (tmp_path / "corpus" / "birds" / "COMMIT").read_text() == (
        f"{made.addresses['birds']} {newest}\n"
    )


def test_the_table_has_what_the_list_says(made, tmp_path, monkeypatch):
    corpus = CORPORA["public-speech"]
    tiny = dataclasses.replace(
        corpus, source=made, rows=lambda folder: listing.listed_rows("tiny.csv.gz", folder)
    )
    monkeypatch.setitem(CORPORA, corpus.name, tiny)
    fetched = fetch("public-speech", tmp_path / "corpus")
    assert (fetched.files, fetched.missing) == (2, ("birds/song/gone.ogg",))
    expected = [dict(zip(ROWS[0], row, strict=True)) for row in (ROWS[1], ROWS[3])]
    assert read_rows(tmp_path / "corpus") == expected
    assert fetch("public-speech", tmp_path / "corpus").was_there


def test_what_was_interrupted_goes_on_repository_by_repository(made, tmp_path):
    folder = tmp_path / "corpus"
    broken = dataclasses.replace(
        made, addresses={**made.addresses, "voices": (tmp_path / "none").as_uri()}
    )
    with pytest.raises(DownloadError) as caught:
        fetch_repositories(broken, folder)
    assert str(caught.value).startswith(f"{broken.addresses['voices']}: git failed (fatal: ")
    assert "\n" not in str(caught.value)
    assert [path.name for path in folder.iterdir()] == ["birds"]
    (folder / ".voices.part" / "store").mkdir(parents=True)  # as after a power cut
    (tmp_path / "birds").rename(tmp_path / "away")
    fetch_repositories(made, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["birds", "voices"]


def test_nothing_of_a_repository_or_of_the_users_templates_is_run(made, tmp_path, monkeypatch):
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    for hook in (template / "post-checkout", tmp_path / "filter"):
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\ncat\n")
        hook.chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[init]\ntemplateDir = {template.parent}\n"
        f"[core]\nhooksPath = {template}\nautocrlf = true\n"
        f'[filter "any"]\nsmudge = {tmp_path / "filter"}\nrequired = true\n'
    )
    commit(tmp_path / "voices", {".gitattributes": b"*.wav filter=any\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    fetch_repositories(made, tmp_path / "corpus")
    assert (tmp_path / "corpus" / "voices" / "b.wav").read_bytes() == SOUND
    assert not (tmp_path / "ran").exists()
    git(tmp_path, "clone", "--quiet", made.addresses["voices"], "plain")
    assert (tmp_path / "ran").exists()  # where git does as it is set


def test_links_pointers_and_submodules_are_not_there(made, tmp_path):
    (tmp_path / "secret").write_text("secret")
    voices, birds = tmp_path / "voices", tmp_path / "birds"
    (voices / "b.wav").unlink()
    (voices / "b.wav").symlink_to(tmp_path / "secret")
    git(voices, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},README.sub")
    git(voices, "add", "b.wav")
    git(voices, "commit", "--quiet", "--message", "link and submodule")
    commit(birds, {"song/größe.ogg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})
    missing = fetch_repositories(made, tmp_path / "corpus")
    assert missing == ["birds/song/größe.ogg", "birds/song/gone.ogg", "voices/b.wav"]
    assert "voices/README.sub" not in files_in(tmp_path / "corpus")


def test_a_repository_that_is_being_worked_on_is_left_alone(made, tmp_path, monkeypatch):
    """As in a hook, where git says by the environment which repository it is in."""
    before = git(tmp_path / "birds", "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "birds" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "birds"))
    fetch_repositories(made, tmp_path / "corpus")
    monkeypatch.undo()
    assert (tmp_path / "corpus" / "voices" / "b.wav").read_bytes() == SOUND
    assert git(tmp_path / "birds", "rev-parse", "HEAD") == before


def test_names_that_lead_out_of_the_folder_are_not_wanted():
    for file in ("../LICENSE", "/LICENSE", "a/../../README", "COMMIT"):
        assert not repositories._is_wanted(file, set())
    assert repositories._is_wanted("COPYING.COURSES", set())


def test_without_git_it_says_so(made, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "lists"))
    with pytest.raises(DownloadError, match=r"^git: not found; this corpus comes as git"):
        fetch_repositories(made, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_the_list_is_whole():
    source = CORPORA["public-speech"].source
    rows = read_list(source.listing)
    assert len(rows) == len({row["file"] for row in rows}) == 17_517
    assert {row["corpus"] for row in rows} == set(source.addresses)
    for row in rows:
        first, _, path = row["file"].partition("/")
        assert first == row["corpus"] == row["speaker"].partition("/")[0]
        assert path
        assert ".." not in path
    assert all(row["licence"] and 900 < float(row["bandwidth_hz"]) <= 24_000 for row in rows)
    assert all(row["wall_hz"] == "0" or 8000 < float(row["wall_hz"]) < 24_000 for row in rows)
    assert (listing.LISTS / source.listing).stat().st_size < 200_000
    check_disjoint(listing.LISTS, rows)
    licences = {row["licence"] for row in rows if row["corpus"] in ("kathleen", "nathalie")}
    assert licences == {"CC0-1.0"}
    twins = [row for row in rows if row["file"].startswith(("gcompris/hi/", "gcompris/ur/"))]
    assert {row["split"] for row in twins} == {"train"}  # the same recordings, encoded twice
    assert sum(row["licence"] == "not stated" for row in rows) == 96


def test_the_voices_without_loss_are_none_that_systems_are_judged_by():
    source = CORPORA["studio-speech"].source
    rows = read_list(source.listing)
    assert len(rows) == len({row["file"] for row in rows}) == 383
    assert {row["corpus"] for row in rows} == set(source.addresses)
    assert {row["bandwidth_hz"] for row in rows} == {"24000"}
    check_disjoint(listing.LISTS, rows)
    numbers = {row["speaker"][6:] for row in rows if row["speaker"].startswith("vctk/")}
    assert len(numbers) == 13
    assert max(numbers) < "p300"  # those left to test on are the last of over a hundred


def test_the_piano_has_no_piece_that_the_papers_tasks_test_on():
    source = CORPORA["open-piano"].source
    rows = read_list(source.listing)
    assert len(rows) == len({row["file"] for row in rows}) == 233
    assert {row["corpus"] for row in rows} == set(source.addresses)
    check_disjoint(listing.LISTS, rows)
    pieces = {row["speaker"]: row["split"] for row in rows if row["corpus"] == "ishizaka"}
    assert len(pieces) == 7
    assert not any("848" in piece or "855" in piece for piece in pieces)  # piano16k's test pieces
    assert [piece for piece, split in pieces.items() if split == "valid"] == [
        "ishizaka/BWV 849 Fugue"  # as there
    ]
