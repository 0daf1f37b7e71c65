"""`scale`: folders of any size, on all cores of a machine or a cluster."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fullband.cli.shared import duration, leaving_cleanly, open_console, shown, sound_options

if TYPE_CHECKING:
    from rich.console import Console

    from fullband.scale.record import Record
    from fullband.scale.run import Totals

_EVERY_S = 30.0  # a line of progress where there is no terminal
_NAMED = 20  # failures that are named as they come; the manifest has them all


@click.command()
@click.argument("source", metavar="INPUT_URI")
@click.argument("target", metavar="OUTPUT_URI")
@sound_options
@click.option(
    "--workers",
    "--concurrency",
    "workers",
    type=click.IntRange(min=1),
    help="Processes that enhance, each on one core. Default: one per core.",
)
@click.option(
    "--address",
    default="local",
    envvar="RAY_ADDRESS",
    show_default=True,
    help="Ray cluster: auto for the one this machine belongs to; local starts one of its own.",
)
@click.option("--endpoint-url", metavar="URL", help="Server of s3:// addresses if not Amazon's.")
@click.option(
    "--piece",
    "piece_s",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Recordings more than twice as long are shared out in pieces of about so much.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="How often what failed is tried again.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--no-resume", is_flag=True, help="Make again what is done already.")
@click.option("--force", is_flag=True, help="Replace files that no earlier run has made.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def scale(
    source: str,
    target: str,
    rate: int | None,
    model: str,
    bandwidth_hz: float | None,
    detail: float,
    workers: int | None,
    address: str,
    endpoint_url: str | None,
    piece_s: float,
    retries: int,
    dry_run: bool,
    no_resume: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Enhance a folder (a path, s3://..., gs://...) into another with the same tree.

    On all cores, or on a Ray cluster. Begun again after it was stopped, it goes on.
    """
    from fullband.scale.run import foresee, scale
    from fullband.scale.work import Asked

    asked = Asked(
        source=source,
        target=target,
        model=model,
        rate=rate,
        bandwidth_hz=bandwidth_hz,
        detail=detail,
        endpoint_url=endpoint_url,
        piece_s=piece_s,
        retries=retries,
    )
    if dry_run:
        count = 0
        for read, written, item in foresee(asked, not no_resume):
            state = "failed" if item.problem else "skip" if item.done else "enhance"
            count += state == "enhance"
            click.echo(shown(f"{state:8}{read} -> {item.problem or written}"))
        open_console().print(f"{count} to enhance", highlight=False)
        return
    progress = _Progress(open_console(), quiet)
    with leaving_cleanly(), _quietly(), progress:
        totals = scale(asked, workers, address, not no_resume, force, progress.report)
    progress.close(totals)
    if totals.failed:
        raise SystemExit(1)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Nothing is heard of Ray, which tells of workers that die, in many lines, on standard output,
    and from compiled code on the file that is standard error. What matters is told here.

    Ray keeps what it has found as standard output and error to the end of the process, so neither
    of those that it finds here is closed.
    """
    kept = os.dup(2)
    told = open(kept, "w", encoding=sys.stderr.encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(_Nowhere()))
        if sys.stderr is sys.__stderr__:
            stack.enter_context(contextlib.redirect_stderr(told))
        os.dup2(nowhere, 2)
        os.close(nowhere)
        stack.callback(os.dup2, kept, 2)
        yield
        told.flush()


class _Nowhere(io.TextIOBase):
    """Takes every text and keeps none."""

    def write(self, text: str) -> int:
        return len(text)


class _Progress:
    """A line that is kept up to date on a terminal, else one now and then; and every failure."""

    def __init__(self, console: Console, quiet: bool) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console
        self._quiet = quiet
        self._begun = self._told = time.monotonic()
        self._failures = 0
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), text, TimeElapsedColumn())
        off = quiet or not console.is_terminal
        self._bar = Progress(*columns, console=console, transient=True, disable=off)
        self._task = self._bar.add_task("starting")

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def report(self, totals: Totals, record: Record | None) -> None:
        if record is not None:
            self._tell(record)
        if self._quiet:
            return
        if self._console.is_terminal:
            self._bar.update(self._task, description=self._line(totals))
        elif time.monotonic() - self._told > _EVERY_S:
            self._told = time.monotonic()
            line = f"{self._line(totals)}, {_clock(self._told - self._begun)}"
            self._console.print(line, markup=False, highlight=False)

    def close(self, totals: Totals) -> None:
        if self._failures > _NAMED:
            self._console.print(
                f"{self._failures - _NAMED} more failures are in the manifest", style="red"
            )
        if self._quiet:
            return
        seconds = time.monotonic() - self._begun
        line = f"{totals.done} done, {totals.failed} failed, {totals.skipped} done before"
        if totals.done:
            line += (
                f"; {duration(totals.audio_s)} of audio in {_clock(seconds)} on "
                f"{totals.workers} workers, {totals.audio_s / totals.cpu_s:.0f} h per core-hour"
            )
        self._console.print(line, markup=False, highlight=False)

    def _tell(self, record: Record) -> None:
        if record.state == "failed":
            self._failures += 1
            if self._failures <= _NAMED:
                text = f"failed  {shown(record.error or record.source)}"
                self._console.print(text, style="red", markup=False)
        for warning in () if self._quiet else record.warnings:
            text = f"warning {shown(record.target)}: {shown(warning)}"
            self._console.print(text, style="yellow", markup=False)

    def _line(self, totals: Totals) -> str:
        settled = totals.done + totals.failed + totals.skipped
        more = "" if totals.all_found else " and more"
        line = f"{settled} of {totals.found}{more} files"
        if totals.pieces:
            line += f", {totals.pieces_done} of {totals.pieces} pieces of long ones"
        if totals.failed:
            line += f", {totals.failed} failed"
        return f"{line}, {duration(totals.audio_s)} of audio"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
