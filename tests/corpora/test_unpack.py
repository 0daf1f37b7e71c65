"""Archives that are unpacked, and archives that must not be."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from fullband.corpora.unpack import unpack
from fullband.errors import DownloadError, MissingFileError, OutputError

FILES = {"a/one.txt": b"one" * 1000, "a/b/two.txt": b"", "three.txt": b"three"}


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path, files, mode="w:bz2"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


MAKERS = {
    "zip": zipped,
    "tar": lambda path, files: tarred(path, files, "w"),
    "tar.gz": lambda path, files: tarred(path, files, "w:gz"),
    "tar.bz2": tarred,
    "tar.xz": lambda path, files: tarred(path, files, "w:xz"),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("kind", MAKERS)
def test_files_come_out_as_they_went_in(tmp_path, folder, kind):
    told = []
    archive = MAKERS[kind](tmp_path / f"x.{kind}", FILES)
    assert unpack(archive, folder, report=lambda *what: told.append(what)) == 3
    assert content_of(folder) == FILES
    assert all(what == "unpacking" and done <= total for what, done, total in told)
    assert len(told) == 3


@pytest.mark.parametrize("kind", MAKERS)
def test_only_what_is_wanted_comes_out(tmp_path, folder, kind):
    archive = MAKERS[kind](tmp_path / f"x.{kind}", FILES)
    assert unpack(archive, folder, lambda member: member.startswith("a/b/")) == 1
    assert content_of(folder) == {"a/b/two.txt": b""}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a\\..\\x", "C:x"])
def test_names_that_lead_out_are_refused_wanted_or_not(tmp_path, folder, kind, name):
    archive = MAKERS[kind](tmp_path / f"x.{kind}", {name: b"x"})
    with pytest.raises(DownloadError, match=r"leads out of the folder; refused$"):
        unpack(archive, folder, lambda member: False)
    assert content_of(tmp_path) == {archive.name: archive.read_bytes()}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, folder, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "../../outside"
        archive.addfile(member)
    with pytest.raises(DownloadError, match="'link' is a link or a device; refused"):
        unpack(tmp_path / "x.tar", folder)
    assert list(folder.iterdir()) == []


def test_links_in_a_zip_are_refused(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DownloadError, match="'link' is a link or a device; refused"):
        unpack(tmp_path / "x.zip", folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar.bz2"])
def test_more_than_an_archive_of_audio_holds_is_refused(tmp_path, folder, kind):
    archive = MAKERS[kind](tmp_path / f"x.{kind}", {f"{i}": bytes(10 << 20) for i in range(7)})
    with pytest.raises(DownloadError, match=r"holds more than .* bytes, which no archive"):
        unpack(archive, folder)
    assert sum(map(len, content_of(folder).values())) <= 65 << 20
    with pytest.raises(DownloadError, match="holds more than 100 bytes"):
        unpack(archive, folder, most_bytes=100)


def test_a_zip_that_understates_its_content_is_refused(tmp_path, folder):
    archive = zipped(tmp_path / "x.zip", {"a": b"x" * 5000})
    data = archive.read_bytes()
    archive.write_bytes(data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DownloadError):
        unpack(archive, folder)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_name_twice_is_refused(tmp_path, folder, kind):
    archive = MAKERS[kind](tmp_path / f"x.{kind}", {"a": b"1", "./a": b"2"})
    with pytest.raises(DownloadError, match="names 'a' twice; refused"):
        unpack(archive, folder)


@pytest.mark.parametrize("kind", MAKERS)
def test_damage_is_one_line(tmp_path, folder, kind):
    archive = MAKERS[kind](tmp_path / f"x.{kind}", {"a": bytes(range(256)) * 400})
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    with pytest.raises(DownloadError, match=r"x\..*: damaged") as caught:
        unpack(archive, folder)
    assert "\n" not in str(caught.value)


def test_a_changed_byte_is_noticed(tmp_path, folder):
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", b"hello hello")
    archive.write_bytes(archive.read_bytes().replace(b"hello hello", b"hello jello"))
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, folder)


def test_a_page_is_no_archive(tmp_path, folder):
    (tmp_path / "x.zip").write_text("<html>")
    with pytest.raises(DownloadError, match="damaged, or no archive"):
        unpack(tmp_path / "x.zip", folder)
    with pytest.raises(MissingFileError, match="no such file"):
        unpack(tmp_path / "none.zip", folder)


def test_a_folder_in_the_way_is_one_line(tmp_path, folder):
    (folder / "a").write_text("a file where a folder has to be")
    with pytest.raises((OutputError, DownloadError)) as caught:
        unpack(zipped(tmp_path / "x.zip", FILES), folder)
    assert "\n" not in str(caught.value)
