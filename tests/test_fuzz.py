"""A slice of the fuzz run, and whether it would notice what it looks for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fullband.audio.file import AudioReader
from fullband.enhancement import Enhancer
from fullband.errors import AudioFileError
from hostile import ogg, run, trial
from hostile.mutations import chunks, mutated
from hostile.seeds import seeds


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_thousand_broken_files_are_read_or_refused_in_one_line():
    findings = run.run(range(1000))
    assert findings.wrong == []
    assert findings.outcomes.total() == 1000
    assert findings.labels == {seed.label for seed in seeds()}
    assert findings.outcomes["read"] > 200
    assert findings.outcomes["refused"] > 200


def test_whole_seeds_are_read(folder):
    libsndfile = [seed for seed in seeds() if seed.label[0].isupper() and "DWVW" not in seed.label]
    assert len(libsndfile) > 60
    for number, seed in enumerate(libsndfile):
        path = folder / f"{number}{seed.suffix}"
        path.write_bytes(seed.content)
        with AudioReader(path) as reader:
            assert abs(sum(b.shape[-1] for b in reader.blocks()) / reader.info.frames - 1) < 0.2


def test_a_number_stands_for_the_same_file_every_time():
    again = subprocess.run(
        [sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True, env=_paths()
    )
    namespace: dict[str, object] = {}
    exec(_DIGEST.replace("print(digest)", ""), namespace)
    assert again.stdout.strip() == namespace["digest"]


_DIGEST = """
import hashlib
from hostile.trial import case
digest = hashlib.sha256(b"".join(case(n, 7)[1] for n in range(300))).hexdigest()
print(digest)
"""


def _paths() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_mutations_break_what_they_say():
    wave = next(seed for seed in seeds() if seed.label == "WAV-PCM_16-1")
    assert [wave.content[a : a + 4] for a, _ in chunks(wave.content)] == [b"fmt ", b"data"]
    movie = next((seed for seed in seeds() if seed.label == "ipod-aac"), None)
    if movie is not None:
        kinds = {movie.content[a + 4 : a + 8] for a, _ in chunks(movie.content)}
        assert {b"ftyp", b"moov", b"mdat", b"stsz"} <= kinds
    vorbis = next(seed for seed in seeds() if seed.label == "OGG-VORBIS-2")
    assert ogg.with_checksums(vorbis.content) == vorbis.content
    changed = {mutated(wave, seeds(), random.Random(n)) for n in range(50)}
    assert len(changed) > 40


def test_the_run_notices_a_crash_and_goes_on(monkeypatch):
    monkeypatch.setattr(run, "WORKER", [sys.executable, "-c", "import os; os.abort()"])
    findings = run.run(range(3), jobs=1)
    assert [(each.outcome, each.detail) for each in findings.wrong] == [("crash", "-6")] * 3


def test_the_run_notices_a_hang(monkeypatch):
    monkeypatch.setattr(run, "WORKER", [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(run, "MOST_WAIT_S", 0.2)
    begun = time.monotonic()
    assert [each.outcome for each in run.run([5], jobs=1).wrong] == ["hang"]
    assert time.monotonic() - begun < 10


def _leaves_litter(*_: object) -> None:
    Path("litter").touch()
    raise AudioFileError("case.wav: no")


def _raises(*_: object) -> None:
    raise KeyError("fmt")


def _says_two_lines(self: AudioReader, *_: object) -> None:
    error = AudioFileError(f"{self.name}: no")
    error.args = (f"{self.name}\nno",)
    raise error


def _keeps_it_open(self: AudioReader, *_: object) -> None:
    _KEPT.append(Path(self.path).open("rb"))  # noqa: SIM115 - that is the fault
    raise AudioFileError(f"{self.name}: no")


_KEPT: list[object] = []


@pytest.fixture
def unbroken(monkeypatch):
    """Cases are the seeds themselves."""
    monkeypatch.setattr(trial, "mutated", lambda seed, *_: seed.content)


@pytest.mark.usefixtures("unbroken")
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (_leaves_litter, "names no file"),
        (_raises, "traceback"),
        (_says_two_lines, "not one line"),
        (_keeps_it_open, "open files"),
    ],
)
def test_a_trial_notices(monkeypatch, folder, fault, outcome):
    monkeypatch.setattr(AudioReader, "_check", fault)
    verdict = trial.tried(0, 0, folder)
    assert verdict.outcome == outcome
    assert not verdict.is_good
    assert list(folder.iterdir()) == []
    while _KEPT:
        _KEPT.pop().close()


@pytest.mark.usefixtures("unbroken")
def test_a_trial_notices_litter_and_memory(monkeypatch, folder):
    enhance = Enhancer.file

    def litters(self, source, target, raw=None):
        (folder / "litter").touch()
        return enhance(self, source, target)

    monkeypatch.setattr(Enhancer, "file", litters)
    assert trial.tried(0, 0, folder).outcome == "litter"

    def takes_memory(self, source, target, raw=None):
        np.ones(trial.MOST_BYTES // 2, np.float32)
        return enhance(self, source, target)

    monkeypatch.setattr(Enhancer, "file", takes_memory)
    if sys.platform == "linux":
        assert trial.tried(0, 0, folder).outcome == "memory"
