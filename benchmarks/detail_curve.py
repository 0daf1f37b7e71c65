"""What `--detail` trades: SNR against distance and ViSQOL, published systems as points beside it.

    python benchmarks/detail_curve.py CLIPS [--rows docs/measured/speech] [--model speech]

Every published clip at 48 kHz, with less and less of the model's new band. The ends of the curve
(none: sinc; all: the model) and the other systems are the rows that `fullband evaluate --suite
fullband --published CLIPS` stored; what lies between is scored here. SNR is against the resampled
input's on the same clip. Writes `detail.json` beside the rows, and the picture; figures of these
weights that are there already are only drawn. A published system's point is the mean over the clips
of its own page, the curve that over all. Needs fullband[evaluate,metrics].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fullband.audio.resample import resample
from fullband.evaluate.judge import Judged, enhanced
from fullband.evaluate.published import NO_SYSTEM, find_clips, published_input, score_clip
from fullband.evaluate.run import fit_length
from fullband.evaluate.stored import read_kept
from fullband.evaluate.suite import provenance

RATE = 48_000
BETWEEN = (0.25, 0.5, 0.75)
METRICS = ("snr_db", "lsd", "visqol")
WIDTH, HEIGHT, MARGIN, LEGEND = 420, 380, 56, 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("docs/measured/speech"))
    parser.add_argument("--model", default="speech")
    parser.add_argument("--picture", type=Path, default=Path("docs/detail.svg"))
    options = parser.parse_args()

    judged = Judged.open(options.model)
    path = options.rows / "detail.json"
    measured = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if (measured.get("model"), measured.get("sha256")) != (judged.name, judged.sha256):
        measured = measure(judged, options.clips, options.rows)
        path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    options.picture.write_text(picture(measured["curve"], measured["published"]), encoding="utf-8")
    print(f"{path}, drawn in {options.picture}")


def measure(judged: Judged, clips: Path, rows_folder: Path) -> dict[str, Any]:
    """Score what lies between the stored ends, and gather the means."""
    stored = [
        row
        for row in read_kept(rows_folder / "published.csv")
        if row["sample_rate"] == RATE and row["system"] not in NO_SYSTEM
    ]
    if not judged.has(stored):
        raise SystemExit(f"{rows_folder}: judge {judged.name} on the published clips first")
    sinc = {where(row): row for row in stored if row["system"] == "sinc"}
    ours = {where(row): row for row in stored if row["system"] == judged.name}
    scores: dict[float, list[list[float]]] = {detail: [] for detail in (0.0, *BETWEEN, 1.0)}
    for clip in find_clips(clips):
        place = (clip.page, clip.task, clip.sample)
        if clip.sample_rate != RATE or place not in sinc:
            continue
        narrow, narrow_rate = published_input(clip)
        whole = enhanced(judged.enhancer, narrow, narrow_rate, RATE)
        kept = fit_length(resample(narrow, narrow_rate, RATE), len(whole))
        for detail in BETWEEN:
            found = score_clip(clip, kept + np.float32(detail) * (whole - kept))
            scores[detail].append(against(found, sinc[place]))
        scores[0.0].append(against(sinc[place], sinc[place]))
        scores[1.0].append(against(ours[place], sinc[place]))
        print(clip.name, flush=True)
    points = []
    for name in sorted({row["system"] for row in stored} - {"sinc", judged.name}):
        rows = [row for row in stored if row["system"] == name and not row["model_sha256"]]
        if rows:
            every = [against(row, sinc[where(row)]) for row in rows]
            points.append({"system": name, "clips": len(rows), **means(every)})
    return {
        "model": judged.name,
        "sha256": judged.sha256,
        **provenance(),
        "clips": len(scores[1.0]),
        "curve": [{"detail": detail, **means(every)} for detail, every in scores.items()],
        "published": points,
    }


def means(scores: list[list[float]]) -> dict[str, float]:
    """Of each metric."""
    return dict(zip(METRICS, np.mean(scores, axis=0).round(3).tolist(), strict=True))


def where(row: dict[str, object]) -> tuple[object, object, object]:
    """The clip that a row is about."""
    return row["page"], row["task"], row["sample"]


def against(row: dict[str, float], sinc: dict[str, float]) -> list[float]:
    """The metrics of a row, SNR relative to the resampled input's."""
    return [row["snr_db"] - sinc["snr_db"], row["lsd"], row["visqol"]]


