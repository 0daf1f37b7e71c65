"""What the commands have in common: how they show progress, tables and errors."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from fullband.errors import FullbandError, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from fullband.enhancement import Analysis, Summary

__all__ = [
    "advance_by",
    "decibels",
    "duration",
    "leaving_cleanly",
    "one_line",
    "open_console",
    "print_summary",
    "print_table",
    "progress_bar",
    "quiet_libraries",
    "reporting",
    "serving_options",
    "shortened",
    "shown",
    "sound_options",
    "together",
]


def reporting(bar: Progress, label: str) -> Callable[[str, int, int], None]:
    """A callback that shows what is being done, and how much of it is."""
    task = bar.add_task(shortened(shown(label)), total=None)

    def report(what: str, done: int, total: int) -> None:
        bar.update(task, description=shortened(what), completed=done, total=total or None)

    return report


def open_console() -> Console:
    """Everything for people goes to standard error: standard output may carry audio."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def quiet_libraries() -> None:
    """Have nobody hear what decoders print about damage: fullband says what there is to say, and
    standard output may carry audio.

    For the rest of the process: C libraries print some of it only as they end.
    """
    if sys.platform == "win32":
        return
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        try:
            if stream.fileno() != descriptor:
                continue
            stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none, or it is not the process's
            continue
        lines = 1 if name == "stderr" or stream.isatty() else -1
        own = os.fdopen(os.dup(descriptor), "w", lines, stream.encoding, stream.errors)
        setattr(sys, name, own)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _Terminated(BaseException):
    """The process was asked to terminate."""


@contextlib.contextmanager
def leaving_cleanly(hint: str = "") -> Iterator[None]:
    """Asked to terminate, leave as after Ctrl-C: without a half-written file, and with the exit
    code that says which it was.

    Args:
        hint: what the user may want to know then.
    """
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return

    def terminate(*_: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except (KeyboardInterrupt, _Terminated) as stop:
        click.echo(f"stopped{hint and '; '}{hint}", err=True)
        raise SystemExit(143 if isinstance(stop, _Terminated) else 130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def progress_bar(console: Console, hidden: bool = False) -> Iterator[Progress]:
    """A progress bar with time left, shown on a terminal only."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    off = hidden or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=off) as bar:
        yield bar


def one_line(error: Exception) -> str:
    """What went wrong, on one line; the system's own errors are given the form of ours."""
    if isinstance(error, OSError) and not isinstance(error, FullbandError) and error.filename:
        return shown(f"{error.filename}: {(error.strerror or 'failed').lower()}")
    return shown(str(error))


def shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else f"...{text[-width + 3 :]}"


def decibels(amplitude: float) -> str:
    import math

    return f"{20 * math.log10(amplitude):+.1f}" if amplitude > 0 else "-inf"


def print_summary(console: Console, summary: Summary) -> None:
    """What was done to a file, and what its user should know of it."""
    heard = summary.analysis
    what = summary.model if summary.added else f"{summary.model} (nothing to add)"
    if summary.filled:
        what += ", holes filled"
    line = (
        f"{summary.source} -> {summary.target}  {heard.sample_rate} -> {summary.target_rate} Hz  "
        f"content to {_content(heard)}  {what}  "
        f"{heard.frames / heard.sample_rate:.2f} s at {summary.times_real_time:.1f}x real time"
    )
    console.print(shown(line), markup=False, highlight=False, soft_wrap=True)
    for note in summary.notes:
        told = f"note    {shown(summary.source)}: {shown(note)}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    for warning in summary.warnings:
        text = f"warning {shown(summary.target)}: {warning}"
        console.print(text, style="yellow", markup=False, soft_wrap=True)


def _content(heard: Analysis) -> str:
    """Where content ends, or between what, in a recording where that changes."""
    ends = sorted(segment.bandwidth_hz for segment in heard.segments)
    if len(ends) == 1:
        return f"{ends[0]:.0f} Hz"
    return f"{ends[0]:.0f} to {ends[-1]:.0f} Hz in {len(ends)} parts"


def print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{shown(cell):{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def advance_by(bar: Progress, task: TaskID, fraction: float) -> None:
    bar.update(task, completed=fraction)


def duration(seconds: float) -> str:
    """Hours, minutes or seconds, as people say it."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.1f} s"


def together(
    *options: Callable[[Callable[..., None]], Callable[..., None]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options that several commands have, as one decorator; `--help` lists them in this order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


sound_options = together(
    click.option(
        "--rate",
        type=int,
        metavar="HZ",
        help="Sample rate of the result. Default: the model's, or the input's where that is "
        "higher.",
    ),
    click.option("--model", default="auto", show_default=True, help="See `fullband models`."),
    click.option(
        "--bandwidth",
        "bandwidth_hz",
        type=float,
        metavar="HZ",
        help="Where the input's content ends. Default: measured.",
    ),
    click.option(
        "--detail",
        type=click.FloatRange(0, 1),
        default=1.0,
        show_default=True,
        help="How much of the new band: 0 stays nearest to the input, 1 sounds most complete.",
    ),
)
"""What every command that enhances can be told about how the result shall sound."""


def serving_options(token_help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of commands that serve: `host`, `port` and `token`.

    Args:
        token_help: what the token is to those who come.
    """
    return together(
        click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen."),
        click.option(
            "--port",
            type=click.IntRange(0, 65_535),
            default=8080,
            show_default=True,
            help="0 takes a free one.",
        ),
        click.option(
            "--token",
            envvar="FULLBAND_TOKEN",
            help=f"{token_help}; needed where other machines reach the host. Also from "
            "FULLBAND_TOKEN, where others do not see it.",
        ),
    )
