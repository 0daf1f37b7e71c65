"""Is a narrow band at a low rate, widened by fullband, better than a codec's full band?

    python benchmarks/compression.py --speech FOLDER --music FOLDER [--limit 8] [--only NAME]

Audio compression is the second application that the 2017 paper names: a sender keeps the lower part
of the spectrum, a receiver makes the rest. Here the sender lowers the sample rate and encodes at a
low rate, and the receiver decodes and calls fullband (`speech` or `music`); beside it stand the
same codec with the full band, and both without fullband. Opus narrows a full band by itself where
its bits are few, as it is made to. Rates are those of the encoders' packets, not those asked for.

The sender also tries what the paper says sounds better, to take every r-th sample without a filter.

Every recording is compared as far up as it is to be believed. ViSQOL is in audio mode, which looks
at the whole band; DNSMOS at 16 kHz only. Writes `rows.csv` into docs/measured/compression and draws
docs/compression.svg; points that are there already, of these weights, stay.
Needs fullband[evaluate,metrics,formats].
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullband.audio.resample import resample
from fullband.degrade import degrade
from fullband.degrade.codec import Coding
from fullband.evaluate.cutoffs import Recording, choose_recordings
from fullband.evaluate.judge import Judged
from fullband.evaluate.metrics import lsd
from fullband.evaluate.perceptual import Kind, dnsmos, visqol
from fullband.evaluate.rate_distortion import KEPT, cells, crossings, curve
from fullband.evaluate.run import fit_length
from fullband.evaluate.stored import Rows, keep, read_kept
from fullband.evaluate.suite import provenance

RATE = 48_000
REACH_HZ = 18_000.0
KEYS = ("kind", "codec", "asked_kbps", "rate", "method", "widened", "file")
PANEL, HEIGHT, MARGIN = 420, 330, 48


@dataclass(frozen=True)
class Point:
    """What a sender does: lower the rate by a method, and encode. At 48 kHz it lowers nothing."""

    kind: Kind
    codec: str
    kbps: float
    rate: int
    method: str = KEPT

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.codec}-{self.rate}-{self.kbps:g}-{self.method}"


def points() -> list[Point]:
    """Everything that is measured."""
    offered: dict[tuple[Kind, str], dict[int, tuple[int, ...]]] = {
        ("speech", "opus"): {
            RATE: (6, 8, 12, 16, 24, 32, 48),
            8000: (6, 8, 12),
            16_000: (8, 12, 16, 24),
            24_000: (12, 16, 24, 32),
        },
        ("speech", "aac"): {RATE: (16, 24, 32, 48, 64), 16_000: (16, 24), 24_000: (16, 24, 32)},
        ("music", "opus"): {RATE: (16, 24, 32, 48, 64, 96), 16_000: (16, 24, 32),
                            24_000: (24, 32, 48)},
        ("music", "aac"): {RATE: (24, 32, 48, 64, 96), 16_000: (24, 32), 24_000: (24, 32, 48)},
    }  # fmt: skip
    found = [
        Point(kind, codec, kbps, rate)
        for (kind, codec), by_rate in offered.items()
        for rate, every in by_rate.items()
        for kbps in every
    ]
    aliased = [(8000, 8), (8000, 12), (16_000, 16), (16_000, 24)]
    return found + [Point("speech", "opus", kbps, rate, "subsample") for rate, kbps in aliased]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, help="corpus with recordings true to 19 kHz")
    parser.add_argument("--music", type=Path)
    parser.add_argument("--limit", type=int, default=8, help="recordings of each kind")
    parser.add_argument("--only", default="", help="points whose names begin so")
    parser.add_argument("--rows", type=Path, default=Path("docs/measured/compression/rows.csv"))
    parser.add_argument("--picture", type=Path, default=Path("docs/compression.svg"))
    options = parser.parse_args()

    folders: dict[Kind, Path | None] = {"speech": options.speech, "music": options.music}
    for kind, folder in folders.items():
        if folder is not None:
            recordings = choose_recordings(folder, "test", REACH_HZ, options.limit, kind)
            every = [point for point in points() if point.kind == kind]
            chosen = [point for point in every if point.name.startswith(options.only)]
            measure(chosen, recordings, Judged.open(kind), options.rows)
    rows = read_kept(options.rows)
    options.picture.write_text(picture(rows), encoding="utf-8")
    print("\n".join(crossings(rows)))


def measure(
    chosen: Iterable[Point], recordings: list[Recording], judged: Judged, path: Path
) -> None:
    """Score points that are not stored yet, and store each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {recording.file for recording in recordings}
    for point in chosen:
        stored = [
            row
            for row in read_kept(path)
            if (row["kind"], row["codec"], row["asked_kbps"], row["rate"], row["method"])
            == (point.kind, point.codec, point.kbps, point.rate, point.method)
            and row["model_sha256"] == judged.sha256
        ]
        if files <= {row["file"] for row in stored}:
            continue
        rows = [row for recording in recordings for row in score(point, recording, judged)]
        about = {"model_sha256": judged.sha256, **provenance()}
        keep([{**row, **about} for row in rows], path, KEYS)
        print(point.name, flush=True)


