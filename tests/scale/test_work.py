"""What workers do, and what the driver makes of it, without a cluster between them."""

from __future__ import annotations

import contextlib
import json
import socket
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("ray", reason="needs pip install 'fullband[scale]'")

from fullband import engine
from fullband.audio.file import read, write
from fullband.cli import main
from fullband.enhancement import enhance_file
from fullband.errors import MissingFileError, OutputError
from fullband.scale import rounds, run, work
from fullband.scale.listing import Item, list_items
from fullband.scale.place import Found, Place
from fullband.scale.record import Done, Manifest, Record
from fullband.scale.run import scale
from fullband.scale.work import Asked, Work, Worker, digests_of, packed
from fullband.settings import build, to_dict
from signals import low_passed, voice

RATE = 8000


@pytest.fixture(autouse=True)
def all_cores_afterwards():
    """A worker takes one core, and here it is the tests' own process."""
    yield
    engine.use_cores(engine.available_cores())


def recording(seed: int, duration_s: float = 0.5):
    return low_passed(voice(duration_s, RATE, seed), RATE, 3000)


def make_files(folder: Path, count: int) -> list[str]:
    folder.mkdir()
    names = [f"{number}.wav" for number in range(count)]
    for seed, name in enumerate(names):
        write(folder / name, recording(seed), RATE)
    return names


def found(folder: Path, *names: str) -> Work:
    listed = {file.name: file for file in Place(str(folder)).list_folder("")[0]}
    return Work("files", tuple(listed[name] for name in names), names)


def worker(asked: Asked, times: int = 1) -> Worker:
    return Worker(asked, packed(asked.model), lambda key: times)


class Here:
    """In the place of a cluster: workers in this process, and what a cluster may lose or double."""

    def __init__(self, asked: Asked, lost: Counter[str] | None = None, doubled: bool = False):
        self.workers = 2
        self._lost = lost or Counter()
        self._doubled = doubled
        self._times: Counter[str] = Counter()
        self._worker = Worker(asked, packed(asked.model), self._begin)

    def _begin(self, key: str) -> int:
        self._times[key] += 1
        return self._times[key]

    def forget(self) -> None:
        self._times.clear()

    def run(self, works: list[Work]):
        for each in works:
            if self._lost[each.key]:
                self._lost[each.key] -= 1
                self._begin(each.key)
                continue
            outcome = self._worker.do(build(Work, json.loads(json.dumps(to_dict(each)))))
            yield outcome
            if self._doubled:
                yield outcome


def do_here(asked: Asked, **options) -> list[Record]:
    source, output = Place(asked.source), Place(asked.target)
    noted: list[Record] = []
    counted = lambda cpu_s, pieces, pieces_done: None  # noqa: E731
    items = list(list_items(source, output, None))
    rounds.Round(Here(asked, **options), asked, source, noted.append, counted).do(items)
    return noted


