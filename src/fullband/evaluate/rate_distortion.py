"""Rate and distortion: what a codec's bits buy, and where a narrow band with fullband buys more.

Rows are those of `benchmarks/compression.py`: for each recording, codec, rate that was asked for
and sample rate that the sender lowered to, the encoder's kb/s and the scores, with fullband
(`widened`) and without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fullband.evaluate.stored import Rows, values_of

__all__ = [
    "FULL_RATE",
    "KEPT",
    "METRICS",
    "Curve",
    "aliasing_table",
    "best_of",
    "cells",
    "crossings",
    "curve",
    "rate_table",
    "value_at",
    "wins",
]

FULL_RATE = 48_000
"""The rate of senders that lower nothing."""

KEPT = "soxr"
"""The method of senders that filter before they lower the rate."""

METRICS = ("visqol", "lsd", "dnsmos")

Curve = list[tuple[float, float, float]]
"""Points of a curve by rising rate: kb/s, mean, and half the width of its 95 % interval."""


def curve(rows: Rows, metric: str, **where: object) -> Curve:
    """Of the rows that have these values, a point for each rate that was asked for."""
    own = [row for row in rows if where.items() <= row.items()]
    found = []
    for kbps in sorted({row["asked_kbps"] for row in own}):
        at = [row for row in own if row["asked_kbps"] == kbps]
        values = values_of(at, metric)
        if values:
            half = (
                1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if values[1:] else 0
            )
            found.append(
                (float(np.mean([row["kbps"] for row in at])), float(np.mean(values)), half)
            )
    return sorted(found)


def value_at(points: Curve, kbps: float) -> float:
    """Between the points, straight over the logarithm of the rate; NaN beyond them."""
    if not points or not points[0][0] <= kbps <= points[-1][0]:
        return math.nan
    at, values, _ = zip(*points, strict=True)
    return float(np.interp(math.log(kbps), np.log(at), values))


def best_of(curves: Iterable[Curve], kbps: float, lower_is_better: bool = False) -> float:
    """The best of several at a rate; NaN where none reaches."""
    values = [value for each in curves if not math.isnan(value := value_at(each, kbps))]
    return (min if lower_is_better else max)(values, default=math.nan)


def wins(
    full: Curve, narrow: list[Curve], lower_is_better: bool = False
) -> list[tuple[float, float]]:
    """The spans of rates, in kb/s, in which the best narrow band beats the full one."""
    if not full or not any(narrow):
        return []
    every = [at for each in (full, *narrow) for at, _, _ in each]
    grid = np.geomspace(min(every), max(every), 400)
    sign = -1.0 if lower_is_better else 1.0
    ahead = [sign * (best_of(narrow, at, lower_is_better) - value_at(full, at)) > 0 for at in grid]
    spans: list[tuple[float, float]] = []
    for at, is_ahead, before in zip(grid, ahead, [False, *ahead], strict=False):
        if is_ahead and not before:
            spans.append((float(at), float(at)))
        elif is_ahead:
            spans[-1] = (spans[-1][0], float(at))
    return spans


def crossings(rows: Rows) -> list[str]:
    """Where the narrow band with fullband beats the same codec's full band, in words."""
    lines = []
    for kind, codec in cells(rows):
        for metric in METRICS if kind == "speech" else METRICS[:2]:
            full, narrow = full_and_narrow(rows, kind, codec, metric)
            common = common_rates(full, narrow)
            if common is None:
                continue
            spans = wins(full, narrow, metric == "lsd")
            said = " and ".join(f"from {low:.0f} to {high:.0f} kb/s" for low, high in spans)
            lines.append(
                f"{kind}, {codec}, {metric}: narrow with fullband is ahead {said or 'nowhere'} "
                f"(compared from {common[0]:.0f} to {common[1]:.0f} kb/s)"
            )
    return lines


def cells(rows: Rows) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["kind"], row["codec"]) for row in rows))


def full_and_narrow(rows: Rows, kind: str, codec: str, metric: str) -> tuple[Curve, list[Curve]]:
    """The codec's full band as it is, and every narrow one with fullband."""
    where = {"kind": kind, "codec": codec, "method": KEPT}
    rates = sorted({row["rate"] for row in rows if row["kind"] == kind and row["codec"] == codec})
    full = curve(rows, metric, **where, rate=FULL_RATE, widened=0)
    return full, [curve(rows, metric, **where, rate=r, widened=1) for r in rates if r != FULL_RATE]


def common_rates(full: Curve, narrow: list[Curve]) -> tuple[float, float] | None:
    """Between which rates both are there."""
    ends = [(each[0][0], each[-1][0]) for each in narrow if each]
    if not full or not ends:
        return None
    low = max(full[0][0], min(end[0] for end in ends))
    high = min(full[-1][0], max(end[1] for end in ends))
    return (low, high) if low < high else None


def rate_table(rows: Rows, kind: str, codec: str, metric: str) -> str:
    """A line for each sender: kb/s and score of every point, without and with fullband."""
    own = [row for row in rows if row["kind"] == kind and row["codec"] == codec]
    own = [row for row in own if row["method"] == KEPT]
    lines = ["| sample rate | kb/s | decoded | with fullband |", "|---|---|---|---|"]
    for rate in sorted({row["rate"] for row in own}, reverse=True):
        pair = [curve(own, metric, rate=rate, widened=widened) for widened in (0, 1)]
        for (kbps, before, half), (_, after, after_half) in zip(*pair, strict=True):
            lines.append(
                f"| {rate / 1000:g} kHz | {kbps:.1f} | {before:.2f} ± {half:.2f} | "
                f"{after:.2f} ± {after_half:.2f} |"
            )
    return "\n".join(lines)


def aliasing_table(rows: Rows) -> str:
    """The same rates and bits, with a filter before the rate was lowered and without."""
    lines = [
        "| codec, sample rate | kb/s | ViSQOL: filtered | aliased | lsd: filtered | aliased | "
        "DNSMOS: filtered | aliased |",
        "|---|---|---|---|---|---|---|---|",
    ]
    every = {(row["codec"], row["rate"], row["asked_kbps"]) for row in rows}
    for codec, rate, asked in sorted(every):
        where = {"codec": codec, "rate": rate, "asked_kbps": asked, "widened": 1}
        shown = []
        for metric in METRICS:
            pair = [curve(rows, metric, **where, method=method) for method in (KEPT, "subsample")]
            shown += [f"{each[0][1]:.2f}" if each else "-" for each in pair]
        if "-" not in shown[1::2]:
            lines.append(
                f"| {codec}, {rate / 1000:g} kHz | {asked:g} | " + " | ".join(shown) + " |"
            )
    return "\n".join(lines)
