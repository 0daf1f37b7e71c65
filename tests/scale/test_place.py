"""Folders on a disk and elsewhere: what is listed, and that nothing appears by halves."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="needs pip install 'fullband[scale]'")

from fullband.errors import MissingFileError, OutputError
from fullband.scale.listing import list_items
from fullband.scale.place import Place


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path) -> Place:
    """An empty folder on the disk, or in fsspec's memory, which stands for an object store."""
    if request.param == "disk":
        return Place(str(tmp_path / "folder"))
    import fsspec

    fsspec.filesystem("memory").store.clear()
    return Place("memory://bucket/folder")


def names_of(place: Place, folder: str = "") -> tuple[list[str], list[str]]:
    files, folders = place.list_folder(folder)
    return [file.name for file in files], folders


def test_what_is_written_is_listed_and_read(place):
    place.write("b/c/two.txt", b"12345")
    place.write("b/one.txt", b"1")
    assert names_of(place) == ([], ["b"]) or names_of(place) == ([], [".fullband", "b"])
    assert names_of(place, "b") == (["b/one.txt"], ["b/c"])
    (found,) = place.list_folder("b/c")[0]
    assert (found.name, found.size) == ("b/c/two.txt", 5)
    assert place.read("b/c/two.txt", 1, 3) == b"23"
    assert place.list_folder("nowhere") == ([], [])
    place.remove("b")
    assert not place.exists("b/one.txt")


def test_a_file_appears_once_it_is_whole(place, tmp_path):
    with place.making("a/result.wav", str(tmp_path)) as part:
        assert part.endswith(".wav")
        Path(part).write_bytes(b"whole")
        assert not place.exists("a/result.wav")
    assert place.read("a/result.wav") == b"whole"
    assert not Path(part).exists()


def test_a_failure_leaves_what_was_there(place, tmp_path):
    place.write("result.wav", b"before")

    def fail():
        with place.making("result.wav", str(tmp_path)) as part:
            Path(part).write_bytes(b"half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert place.read("result.wav") == b"before"
    place.clear_scratch()
    assert "result.wav" in names_of(place)[0]
    assert ".fullband/scratch" not in names_of(place, ".fullband")[1]


def test_the_version_changes_with_the_content(tmp_path):
    place = Place(str(tmp_path))
    place.write("a", b"1")
    before = place.list_folder("")[0]
    place.write("a", b"2")
    assert place.list_folder("")[0] != before


def test_a_fetched_file_is_local(place, tmp_path):
    place.write("a/sound.flac", b"content")
    with place.fetched("a/sound.flac", str(tmp_path)) as local:
        assert local.endswith(".flac")
        assert Path(local).read_bytes() == b"content"
    assert place.exists("a/sound.flac")


def test_a_result_in_the_place_of_a_folder_is_refused(tmp_path):
    place = Place(str(tmp_path))
    place.write("a/b", b"")
    with pytest.raises(OutputError, match="is a folder"):
        place.write("a", b"")


def test_listing_leaves_out_hidden_things_links_to_folders_and_the_results(tmp_path):
    source = Place(str(tmp_path / "in"))
    for name in ("a/1.wav", "a/2.txt", ".b/3.wav", "4.WAV", ".5.wav", "out/6.wav", "a/x/7.flac"):
        source.write(name, b"")
    (tmp_path / "in" / "a" / "loop").symlink_to(tmp_path / "in")
    output = Place(f"file://{tmp_path}/in/out")
    names = [item.source.name for item in list_items(source, output, None)]
    assert names == ["4.WAV", "a/1.wav", "a/x/7.flac"]


def test_a_format_that_is_not_written_gets_another_ending_and_not_another_files_name(tmp_path):
    source = Place(str(tmp_path / "in"))
    for name in ("x/a.amr", "x/b.amr", "x/a.wav"):
        source.write(name, b"")
    found = {item.source.name: item for item in list_items(source, Place(str(tmp_path)), None)}
    assert found["x/b.amr"].target == "x/b.wav"
    assert found["x/a.amr"].target == "x/a.wav"
    assert found["x/a.wav"].problem == "would become x/a.wav, as x/a.amr does"


def test_one_file_is_listed_as_itself(tmp_path):
    Place(str(tmp_path)).write("in/one.wav", b"")
    (item,) = list_items(Place(str(tmp_path / "in" / "one.wav")), Place(str(tmp_path)), None)
    assert item.source.name == item.target == "one.wav"


def test_two_addresses_of_one_folder_are_told(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    same = Place(str(tmp_path)).identity
    assert Place(f"file://{tmp_path}").identity == Place(str(tmp_path / "link")).identity == same


def test_an_address_that_nothing_knows(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        Place("nowhere://bucket")
