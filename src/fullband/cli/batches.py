"""How `enhance` shows a batch: what is done, how long it will take, and what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fullband.cli.shared import (
    duration,
    leaving_cleanly,
    open_console,
    print_summary,
    progress_bar,
    shortened,
    shown,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from fullband.batch import Job
    from fullband.batch_run import Outcome, Plan

__all__ = ["enhance_batch"]

_NAMED = 20  # failures that are listed at the end; the manifest has them all


def enhance_batch(
    plan: Plan,
    sources: Sequence[str],
    output: str | None,
    listed: Sequence[str],
    manifest_file: str | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Do a batch, or say what it would do; leaves 1 as the exit code where anything failed."""
    from fullband.batch import manifest_path, plan_jobs
    from fullband.batch_run import foresee, run_batch
    from fullband.manifest import Manifest

    place = Path(manifest_file) if manifest_file else manifest_path(sources, output, listed)
    results: list[str] = []  # of earlier batches, which are no inputs

    def is_result(path: str) -> bool:
        found = known.made(path)
        results.extend([path] if found else [])
        return found

    known = Manifest(place, read_only=True)
    with known:
        jobs, problems = plan_jobs(sources, output, listed, is_result)
    if any(job.target == "-" for job in jobs):
        raise click.UsageError("the result of a batch, or with a manifest, is a file or folder")
    console = open_console()
    report = _Report(console, quiet or dry_run, len(jobs))
    for problem in problems:
        report.failed(problem)
    if results and not quiet:
        console.print(f"left out {len(results)} results of earlier batches", markup=False)
    if dry_run:
        with Manifest(place, read_only=True) as manifest, leaving_cleanly():
            for outcome in foresee(jobs, manifest, plan):
                report.foreseen(outcome)
    elif jobs:
        with Manifest(place) as manifest, leaving_cleanly("the same command goes on from here"):
            report.run(run_batch(jobs, manifest, plan), jobs)
    report.close(dry_run)


class _Bar:
    """One bar over the whole batch, by the size of its files. What is skipped does not count, so
    that the time left is that of the work left."""

    def __init__(self, bar: Progress, jobs: Sequence[Job]) -> None:
        self._bar = bar
        self._weights = {job: _size(job.source) for job in jobs}
        self._done: dict[Job, float] = {}
        self._total = float(sum(self._weights.values()))
        self._completed = 0.0
        self._task = bar.add_task("", total=self._total)

    def show(self, outcome: Outcome, label: str) -> None:
        job = outcome.job
        weight = self._weights[job]
        if outcome.state == "skipped":
            self._total -= weight
        else:
            self._completed += weight * outcome.fraction - self._done.get(job, 0.0)
            self._done[job] = weight * outcome.fraction
        if outcome.state != "doing":
            self._done.pop(job, None)
        self._bar.update(
            self._task, completed=self._completed, total=self._total, description=label
        )


@dataclass
class _Report:
    """What a batch has come to, said as it goes on and in sum."""

    console: Console
    quiet: bool
    jobs: int
    done: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    audio_s: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    def run(self, outcomes: Generator[Outcome, None, None], jobs: Sequence[Job]) -> None:
        with (
            progress_bar(self.console, hidden=self.quiet) as progress,
            contextlib.closing(outcomes),
        ):
            bar = _Bar(progress, jobs)
            try:
                for outcome in outcomes:
                    self.note(outcome)
                    bar.show(outcome, self._label(outcome.job))
            except BaseException:  # stopped, or the disk is full: what was done remains
                if not self.quiet:
                    self._say_sums(foreseen=False)
                raise

    def note(self, outcome: Outcome) -> None:
        if outcome.state == "failed":
            self.failed(outcome.message)
        elif outcome.state == "skipped":
            self.skipped += 1
        elif outcome.summary is not None:
            heard = outcome.summary.analysis
            self.done += 1
            self.audio_s += heard.frames / heard.sample_rate
            if not self.quiet:
                print_summary(self.console, outcome.summary)

    def foreseen(self, outcome: Outcome) -> None:
        job = outcome.job
        if outcome.state == "failed":
            self.failed(outcome.message)
            return
        self.skipped += outcome.state == "skipped"
        self.done += outcome.state == "doing"
        what = "skip  " if outcome.state == "skipped" else "do    "
        line = f"{what}  {shown(job.source)} -> {shown(job.target)}  ({outcome.message})"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def failed(self, message: str) -> None:
        self.failures.append(message)
        text = f"failed  {shown(message)}"
        self.console.print(text, style="red", markup=False, soft_wrap=True)

    def close(self, foreseen: bool) -> None:
        """The summary; leaves 1 as the exit code where anything failed."""
        # One file that is done or failed has said so itself.
        several = self.done + len(self.failures) + 2 * self.skipped > 1
        if several and (foreseen or not self.quiet):
            self._say_sums(foreseen)
        if several and self.failures:
            self.console.print(f"{len(self.failures)} failed:", style="red")
            for message in self.failures[:_NAMED]:
                self.console.print(f"  {shown(message)}", style="red", markup=False)
            if len(self.failures) > _NAMED:
                more = f"  and {len(self.failures) - _NAMED} more: see the manifest"
                self.console.print(more, style="red")
        if self.failures:
            raise SystemExit(1)

    def _say_sums(self, foreseen: bool) -> None:
        seconds = time.monotonic() - self.begun
        to_do = f"to do    {self.done}" if foreseen else f"done     {self.done}"
        if self.done and not foreseen:
            to_do += (
                f"  {duration(self.audio_s)} of audio in {duration(seconds)}, "
                f"{self.audio_s / seconds:.1f}x real time"
            )
        for line in (to_do, f"skipped  {self.skipped}", f"failed   {len(self.failures)}"):
            self.console.print(line, markup=False, highlight=False)

    def _label(self, job: Job) -> str:
        settled = self.done + self.skipped + len(self.failures)
        bad = f", {len(self.failures)} failed" if self.failures else ""
        return f"{settled}/{self.jobs}{bad} {shortened(shown(job.source), 32)}"


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
