"""What the commands have in common: how they show progress, tables and errors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from fullband.errors import FullbandError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = [
    "advance_by",
    "decibels",
    "leaving_cleanly",
    "one_line",
    "open_console",
    "print_table",
    "progress_bar",
    "reporting",
    "shortened",
    "shown",
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


@contextlib.contextmanager
def leaving_cleanly() -> Iterator[None]:
    """Asked to terminate, leave as after Ctrl-C: without a half-written file."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
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


def shown(text: str) -> str:
    """The text with everything escaped that would break the line or command the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def shortened(text: str, width: int = 40) -> str:
    return text if len(text) <= width else f"...{text[-width + 3 :]}"


def decibels(amplitude: float) -> str:
    import math

    return f"{20 * math.log10(amplitude):+.1f}" if amplitude > 0 else "-inf"


def print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{shown(cell):{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def advance_by(bar: Progress, task: TaskID, fraction: float) -> None:
    bar.update(task, completed=fraction)
