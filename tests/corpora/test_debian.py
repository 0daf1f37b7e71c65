"""Debian packages: with programs that only look like apt-get and dpkg-deb, and with the real."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from fullband.corpora import listing
from fullband.corpora.debian import fetch_packages
from fullband.corpora.fetch import fetch
from fullband.corpora.listing import listed_rows, read_list
from fullband.corpora.overview import check_disjoint
from fullband.corpora.public import Packages
from fullband.corpora.registry import CORPORA
from fullband.errors import DownloadError, MissingFileError

PACKAGES = Packages(
    names=("games-data", "music-data"), listing="tiny.csv.gz", size_bytes=1, room_bytes=1
)
NAMES = [
    "games-data/usr/share/a.ogg",
    "games-data/usr/share/gone.ogg",
    "music-data/usr/share/all.pk3/music/b.ogg",
]

APT_GET = """#!{python}
import pathlib, sys
with open({log!r}, "a") as log: log.write(" ".join(sys.argv[1:]) + "\\n")
if pathlib.Path({broken!r}).exists() and sys.argv[2] == "music-data":
    print("W: something", "E: Unable to locate package music-data", sep="\\n", file=sys.stderr)
    sys.exit(100)
pathlib.Path(sys.argv[2] + "_1%3a2_all.deb").write_text(sys.argv[2])
"""
DPKG_DEB = """#!{python}
import pathlib, shutil, sys
assert sys.argv[1] == "-x"
package = pathlib.Path(sys.argv[2]).read_text()
source = pathlib.Path({packages!r}) / package
shutil.copytree(source, sys.argv[3], dirs_exist_ok=True, symlinks=True)
"""


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """Two packages, their list, and programs that give them out."""
    packages = tmp_path / "packages"
    share = packages / "games-data" / "usr" / "share"
    (share / "doc" / "games-data").mkdir(parents=True)
    (share / "doc" / "games-data" / "copyright").write_text("GPL")
    (share / "a.ogg").write_bytes(b"a")
    (share / "picture.png").write_bytes(b"not wanted")
    (packages / "music-data" / "usr" / "share").mkdir(parents=True)
    with zipfile.ZipFile(packages / "music-data" / "usr" / "share" / "all.pk3", "w") as archive:
        archive.writestr("music/b.ogg", b"b")
        archive.writestr("textures/c.png", b"not wanted")
    lists = tmp_path / "lists"
    lists.mkdir()
    with gzip.open(lists / "tiny.csv.gz", "wt", newline="") as out:
        csv.writer(out).writerows([["file", "split"], *([name, "train"] for name in NAMES)])
    monkeypatch.setattr(listing, "LISTS", lists)

    programs = tmp_path / "bin"
    programs.mkdir()
    values = {
        "python": sys.executable,
        "log": str(tmp_path / "log"),
        "broken": str(tmp_path / "broken"),
        "packages": str(packages),
    }
    for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
        (programs / name).write_text(text.format(**values))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return tmp_path


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_listed_recordings_come_out_and_nothing_else(pretended):
    folder = pretended / "corpus"
    told = []
    missing = fetch_packages(PACKAGES, folder, lambda *what: told.append(what))
    assert files_in(folder) == {
        NAMES[0],
        NAMES[2],
        "games-data/usr/share/doc/games-data/copyright",
    }
    assert (folder / NAMES[2]).read_bytes() == b"b"
    assert missing == [NAMES[1]]
    assert sorted(path.name for path in folder.iterdir()) == ["games-data", "music-data"]
    assert told == [("games-data", 0, 2), ("music-data", 1, 2), ("packages", 2, 2)]
    assert [row["file"] for row in listed_rows(PACKAGES.listing, folder)] == [NAMES[0], NAMES[2]]


def test_what_was_interrupted_goes_on(pretended):
    folder = pretended / "corpus"
    (pretended / "broken").write_text("")
    with pytest.raises(DownloadError) as caught:
        fetch_packages(PACKAGES, folder)
    assert str(caught.value) == (
        "music-data: apt-get failed (E: Unable to locate package music-data, try 'apt-get update' "
        "as root); the list is of Debian 12 (bookworm)"
    )
    assert [path.name for path in folder.iterdir()] == ["games-data"]
    (pretended / "broken").unlink()
    (folder / ".music-data.part").mkdir()  # as after a power cut
    fetch_packages(PACKAGES, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["games-data", "music-data"]
    assert (pretended / "log").read_text().splitlines() == [
        "download games-data",
        "download music-data",
        "download music-data",
    ]


def test_links_out_of_a_package_are_not_followed(pretended):
    (pretended / "secret").write_text("secret")
    listed = pretended / "packages" / "games-data" / "usr" / "share" / "a.ogg"
    listed.unlink()
    listed.symlink_to(pretended / "secret")
    assert NAMES[0] in fetch_packages(PACKAGES, pretended / "corpus")


@pytest.mark.parametrize("program", ["apt-get", "dpkg-deb"])
def test_without_the_programs_it_says_so(pretended, program):
    (pretended / "bin" / program).unlink()
    with pytest.raises(DownloadError, match=rf"^{program}: not found; this corpus comes as Debian"):
        fetch_packages(PACKAGES, pretended / "corpus")


def test_a_damaged_package_is_one_line(pretended):
    (pretended / "bin" / "dpkg-deb").write_text(
        f"#!{sys.executable}\nimport sys\nsys.exit('dpkg-deb: error: unexpected end of file')"
    )
    with pytest.raises(DownloadError, match=r"^games-data: dpkg-deb failed \(dpkg-deb: error: un"):
        fetch_packages(PACKAGES, pretended / "corpus")
    assert list((pretended / "corpus").iterdir()) == []


def test_a_folder_with_nothing_of_the_list_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="holds none of the recordings"):
        listed_rows("debian-speech.csv.gz", tmp_path)


@pytest.mark.parametrize("name", ["debian-speech", "debian-music"])
def test_the_lists_are_whole(name):
    source = CORPORA[name].source
    rows = read_list(source.listing)
    assert {row["file"].partition("/")[0] for row in rows} == set(source.names)
    assert len({row["file"] for row in rows}) == len(rows)
    assert {row["split"] for row in rows} == {"train", "valid", "test"}
    assert all(row["licence"] and float(row["bandwidth_hz"]) > 7000 for row in rows)
    assert not any(row["file"].startswith("/") or ".." in row["file"] for row in rows)
    assert (listing.LISTS / source.listing).stat().st_size < 250_000
    check_disjoint(listing.LISTS, rows)


def test_the_speech_list_is_the_one_that_scores_were_measured_on(tmp_path, monkeypatch):
    rows = read_list("debian-speech.csv.gz")
    splits = [row["split"] for row in rows]
    assert [splits.count(split) for split in ("train", "valid", "test")] == [7964, 1478, 1628]
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: True)
    made = listed_rows("debian-speech.csv.gz", tmp_path, short=True)
    short = [row["split"] for row in made[len(rows) :]]
    assert short == ["valid-short"] * 185 + ["test-short"] * 204
    order = [row["file"].partition("/")[0] for row in rows]
    assert order == sorted(order)


def test_a_real_package_makes_the_round_trip(tmp_path, monkeypatch):
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here: the real round trip was not tried")
    if "FULLBAND_TEST_NETWORK" not in os.environ:
        pytest.skip("the real round trip needs the network: set FULLBAND_TEST_NETWORK=1 to try it")
    simulated = subprocess.run(
        ["apt-get", "download", "--print-uris", "singularity-music"], capture_output=True
    )
    if simulated.returncode:
        pytest.skip("apt-get knows no singularity-music here: the real round trip was not tried")
    source = CORPORA["debian-music"].source
    rows = [row for row in read_list(source.listing) if row["file"].startswith("singularity-m")]
    lists = tmp_path / "lists"
    lists.mkdir()
    with gzip.open(lists / source.listing, "wt", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(listing, "LISTS", lists)
    only = Packages(("singularity-music",), source.listing, 1, 1)
    monkeypatch.setitem(
        CORPORA,
        "debian-music",
        type(CORPORA["debian-music"])(**{**CORPORA["debian-music"].__dict__, "source": only}),
    )
    fetched = fetch("debian-music", tmp_path / "music")
    assert fetched.missing == ()
    assert fetched.files == len(rows) == 7
