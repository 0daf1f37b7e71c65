"""Downloads from a server that misbehaves in every way that matters."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from file_server import serving
from fullband.corpora import download as module
from fullband.corpora.download import check_room, download, file_digest
from fullband.errors import DownloadError, FullbandError, OutputError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serving(CONTENT) as running:
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "file.bin"


def fetched(server, target, **options):
    options = {"size_bytes": len(CONTENT), "digest": SHA256, "first_wait_s": 0.01, **options}
    download(server.url, target, **options)


def begun(server, target, size):
    """Leave a download as one that was killed leaves it."""
    server.cut_after = [size]
    with pytest.raises(DownloadError):
        fetched(server, target, attempts=1)
    server.asked.clear()
    assert target.with_name("file.bin.part").stat().st_size == size


def test_a_file_arrives_whole_and_alone(server, target):
    told = []
    fetched(server, target, report=lambda *what: told.append(what))
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]
    assert told[-1] == ("checking", len(CONTENT), len(CONTENT))
    assert ("downloading", len(CONTENT), len(CONTENT)) in told
    assert all(0 < done <= total for _, done, total in told)


def test_what_is_here_is_not_asked_for_again(server, target):
    fetched(server, target)
    server.asked.clear()
    fetched(server, target)
    assert server.asked == []


def test_a_cut_connection_is_taken_up_where_it_broke(server, target):
    server.cut_after = [1_000_000, 500_000]
    fetched(server, target)
    assert target.read_bytes() == CONTENT
    assert [asked.get("Range") for asked in server.asked] == [
        None,
        "bytes=1000000-",
        "bytes=1500000-",
    ]
    assert server.asked[1]["If-Range"] == '"one"'


def test_a_killed_download_goes_on_the_next_time(server, target):
    begun(server, target, 2_000_000)
    fetched(server, target)
    assert target.read_bytes() == CONTENT
    assert [asked.get("Range") for asked in server.asked] == ["bytes=2000000-"]


def test_a_whole_part_is_only_checked(server, target):
    begun(server, target, 2_000_000)
    target.with_name("file.bin.part").write_bytes(CONTENT)
    fetched(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == []


def test_a_server_without_ranges_sends_all_of_it(server, target):
    server.ranges = False
    begun(server, target, 2_000_000)
    fetched(server, target)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_changed_file_is_not_glued_to_the_old_one(server, target):
    begun(server, target, 2_000_000)
    other = CONTENT[::-1]
    server.content, server.tag = other, '"two"'
    fetched(server, target, digest=hashlib.sha256(other).hexdigest())
    assert target.read_bytes() == other


@pytest.mark.parametrize("size", [1_000_000, 2_500_000])
def test_a_changed_length_is_noticed_where_the_server_marks_nothing(server, target, size):
    server.tag = None
    begun(server, target, 2_000_000)
    server.content = CONTENT[:size]
    digest = hashlib.sha256(server.content).hexdigest()
    fetched(server, target, size_bytes=None, digest=digest)
    assert target.read_bytes() == server.content
    assert server.asked[0]["Range"] == "bytes=2000000-"
    assert "Range" not in server.asked[1]


def test_without_mark_and_checksum_it_begins_anew(server, target):
    server.tag = None
    begun(server, target, 2_000_000)
    fetched(server, target, digest=None)
    assert target.read_bytes() == CONTENT
    assert "Range" not in server.asked[0]


def test_a_part_of_another_url_is_not_used(server, target):
    begun(server, target, 2_000_000)
    about = target.with_name("file.bin.part.json")
    about.write_text(about.read_text().replace("file.bin", "other.bin"))
    fetched(server, target)
    assert "Range" not in server.asked[0]
    assert target.read_bytes() == CONTENT


def test_a_length_that_nobody_states_is_fine(server, target):
    server.states_length = False
    fetched(server, target)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(server, target):
    with pytest.raises(DownloadError) as caught:
        fetched(server, target, digest="0" * 64)
    assert str(caught.value) == (
        f"{target}: its sha256 is {SHA256}, not {'0' * 64}, as of {server.url}; "
        "it was deleted; try again"
    )
    assert list(target.parent.iterdir()) == []


def test_a_wrong_file_that_is_here_is_refused_and_left(server, target):
    target.parent.mkdir()
    target.write_bytes(b"something else")
    with pytest.raises(DownloadError, match="is 14 bytes long, not 3000000; delete it"):
        fetched(server, target)
    assert target.read_bytes() == b"something else"
    assert server.asked == []


def test_a_page_instead_of_the_file_is_refused_at_once(server, target):
    begun(server, target, 2_000_000)
    server.content, server.tag = b"<html>moved</html>", '"page"'
    with pytest.raises(DownloadError, match="is 18 bytes long and should be 3000000"):
        fetched(server, target)
    assert target.with_name("file.bin.part").stat().st_size == 2_000_000


def test_md5_is_known_too(server, target):
    fetched(server, target, algorithm="md5", digest=hashlib.md5(CONTENT).hexdigest())
    assert file_digest(target, "md5") == hashlib.md5(CONTENT).hexdigest()


def test_refusals_that_pass_are_waited_for(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.statuses = [503, 429, 500]
    fetched(server, target, first_wait_s=1.0)
    assert target.read_bytes() == CONTENT
    assert waits == [1, 2, 4]


def test_refusals_that_stay_are_told_at_once(server, target):
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"file\.bin: the server says 404 Not Found$"):
        fetched(server, target)
    assert len(server.asked) == 1


def test_giving_up_says_what_is_kept(server, target):
    server.cut_after = [1000, 0, 0, 0]
    with pytest.raises(DownloadError) as caught:
        fetched(server, target, attempts=3)
    assert str(caught.value) == (
        f"{server.url}: the connection ended after 1000 of 3000000 bytes; 1000 bytes are kept, "
        "the same command goes on there"
    )
    assert len(server.asked) == 3  # the first got somewhere, so it is the first failure


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(DownloadError, match=r"^http://127\.0\.0\.1:9/x: no connection \(.*refused"):
        download("http://127.0.0.1:9/x", tmp_path / "x", attempts=2, first_wait_s=0.01)


def test_other_kinds_of_address_are_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(DownloadError, match="only http and https"):
        download((tmp_path / "secret").as_uri(), tmp_path / "x")


def test_a_disk_too_small_is_noticed_before_anything_is_written(server, target):
    with pytest.raises(OutputError, match=r"it needs 1000000\.00 GB, .* are free"):
        fetched(server, target, room_bytes=10**15)
    assert list(target.parent.iterdir()) == []
    check_room(target.parent, 0, "nothing")


def test_a_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FullbandError, match="cannot be made"):
        fetched(server, tmp_path / "file" / "x" / "file.bin")
