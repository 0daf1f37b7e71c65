"""Rows of scores that a suite keeps as CSV and finds again, so that it goes on where it was."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fullband.evaluate.report import write_rows

__all__ = ["METRICS", "Rows", "keep", "mean_of", "read_kept", "replace", "values_of"]

Rows = list[dict[str, Any]]

METRICS = ("snr_db", "lsd", "lsd_low", "lsd_high", "lsd_2017", "visqol", "dnsmos")
"""What a suite's tables and verdicts look at."""

_TEXT = (
    *("system", "page", "task", "sample", "corpus", "source", "file", "speaker", "method"),
    *(
        "check",
        "asked",
        "coding",
        "kind",
        "codec",
        "model_sha256",
        "version",
        "commit",
        "machine",
        "date",
    ),
)


def read_kept(path: Path) -> Rows:
    """The rows of a file, numbers being numbers and empty cells NaN; none where there is no file.

    Names stay text, also those that look like numbers.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            {name: text if name in _TEXT else _number(text) for name, text in row.items()}
            for row in csv.DictReader(lines)
        ]


def keep(rows: Rows, path: Path, by: Sequence[str]) -> None:
    """Write rows into a file, in the place of those that agree with one of them in the columns
    `by`; the others of the file stay before them."""
    if not rows:
        return
    new = {tuple(row[name] for name in by) for row in rows}
    old = [row for row in read_kept(path) if tuple(row[name] for name in by) not in new]
    replace([*old, *rows], path)


def replace(rows: Rows, path: Path) -> None:
    """Write a file anew, whole or not at all; what a row lacks stays empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    write_rows([{name: row.get(name, "") for name in columns} for row in rows], path)


def values_of(rows: Iterable[dict[str, Any]], metric: str) -> list[float]:
    """A metric of every row that has it."""
    values = (row.get(metric, np.nan) for row in rows)
    return [float(value) for value in values if not np.isnan(value)]


def mean_of(rows: Iterable[dict[str, Any]], metric: str) -> float:
    """Its mean, NaN where no row has it."""
    values = values_of(rows, metric)
    return float(np.mean(values)) if values else float("nan")


def _number(text: str | None) -> float:
    if text and text.lstrip("-").isdigit():
        return int(text)  # stays one when it is written again
    return float(text) if text else float("nan")
