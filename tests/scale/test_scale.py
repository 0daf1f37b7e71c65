"""A cluster of several processes on this machine: the same results as one process has, whatever
dies meanwhile, and each once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("ray", reason="needs pip install 'fullband[scale]'")

from fullband.audio.file import write
from fullband.cli import main
from fullband.enhancement import enhance_file
from fullband.scale.run import scale
from fullband.scale.work import Asked
from signals import low_passed, voice

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

RATE = 8000


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two nodes of a worker each, for all tests here: they take some seconds to start."""
    folder = tempfile.mkdtemp(prefix="fb-")  # names of sockets are short
    environment = {
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        import ray
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 100 << 20}
        nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            nodes.add_node(**node)
            ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
            yield
        finally:
            ray.shutdown()
            nodes.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def recording(seed: int, duration_s: float = 0.5, sample_rate: int = RATE):
    return low_passed(voice(duration_s, sample_rate, seed), sample_rate, 3000)


def make_tree(folder: Path, count: int = 12, long_s: float = 0.0) -> list[str]:
    """Short recordings in folders within folders, a long one, and the names of all.

    The long one is at the results' rate, where its pieces joined are the whole to the last bit.
    """
    names = [f"{'abc'[i % 3]}/{'x/' * (i % 2)}voice {i}.wav" for i in range(count)]
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, recording(seed), RATE)
    if long_s:
        names.append("long.flac")
        write(folder / "long.flac", recording(99, long_s, 48_000), 48_000)
    return names


def files_in(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in found}
    return {name for name in names if not name.startswith(".fullband/")}


def hidden_in(folder: Path) -> set[str]:
    found = (folder / ".fullband").rglob("*")
    return {path.relative_to(folder / ".fullband").parts[0] for path in found}


def records(output: Path) -> list[dict]:
    parts = sorted((output / ".fullband" / "manifest").iterdir())
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def worker_pids() -> list[int]:
    """The actors of this test's own cluster, by what the kernel tells of processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::MapWorker" not in (folder / "cmdline").read_bytes():
                continue
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            grandparent = (Path("/proc") / parent / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(grandparent[1]) == os.getpid():
            found.append(int(folder.name))
    return found


def assert_as_by_one_process(source: Path, output: Path, names: list[str], model: Path, tmp: Path):
    assert files_in(output) == set(names)
    for name in names:
        expected = tmp / f"expected{Path(name).suffix}"
        enhance_file(source / name, expected, model=str(model), force=True)
        assert (output / name).read_bytes() == expected.read_bytes(), name


def test_a_tree_becomes_the_same_tree_and_is_not_made_twice(cluster, any_rate, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    names = make_tree(source, long_s=24.0)
    (source / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (source / "notes.txt").write_text("no audio")
    (source / ".hidden.wav").write_bytes(b"")
    asked = Asked(str(source), str(output), str(any_rate), piece_s=6.0)

    totals = scale(asked)
    assert (totals.done, totals.failed, totals.skipped) == (13, 1, 0)
    assert totals.audio_s == pytest.approx(12 * 0.5 + 24)
    assert totals.pieces == totals.pieces_done == 4
    assert_as_by_one_process(source, output, names, any_rate, tmp_path)
    written = {record["target"]: record for record in records(output)}
    assert Counter(record["target"] for record in records(output)) == Counter(
        [*names, "broken.wav"]
    )
    assert written["broken.wav"]["state"] == "failed"
    assert str(source / "broken.wav") in written["broken.wav"]["error"]
    long = written["long.flac"]
    assert (long["pieces"], long["model"], long["duration_s"]) == (4, "any", 24.0)
    assert (long["source_rate"], long["target_rate"]) == (48_000, 48_000)
    assert hidden_in(output) == {"README", "manifest", "long"}

    # A second run tries again what failed, and makes anew what has changed, is gone, or is altered.
    (source / "broken.wav").unlink()
    write(source / names[0], recording(50), RATE, force=True)
    (output / names[1]).unlink()
    (output / names[2]).write_bytes(b"short")
    totals = scale(asked)
    assert (totals.done, totals.failed, totals.skipped) == (3, 0, 10)
    assert_as_by_one_process(source, output, names, any_rate, tmp_path)
    assert hidden_in(output) == {"README", "manifest"}
    assert scale(asked).skipped == 13


def test_a_worker_that_is_killed_costs_nothing(cluster, any_rate, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    names = make_tree(source, 40)
    killed: list[int] = []

    def kill_one(totals, record):
        if totals.done and not killed:
            killed.append(worker_pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    totals = scale(Asked(str(source), str(output), str(any_rate)), report=kill_one)
    assert killed
    assert (totals.done, totals.failed) == (40, 0)
    assert_as_by_one_process(source, output, names, any_rate, tmp_path)
    assert Counter(record["target"] for record in records(output)) == Counter(names)
    assert hidden_in(output) == {"README", "manifest"}


def test_an_interrupted_run_goes_on(cluster, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    names = make_tree(source, 24)
    asked = Asked(str(source), str(output), "sinc")

    def interrupt(totals, record):
        if totals.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scale(asked, report=interrupt)
    assert sum(record["state"] == "done" for record in records(output)) == 5
    # By the command, which says no more than what came of it, whatever Ray has to say.
    result = CliRunner().invoke(main, ["scale", str(source), str(output), "--model", "sinc"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"19 done, 0 failed, 5 done before; 9\.5 s of audio in .*\n", result.stderr)
    assert files_in(output) == set(names)
    assert Counter(record["target"] for record in records(output)) == Counter(names)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server of our own: moto's, in a process of its own."""
    pytest.importorskip("moto", reason="needs moto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_from_object_storage_to_object_storage(cluster, s3, any_rate, tmp_path):
    import s3fs

    source = tmp_path / "in"
    names = make_tree(source, 4, long_s=14.0)
    store = s3fs.S3FileSystem(endpoint_url=s3)
    store.mkdir("bucket")
    store.put(f"{source}/", "bucket/in/", recursive=True)
    store.pipe("bucket/in/../escaped.wav", b"x")  # which a bucket may hold, and is left out
    asked = Asked("s3://bucket/in", "s3://bucket/out", str(any_rate), endpoint_url=s3, piece_s=5.0)
    totals = scale(asked)
    assert (totals.done, totals.failed) == (5, 0)

    store.invalidate_cache()
    found = {name.removeprefix("bucket/out/") for name in store.find("bucket/out")}
    parts = {name for name in found if name.startswith(".fullband/manifest/")}
    assert set(names) <= found
    assert not {name for name in found if "escaped" in name}
    assert {name for name in found if name.startswith(".fullband/")} - parts == {".fullband/README"}
    store.get("bucket/out/", f"{tmp_path}/out/", recursive=True)
    assert_as_by_one_process(source, tmp_path / "out", names, any_rate, tmp_path)
    assert len(parts) == 1

    again = scale(asked)
    assert (again.done, again.skipped, again.failed) == (0, 5, 0)