def picture(curve: list[dict[str, float]], points: list[dict[str, Any]]) -> str:
    """Two diagrams side by side, as SVG: lsd and ViSQOL over what was gained or lost in SNR.

    Systems are numbered, and named beside the diagrams.
    """
    width = 2 * WIDTH + LEGEND
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    titles = (("lsd", "lsd (lower is better)"), ("visqol", "ViSQOL (higher is better)"))
    for column, (metric, title) in enumerate(titles):
        parts += diagram(column * WIDTH, metric, title, curve, points)
    for number, point in enumerate(points, start=1):
        place = f'x="{2 * WIDTH}" y="{20 + 15 * number}"'
        parts.append(f'<text {place} fill="#555">{number}  {point["system"]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def diagram(
    left: int,
    metric: str,
    title: str,
    curve: list[dict[str, float]],
    points: list[dict[str, Any]],
) -> Iterable[str]:
    """One of them: axes, the curve with its details, the published systems as numbered points."""
    xs, ys = (np.array([each[name] for each in [*curve, *points]]) for name in ("snr_db", metric))
    low_x, high_x = np.floor(xs.min()), np.ceil(max(xs.max(), 0.5))
    low_y, high_y = np.floor(2 * ys.min()) / 2, np.ceil(2 * ys.max()) / 2

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - low_x) / (high_x - low_x) * (WIDTH - 2 * MARGIN)
        up = (y - low_y) / (high_y - low_y) * (HEIGHT - 2 * MARGIN)
        return left + MARGIN + across, HEIGHT - MARGIN - up

    (x0, y0), (x1, y1) = at(low_x, low_y), at(high_x, high_y)
    yield f'<text x="{(x0 + x1) / 2:.1f}" y="{y1 - 12:.1f}" text-anchor="middle">{title}</text>'
    yield (
        f'<text x="{(x0 + x1) / 2:.1f}" y="{y0 + 36:.1f}" text-anchor="middle">'
        "SNR against the resampled input, dB</text>"
    )
    for x in np.arange(low_x, high_x + 0.5):
        px, _ = at(x, low_y)
        yield f'<line x1="{px:.1f}" y1="{y0:.1f}" x2="{px:.1f}" y2="{y1:.1f}" stroke="#ddd"/>'
        yield f'<text x="{px:.1f}" y="{y0 + 16:.1f}" text-anchor="middle">{x:g}</text>'
    for y in np.arange(low_y, high_y + 0.01, 0.5):
        _, py = at(low_x, y)
        yield f'<line x1="{x0:.1f}" y1="{py:.1f}" x2="{x1:.1f}" y2="{py:.1f}" stroke="#ddd"/>'
        yield f'<text x="{x0 - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>'
    for number, point in enumerate(points, start=1):
        px, py = at(point["snr_db"], point[metric])
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.5" fill="#888"/>'
        yield f'<text x="{px + 4:.1f}" y="{py - 3:.1f}" font-size="9" fill="#555">{number}</text>'
    line = " ".join("{:.1f},{:.1f}".format(*at(c["snr_db"], c[metric])) for c in curve)
    yield f'<polyline points="{line}" fill="none" stroke="#c40" stroke-width="2"/>'
    for c in curve:
        px, py = at(c["snr_db"], c[metric])
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="#c40"/>'
        yield f'<text x="{px + 7:.1f}" y="{py + 4:.1f}" fill="#c40">{c["detail"]:g}</text>'


if __name__ == "__main__":
    main()
