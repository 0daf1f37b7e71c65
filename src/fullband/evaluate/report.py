"""Rows to files and tables."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fullband.card import read_card, write_card
from fullband.errors import OutputError

__all__ = [
    "bootstrap_interval",
    "check_rows_path",
    "markdown_table",
    "mean_cell",
    "read_rows",
    "score_card",
    "write_rows",
]

_COLUMNS = {
    "snr_db": ("SNR dB", 2),
    "segmental_snr_db": ("segmental SNR dB", 2),
    "si_sdr_db": ("SI-SDR dB", 2),
    "lsd_2017": ("lsd_2017", 2),
    "lsd": ("lsd", 2),
    "lsd_low": ("lsd below", 2),
    "lsd_high": ("lsd above", 2),
}
"""Metric to heading and decimals; the order of the table's columns."""


def bootstrap_interval(
    values: list[float], confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean (Efron 1979).

    Files are drawn with replacement, `draws` times; the interval holds the middle `confidence` of
    the means. Seeded, so the same values give the same interval.
    """
    array = np.asarray(values, np.float64)
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(array), (draws, len(array)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(array[picks].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """One line per system: the mean over files of every metric, with its 95 % interval.

    The interval is given as the larger of its two distances from the mean.
    """
    metrics = [name for name in _COLUMNS if name in rows[0]]
    systems = list(dict.fromkeys(row["system"] for row in rows))
    heading = ["system", "files", *(_COLUMNS[name][0] for name in metrics)]
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for system in systems:
        own = [row for row in rows if row["system"] == system]
        cells = [system, str(len(own))]
        for name in metrics:
            values = [float(row[name]) for row in own if not np.isnan(float(row[name]))]
            cells.append(mean_cell(values, _COLUMNS[name][1]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def score_card(rows: list[dict[str, Any]], path: Path) -> None:
    """Put the means of rows on a model's card, under the task they belong to.

    Raises:
        ModelError: the card cannot be read.
    """
    card = read_card(path)
    first = rows[0]
    task = (
        f"{first['corpus']}, {first['split']}, {first['method']}, "
        f"{first['narrow_rate']:g} to {first['sample_rate']} Hz"
    )
    systems = dict.fromkeys(row["system"] for row in rows)
    means = {
        system: {
            name: round(float(np.nanmean([r[name] for r in rows if r["system"] == system])), 3)
            for name in _COLUMNS
        }
        for system in systems
    }
    origin = {name: first[name] for name in ("commit", "machine", "date")}
    write_card(replace(card, scores={**card.scores, task: {**origin, "mean": means}}), path)


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Keep rows as CSV or JSON, by the file's ending.

    Raises:
        OutputError: the ending is neither, or the file cannot be written.
    """
    check_rows_path(path)
    rounded = [
        {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    ]
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", newline="", encoding="utf-8") as out:
            if path.suffix == ".json":
                json.dump(rounded, out, indent=1)
            else:
                writer = csv.DictWriter(out, list(rounded[0]))
                writer.writeheader()
                writer.writerows(rounded)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_rows_path(path: Path) -> None:
    """Refuse a path that rows cannot be written to, before they are computed.

    Raises:
        OutputError: its ending is neither .csv nor .json.
    """
    if path.suffix not in (".csv", ".json"):
        raise OutputError(f"{path}: rows are written as .csv or .json")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows that `write_rows` kept; numbers are numbers again."""
    if path.suffix == ".json":
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return rows
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            {name: _parsed(name, text) for name, text in row.items()}
            for row in csv.DictReader(lines)
        ]


def mean_cell(values: list[float], decimals: int) -> str:
    """The mean and the larger half of its 95 % interval (one value has none); `-` for no value."""
    if not values:
        return "-"
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.{decimals}f}"
    low, high = bootstrap_interval(values)
    return f"{mean:.{decimals}f} ± {max(mean - low, high - mean):.{decimals}f}"


def _parsed(name: str, text: str) -> str | int | float:
    if name in ("sample_rate", "narrow_rate"):
        return int(text) if text.isdigit() else float(text)
    return float(text) if name in _COLUMNS or name == "seconds" else text
