"""How fast batches are, and where their time goes: many short files, and a few long ones.

    python benchmarks/batch_speed.py [--short 1000] [--long 20] [--long-s 180] [--jobs 1 2]
        [--model auto] [--out docs/measured/reliability/batch-speed.json]

The short files are voice prompts of 1 to 5 s at 8 kHz, half of them cut from the recording in
demo/, half synthetic; the long ones are synthetic voices at 16 kHz.

- speed: `fullband enhance FOLDER` as a process, start and end included, with each number of worker
  processes, which share the cores: one has them all, of as many as there are cores each has one.
  Beside it the processors' time, which other work on the machine hardly touches, and what a second
  run takes, which finds all done.
- parts: the same jobs in this process, one thread for everything, by the clock. What of the time
  between two parts belongs to neither is `rest`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import resource as resource_usage
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from enhance_speed import provenance

import fullband.batch_run
import fullband.engine
import fullband.enhancement
from fullband.audio import filters, resample
from fullband.audio.file import AudioReader, AudioWriter, read, write
from fullband.batch import plan_jobs
from fullband.batch_run import Plan, run_batch
from fullband.corpora.synthetic import synthetic_voice
from fullband.manifest import MANIFEST_NAME, Manifest
from fullband.workers import Finished

DEMO = Path(__file__).resolve().parent.parent / "demo/telephone-8khz.wav"
LONG_RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", type=int, default=1000)
    parser.add_argument("--long", type=int, default=20)
    parser.add_argument("--long-s", type=float, default=180.0)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="auto")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/measured/reliability/batch-speed.json")
    )
    options = parser.parse_args()
    about = {**provenance(), "cores": fullband.engine.available_cores(), "model": options.model}
    result: dict[str, Any] = {**about, "speed": [], "parts": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, files, make in (
            ("short", options.short, make_short),
            ("long", options.long, functools.partial(make_long, length_s=options.long_s)),
        ):
            audio_s = sum(make(folder / what, number) for number in range(files))
            size = {"what": what, "files": files, "audio_s": round(audio_s, 1)}
            for jobs in options.jobs:
                result["speed"].append({**size, **speed(folder, what, jobs, options.model)})
                print(result["speed"][-1], flush=True)
            result["parts"].append({**size, **parts(folder, what, options.model)})
            print(result["parts"][-1], flush=True)
    result["load_after"] = round(os.getloadavg()[0], 2)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def make_short(folder: Path, number: int) -> float:
    """A voice prompt; gives its length in seconds."""
    generator = np.random.default_rng([1, number])
    length_s = generator.uniform(1, 5)
    audio, rate = read(DEMO)
    length = round(length_s * rate)
    if number % 2:
        audio = synthetic_voice(rate, length_s, generator)
    else:
        start = generator.integers(0, len(audio) - length)
        audio = generator.uniform(0.5, 1) * audio[start : start + length]
    write_new(folder / f"{number // 100:02}" / f"{number:04}.wav", audio, rate)
    return length / rate


def make_long(folder: Path, number: int, length_s: float) -> float:
    """A long recording; gives its length in seconds."""
    audio = synthetic_voice(LONG_RATE, length_s, np.random.default_rng([2, number]))
    write_new(folder / f"{number:04}.wav", audio, LONG_RATE)
    return length_s


def write_new(path: Path, audio: np.ndarray, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, np.clip(audio, -1, 1).astype(np.float32), rate)


def speed(folder: Path, what: str, jobs: int, model: str) -> dict[str, Any]:
    """Seconds of the whole command, and of a second that finds everything done."""
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(folder / what), "--quiet"]
    command += ["-o", str(folder / "out"), "--jobs", str(jobs), "--model", model]
    taken, before = [], processor_s()
    for _ in range(2):
        begun = time.perf_counter()
        subprocess.run(command, check=True)
        taken.append((time.perf_counter() - begun, processor_s() - before))
    shutil.rmtree(folder / "out")
    (seconds, cpu_s), (again_s, _) = taken
    rounded = {"seconds": seconds, "cpu_s": cpu_s, "again_s": again_s}
    return {"jobs": jobs, **{name: round(value, 2) for name, value in rounded.items()}}


def processor_s() -> float:
    """What processes that were started here, and have ended, took of the processors so far."""
    used = resource_usage.getrusage(resource_usage.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parts(folder: Path, what: str, model: str) -> dict[str, Any]:
    """Seconds of each part of the work."""
    clock = Clock()
    jobs, _ = plan_jobs([str(folder / what)], str(folder / "out"))
    fullband.engine.use_cores(1)
    fullband.enhancement.load(model)
    with contextlib.ExitStack() as stack:
        for owner, name, part in (
            (AudioReader, "__init__", "decode"),
            (AudioWriter, "__init__", "write"),
            (AudioWriter, "write", "write"),
            (AudioWriter, "__exit__", "write"),
            (fullband.enhancement, "analyse", "analysis"),
            (fullband.engine.OnnxModel, "__init__", "model"),
            (fullband.engine.OnnxModel, "_run", "network"),
            (resample.Resampler, "push", "resample"),
            (resample.Resampler, "flush", "resample"),
            (filters.SwitchedFir, "push", "crossover"),
            (filters.SwitchedFir, "flush", "crossover"),
            (fullband.batch_run, "sha256_of", "hash"),
            (fullband.batch_run, "_settle", "manifest"),
        ):
            stack.enter_context(clock.timing(owner, name, part))
        stack.enter_context(clock.timing_blocks(AudioReader, "blocks", "decode"))
        stack.enter_context(replaced(fullband.engine, "_threads", Inline))
        stack.enter_context(replaced(fullband.batch_run, "use_cores", lambda cores: None))
        stack.enter_context(replaced(fullband.batch_run, "Workers", OneAfterTheOther))
        begun = time.perf_counter()
        with Manifest(folder / "out" / MANIFEST_NAME) as manifest:
            for outcome in run_batch(jobs, manifest, Plan(model)):
                assert outcome.state == "done", outcome.message
        total = time.perf_counter() - begun
    shutil.rmtree(folder / "out")
    seconds = {part: round(taken, 3) for part, taken in clock.seconds.items()}
    return {"seconds": {**seconds, "rest": round(total - sum(clock.seconds.values()), 3)}}


class Clock:
    """What is spent in which part, where one calls another only in the inner one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._last = 0.0

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._pass()
        self._stack.append(name)
        try:
            yield
        finally:
            self._pass()
            self._stack.pop()

    def timing(self, owner: Any, name: str, part: str) -> Any:
        """Counts a function, or all that a generator does, as a part while this is entered."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.part(part):
                result = real(*arguments, **options)
                return list(result) if isinstance(result, Iterator) else result

        return replaced(owner, name, timed)

    def timing_blocks(self, owner: Any, name: str, part: str) -> Any:
        """The same of a generator whose values are used as they come."""
        real = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Iterator[Any]:
            blocks = real(*arguments, **options)
            while True:
                with self.part(part):
                    block = next(blocks, None)
                if block is None:
                    return
                yield block

        return replaced(owner, name, timed)

    def _pass(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._last
        self._last = now


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    real = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, real)


class Inline:
    """A pool of threads that does everything at once, in the caller's."""

    def submit(self, do: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(do(*arguments))
        return future


class OneAfterTheOther:
    """Worker processes that are none."""

    def __init__(self, count: int, make: Callable[[], Any], threads: int = 1) -> None:
        self._do = make()

    def run(self, tasks: Iterable[Any]) -> Iterator[list[Finished[Any, Any]]]:
        for task in tasks:
            yield [Finished(task, self._do(task, lambda fraction: None))]

    def __enter__(self) -> OneAfterTheOther:
        return self

    def __exit__(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    main()