def test_a_long_recording_is_cut_enhanced_and_joined(any_rate, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    stereo = np.stack([recording(0, 20.0), 0.5 * recording(1, 20.0)])
    write(source / "long.wav", stereo, RATE, subtype="FLOAT")
    asked = Asked(str(source), str(tmp_path / "out"), str(any_rate), piece_s=5.0)
    (record,) = do_here(asked, doubled=True)
    assert (record.state, record.pieces, record.channels, record.duration_s) == ("done", 4, 2, 20.0)
    joined, rate = read(tmp_path / "out" / "long.wav")
    enhance_file(source / "long.wav", tmp_path / "whole.wav", model=str(any_rate))
    whole, _ = read(tmp_path / "whole.wav")
    assert (joined.shape, rate) == (whole.shape, 48_000)
    assert np.abs(joined - whole).max() <= 1e-6
    assert list((tmp_path / "out" / ".fullband" / "long").iterdir()) == []


def test_pieces_that_are_there_are_not_made_again(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write(source / "long.wav", recording(0, 6.0), RATE)
    asked = Asked(str(source), str(tmp_path / "out"), "sinc", piece_s=2.0)
    one = worker(asked)
    cut = one.do(found(source, "long.wav"))
    assert [each.kind for each in cut.more] == ["piece"] * 3
    one.do(cut.more[0])
    (place,) = (tmp_path / "out" / ".fullband" / "long").iterdir()
    before = (place / "0.f32").stat().st_mtime_ns
    again = worker(asked).do(found(source, "long.wav"))
    assert again.more == cut.more
    assert worker(asked).do(again.more[0]).records == ()
    assert (place / "0.f32").stat().st_mtime_ns == before


def test_lost_work_is_tried_again_by_itself(tmp_path):
    names = make_files(tmp_path / "in", 40)
    asked = Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc")
    (first, *_) = rounds.bundles(
        list(list_items(Place(asked.source), Place(asked.target), None)), 2
    )
    assert len(first.sources) == 2
    records = do_here(asked, lost=Counter({first.key: 1}))
    assert Counter(record.target for record in records) == Counter(names)
    assert {record.state for record in records} == {"done"}


def test_a_run_has_no_more_files_in_mind_than_a_round_takes(tmp_path, monkeypatch):
    make_files(tmp_path / "in", 23)
    asked = Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc")
    monkeypatch.setattr(run, "_FEWEST_PER_ROUND", 5)
    monkeypatch.setattr(run, "_FILES_PER_ROUND", 1)
    here = Here(asked)
    monkeypatch.setattr(run, "started", lambda *_: contextlib.nullcontext(here))
    ahead: list[int] = []

    def report(totals, record):
        ahead.append(totals.found - totals.done)

    totals = scale(asked, workers=2, report=report)
    assert (totals.found, totals.done, totals.all_found) == (23, 23, True)
    assert max(ahead) == 5
    assert totals.cpu_s > 0


def test_what_is_lost_again_and_again_is_given_up(tmp_path):
    names = make_files(tmp_path / "in", 3)
    asked = Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc", retries=2)
    key = found(tmp_path / "in", "1.wav").key
    records = do_here(asked, lost=Counter({key: 10}))
    states = {record.target: record.state for record in records}
    assert states == {"0.wav": "done", "1.wav": "failed", "2.wav": "done"}
    assert len(records) == len(names)


def test_a_file_that_workers_die_of_is_found_and_given_up(tmp_path):
    make_files(tmp_path / "in", 2)
    asked = Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc", retries=2)
    both = found(tmp_path / "in", "0.wav", "1.wav")
    apart = worker(asked, times=2).do(both)
    assert [each.targets for each in apart.more] == [("0.wav",), ("1.wav",)]
    assert len({each.key for each in (both, *apart.more)}) == 3
    assert worker(asked, times=3).do(apart.more[0]).records[0].state == "done"
    (given_up,) = worker(asked, times=4).do(apart.more[1]).records
    assert given_up.state == "failed"
    assert given_up.error == f"{tmp_path}/in/1.wav: workers died of it, 3 times"


def test_a_failing_store_is_tried_again_but_not_for_ever(tmp_path, monkeypatch):
    make_files(tmp_path / "in", 1)
    waits: list[float] = []
    monkeypatch.setattr(work.time, "sleep", waits.append)
    one = worker(Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc", retries=2))
    original, failures = Place._put, [OSError("connection reset")]

    def put(self, local, name):
        if failures:
            raise failures.pop()
        original(self, local, name)

    monkeypatch.setattr(Place, "_put", put)
    assert one.do(found(tmp_path / "in", "0.wav")).records[0].state == "done"
    assert waits == [0.5]
    failures += [OSError("connection reset")] * 3
    (record,) = one.do(found(tmp_path / "in", "0.wav")).records
    assert (record.state, record.error) == ("failed", f"{tmp_path}/in/0.wav: connection reset")
    assert waits == [0.5, 0.5, 1.0]


def test_a_failure_names_the_file_and_not_a_copy_of_it(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe_file("/in/broken.wav", b"RIFF\0\0\0\0WAVE")
    asked = Asked("memory://in", str(tmp_path / "out"), "sinc")
    one = worker(asked)
    broken = Work("files", (Found("broken.wav", 12, ""),), ("broken.wav",))
    (record,) = one.do(broken).records
    assert record.error.startswith("memory:///in/broken.wav: is not audio that can be read")
    gone = Work("files", (Found("gone.wav", 12, ""),), ("gone.wav",))
    (record,) = one.do(gone).records
    assert record.error.startswith("memory:///in/gone.wav: ")


def test_a_folder_that_cannot_be_listed_stops_nothing(tmp_path, monkeypatch):
    make_files(tmp_path / "in", 2)
    make_files(tmp_path / "in" / "closed", 2)
    original = Place.list_folder

    def list_folder(self, folder):
        if folder == "closed":
            raise PermissionError(13, "Permission denied")
        return original(self, folder)

    monkeypatch.setattr(Place, "list_folder", list_folder)
    asked = Asked(str(tmp_path / "in"), str(tmp_path / "out"), "sinc")
    here = Here(asked)
    monkeypatch.setattr(run, "started", lambda *_: contextlib.nullcontext(here))
    told: list[str] = []
    totals = scale(asked, report=lambda _, record: told.append((record and record.error) or ""))
    assert (totals.done, totals.failed) == (2, 1)
    assert f"{tmp_path}/in/closed: cannot be listed (permission denied)" in told


def test_names_of_two_lines(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    name = "caf\u00e9\n.wav"
    write(source / name, recording(0), RATE)
    asked = Asked(str(source), str(tmp_path / "out"), "sinc")
    (record,) = do_here(asked)
    assert (record.state, record.target) == ("done", name)
    assert (tmp_path / "out" / name).is_file()
    manifest = Manifest(Place(asked.target))
    manifest.add(record)
    manifest.flush()
    done = Done(Place(asked.target), asked.settings(), digests_of("sinc"))
    assert [item.done for item in list_items(Place(asked.source), Place(asked.target), done)] == [
        True
    ]


def test_large_files_come_first_and_alone():
    sizes = [10, 5_000_000, 20, 9_000_000, *([30] * 60)]
    items = [Item(Found(f"{n}", size, ""), f"{n}") for n, size in enumerate(sizes)]
    works = rounds.bundles(items, 1)
    assert [each.targets for each in works[:2]] == [("3",), ("1",)]
    assert max(len(each.sources) for each in works) == 8
    assert Counter(target for each in works for target in each.targets) == Counter(
        item.target for item in items
    )


def test_done_is_judged_by_source_settings_model_and_result(tmp_path):
    output = Place(str(tmp_path))
    source = Found("a\udce9.wav", 10, "v1")  # as a disk may have it, and UTF-8 does not
    settings = {"model": "sinc", "rate": 48_000}
    record = Record(
        state="done",
        target=source.name,
        source=f"in/{source.name}",
        source_version="v1",
        source_bytes=10,
        target_bytes=99,
        model="sinc",
        settings=settings,
    )
    manifest = Manifest(output)
    manifest.add(record)
    manifest.flush()

    digests = digests_of("sinc")

    def is_done(found=source, target_bytes=99, settings=settings, models=digests):
        return Done(output, settings, models).has(found, source.name, target_bytes)

    assert is_done()
    assert not is_done(found=Found(source.name, 11, "v1"))
    assert not is_done(found=Found(source.name, 10, "v2"))
    assert not is_done(target_bytes=None)
    assert not is_done(target_bytes=98)
    assert not is_done(settings={"model": "sinc"})
    assert not is_done(models={"sinc": "another"})
    # The last word counts, also where a part was written by a later run.
    later = Manifest(output)
    later.add(Record("failed", source.name, f"in/{source.name}", settings=settings))
    later.flush()
    assert not is_done()


def test_what_would_be_regretted_is_refused(tmp_path):
    make_files(tmp_path / "in", 1)
    with pytest.raises(MissingFileError, match="no such file or folder"):
        scale(Asked(str(tmp_path / "nowhere"), str(tmp_path / "out"), "sinc"))
    with pytest.raises(OutputError, match="is the input itself"):
        scale(Asked(str(tmp_path / "in"), f"file://{tmp_path}/in", "sinc"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds files"):
        scale(Asked(str(tmp_path / "in"), str(tmp_path / "other"), "sinc"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="no audio files"):
        scale(Asked(str(tmp_path / "empty"), str(tmp_path / "out"), "sinc"))


def test_a_dry_run_writes_nothing(tmp_path):
    make_files(tmp_path / "in", 2)
    source, output = str(tmp_path / "in"), str(tmp_path / "out")
    result = CliRunner().invoke(main, ["scale", source, output, "--model", "sinc", "--dry-run"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"enhance {source}/{n}.wav -> {output}/{n}.wav" for n in range(2)
    ]
    assert result.stderr == "2 to enhance\n"
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there(tmp_path):
    make_files(tmp_path / "in", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = ["scale", str(tmp_path / "in"), str(tmp_path / "out"), "--address", address]
        result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {address}: no Ray cluster to work on (connection refused)\n"