def score(point: Point, recording: Recording, judged: Judged) -> Rows:
    """Two rows: what is decoded, and what fullband makes of it."""
    channels = recording.channels()[:2]
    wide = np.stack([recording.cut(each) for each in channels])
    if point.kind == "speech":
        wide = wide.mean(axis=0, keepdims=True)
    narrow = wide if point.rate == RATE else degrade(wide, RATE, point.rate, point.method)
    sent = Coding(point.codec, point.kbps).transmit(np.clip(narrow, -1, 1), point.rate)
    duration_s = wide.shape[-1] / RATE
    known_hz = None
    if point.method == "subsample":  # what folded down reaches up to the Nyquist frequency
        known_hz = point.rate / 2
    made = judged.enhancer(sent.audio, sent.sample_rate, RATE, known_hz)[0]
    original = wide.mean(axis=0)
    rows: Rows = []
    for widened, output in ((0, resample(sent.audio, sent.sample_rate, RATE)), (1, made)):
        mono = fit_length(recording.cut(output.mean(axis=0)), len(original))
        rows.append(
            {
                "kind": point.kind,
                "codec": point.codec,
                "asked_kbps": point.kbps,
                "rate": point.rate,
                "method": point.method,
                "widened": widened,
                "file": recording.file,
                "kbps": round(8 * sent.size / duration_s / 1000, 3),
                "visqol": visqol(mono, original, RATE, "music"),
                "lsd": lsd(mono, original),
                "dnsmos": dnsmos(mono, RATE) if point.kind == "speech" else float("nan"),
            }
        )
    return rows


def picture(rows: Rows) -> str:
    """ViSQOL over rate, as SVG: a diagram for each kind and codec."""
    shown = cells(rows)
    across = min(2, max(1, len(shown)))
    width, height = max(2, across) * PANEL, -(-len(shown) // across) * HEIGHT + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (kind, codec) in enumerate(shown):
        left, top = number % across * PANEL, number // across * HEIGHT
        parts += diagram(rows, kind, codec, left, top)
    styles = [("full band", "#444", ""), ("full band with fullband", "#444", "4 3")]
    styles += [(f"{r // 1000} kHz with fullband", COLOURS[r], "") for r in COLOURS]
    styles += [("the same without", "#999", "2 3")]
    for number, (label, colour, dashes) in enumerate(styles):
        x, y = 12 + 270 * (number % 3), height - 30 + 18 * (number // 3)
        line = f'x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}"'
        parts.append(
            f'<line {line} stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        parts.append(f'<text x="{x + 26}" y="{y}" fill="#333">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


COLOURS = {8000: "#c22", 16_000: "#e80", 24_000: "#07a"}


def diagram(rows: Rows, kind: str, codec: str, left: int, top: int) -> Iterable[str]:
    lowest, highest, low_y, high_y = 5.0, 110.0, 1.0, 5.0

    def at(kbps: float, value: float) -> str:
        along = math.log(kbps / lowest) / math.log(highest / lowest)
        x = left + MARGIN + along * (PANEL - 1.4 * MARGIN)
        y = top + HEIGHT - MARGIN - (value - low_y) / (high_y - low_y) * (HEIGHT - 2 * MARGIN)
        return f"{x:.1f},{y:.1f}"

    def line(a: tuple[float, float], b: tuple[float, float], style: str) -> str:
        (x1, y1), (x2, y2) = (at(*each).split(",") for each in (a, b))
        return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {style}/>'

    def text(kbps: float, value: float, dx: float, dy: float, what: str, anchor: str) -> str:
        x, y = (float(each) for each in at(kbps, value).split(","))
        place = f'x="{x + dx:.1f}" y="{y + dy:.1f}" text-anchor="{anchor}"'
        return f'<text {place} fill="#333">{what}</text>'

    yield text(lowest, high_y, 0, -12, f"{kind}, {codec}: ViSQOL over kb/s", "start")
    for kbps in (6, 8, 12, 16, 24, 32, 48, 64, 96):
        yield line((kbps, low_y), (kbps, high_y), 'stroke="#ddd"')
        yield text(kbps, low_y, 0, 16, str(kbps), "middle")
    for value in (1, 2, 3, 4, 5):
        yield line((lowest, value), (highest, value), 'stroke="#ddd"')
        yield text(lowest, value, -6, 4, str(value), "end")
    where = {"kind": kind, "codec": codec, "method": KEPT}
    for rate, colour in ((RATE, "#444"), *COLOURS.items()):
        for widened in (0, 1):
            points = curve(rows, "visqol", **where, rate=rate, widened=widened)
            if not points:
                continue
            plain = rate != RATE and not widened
            dashes = "2 3" if plain else "4 3" if rate == RATE and widened else ""
            drawn = " ".join(at(kbps, value) for kbps, value, _ in points)
            stroke = "#999" if plain else colour
            yield (
                f'<polyline points="{drawn}" fill="none" stroke="{stroke}" stroke-width="2" '
                f'stroke-dasharray="{dashes}"/>'
            )
            for kbps, value, half in [] if plain else points:
                yield line((kbps, value - half), (kbps, value + half), f'stroke="{colour}"')


if __name__ == "__main__":
    main()
