"""Whether a batch survives `kill -9` at any moment: nothing lost, nothing doubled, nothing half.

    python benchmarks/batch_kill.py [--kills 300] [--files 240] [--model sinc] [--seed 0]
        [--out docs/measured/reliability/batch-kill.json]

A tree of short files is enhanced once undisturbed. Then the same batch is started over and over
into another folder, and at a random moment one of three things is killed: the whole process group,
the process that leads it, or one of its workers. After every kill it is checked that

- no process of the batch lives on,
- every file under a result's name has the bytes that the undisturbed run gave it,
- every result that the manifest calls done is there.

Every ten kills the batch is left to finish and checked: all results there and equal, one `done`
line for each, and no other file. Any breach ends the run with an error. Needs /proc (Linux).
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from enhance_speed import provenance

from fullband.audio.file import write
from fullband.corpora.synthetic import synthetic_voice
from fullband.manifest import MANIFEST_NAME, read_entries, sha256_of

SOURCE_RATE = 8_000
KILLS_PER_BATCH = 10
TARGETS = ("group", "leader", "worker")
_GONE_WITHIN_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--files", type=int, default=240)
    parser.add_argument("--model", default="sinc")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, default=Path("docs/measured/reliability/batch-kill.json")
    )
    options = parser.parse_args()
    about = provenance()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), options.files, options.model, options.jobs, options.seed)
        while trial.counts["kills"] < options.kills:
            trial.batch(min(KILLS_PER_BATCH, options.kills - trial.counts["kills"]))
            print(trial.figures(), flush=True)
    setting = {name: getattr(options, name) for name in ("files", "model", "jobs", "seed")}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {**about, **setting, **trial.figures()}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


class Trial:
    """A batch that is killed over and over, and what came of it.

    Raises:
        AssertionError: from `batch`, if anything was lost, doubled, left half or left behind.
    """

    def __init__(self, folder: Path, files: int, model: str, jobs: int, seed: int) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.last_gone_s = 0.0
        self._random = random.Random(seed)
        self._source, self._target = folder / "in", folder / "out"
        make_files(self._source, files, seed)
        self._options = ["--model", model, "--jobs", str(jobs), "--quiet"]
        begun = time.monotonic()
        with self._started(folder / "undisturbed") as process:
            while not done_lines(folder / "undisturbed"):
                time.sleep(0.001)
            self._start_s = time.monotonic() - begun
            assert process.wait() == 0
        self._work_s = time.monotonic() - begun - self._start_s
        self._expected = digests(folder / "undisturbed")
        assert len(self._expected) == files

    def batch(self, kills: int) -> None:
        """One batch from nothing to its end, with so many kills on the way."""
        self.counts["batches"] += 1
        for _ in range(kills):
            self._disturbed()
            self._check_what_is_there()
        for _ in range(3):  # files whose worker was killed count as failed until the next run
            with self._started(self._target, subprocess.PIPE) as process:
                said = process.communicate()[1].decode()
            if process.returncode == 0:
                break
        assert process.returncode == 0, f"a batch that nobody disturbs failed: {said}"
        self._check_all()
        shutil.rmtree(self._target)

    def figures(self) -> dict[str, Any]:
        names = ("kills", *TARGETS, "while_working", "batches", "results", "recovered")
        counts = {name: self.counts[name] for name in names}
        return {**counts, "last_gone_s": round(self.last_gone_s, 2)}

    def _disturbed(self) -> None:
        """Start it, and kill something of it at some moment."""
        with self._started(self._target) as process:
            self._wait_for_a_moment(process)
            before = done_lines(self._target)
            victim = self._random.choice(TARGETS)
            self._kill(process, victim)
            if victim == "worker":
                # The rest goes on, and the batch is stopped for good a little later.
                time.sleep(self._random.uniform(0.0, 0.3 * self._work_s))
            self._kill(process, "group")
            process.wait()
            self._wait_until_gone(process.pid)
        self.counts["kills"] += 1
        self.counts[victim] += 1
        self.counts["while_working"] += 0 < before < len(self._expected)

    def _wait_for_a_moment(self, process: subprocess.Popen[bytes]) -> None:
        """A quarter of the moments lies in the start, the others in a tenth of the work."""
        if self._random.random() < 0.25:
            time.sleep(self._random.uniform(0.0, self._start_s))
            return
        before = done_lines(self._target)
        while done_lines(self._target) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(self._random.uniform(0.0, self._work_s / KILLS_PER_BATCH))

    def _kill(self, process: subprocess.Popen[bytes], victim: str) -> None:
        try:
            if victim == "group":
                os.killpg(process.pid, signal.SIGKILL)
            elif victim == "leader":
                process.kill()
                process.wait()
                self._wait_until_gone(process.pid)  # the workers notice by themselves
            else:
                workers = [pid for pid, _, parent in processes() if parent == process.pid]
                if workers:
                    os.kill(self._random.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it had ended

    def _wait_until_gone(self, group: int) -> None:
        begun = time.monotonic()
        while any(each == group for _, each, _ in processes()):
            assert time.monotonic() - begun < _GONE_WITHIN_S, "a process lives on"
            time.sleep(0.005)
        self.last_gone_s = max(self.last_gone_s, time.monotonic() - begun)

    def _check_what_is_there(self) -> None:
        found = digests(self._target)
        for name, digest in found.items():
            assert self._expected[name] == digest, f"{name} is not what it should be"
        done = [entry.target for entry in entries(self._target) if entry.state == "done"]
        assert set(done) <= set(found), "a result is called done and is not there"
        self.counts["recovered"] += len(set(found) - set(done))

    def _check_all(self) -> None:
        assert digests(self._target) == self._expected
        lines = collections.Counter(
            entry.target for entry in entries(self._target) if entry.state == "done"
        )
        assert dict(lines) == dict.fromkeys(self._expected, 1), "not one done line for each"
        known = {*self._expected, MANIFEST_NAME}
        left = {name_in(self._target, path) for path in self._target.rglob("*") if path.is_file()}
        assert left == known, f"left behind: {left - known}"
        hidden = list(self._target.rglob(".*"))
        assert not hidden, f"left behind: {hidden}"
        self.counts["results"] += len(lines)

    def _started(self, target: Path, told: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "fullband.cli", "enhance", str(self._source)]
        return subprocess.Popen(
            [*command, "-o", str(target), *self._options],
            start_new_session=True,
            stderr=told,
        )


def make_files(folder: Path, files: int, seed: int) -> None:
    """Short recordings in a small tree, each another."""
    for number in range(files):
        generator = np.random.default_rng([seed, number])
        path = folder / f"{number % 3}" / f"{number:03}{('.wav', '.flac')[number % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        voice = synthetic_voice(SOURCE_RATE, generator.uniform(0.2, 1.5), generator)
        write(path, np.clip(voice, -1, 1), SOURCE_RATE)


def digests(folder: Path) -> dict[str, str]:
    """What lies in a folder of results under its final name, by content."""
    paths = [path for path in folder.rglob("*") if path.suffix in (".wav", ".flac")]
    visible = [
        path
        for path in paths
        if not any(p.startswith(".") for p in path.parts[len(folder.parts) :])
    ]
    return {name_in(folder, path): sha256_of(path) for path in visible}


def name_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def entries(folder: Path) -> list[Any]:
    path = folder / MANIFEST_NAME
    return list(read_entries(path)) if path.exists() else []


def done_lines(folder: Path) -> int:
    path = folder / MANIFEST_NAME
    return path.read_bytes().count(b'{"state": "done"') if path.exists() else 0


def processes() -> Iterator[tuple[int, int, int]]:
    """Every living process: its id, its group and its parent."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if rest[0] != "Z":
                yield int(entry.name), int(rest[2]), int(rest[1])


if __name__ == "__main__":
    main()
