"""What `--detail` trades: SNR against distance and ViSQOL, published systems as points beside it.

    python benchmarks/detail_curve.py CLIPS [--rows docs/measured/speech] [--model speech]

Every published clip at 48 kHz, with less and less of the model's new band. The ends of the curve
(none: sinc; all: the model) and the other systems are the rows that `fullband evaluate --suite
fullband --published CLIPS` stored; what lies between is scored here. SNR is against the resampled
input's on the same clip. Writes `detail.json` beside the rows, and the picture. Needs
fullband[evaluate,metrics].
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fullband.audio.resample import resample
from fullband.evaluate.judge import Judged, enhanced
from fullband.evaluate.published import find_clips, published_input, score_clip
from fullband.evaluate.run import fit_length
from fullband.evaluate.stored import read_kept
from fullband.evaluate.suite import provenance

RATE = 48_000
BETWEEN = (0.25, 0.5, 0.75)
METRICS = ("snr_db", "lsd", "visqol")
LEFT_OUT = ("gt_vocoded",)  # the original through a vocoder: no system
WIDTH, HEIGHT, MARGIN = 420, 320, 56


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("docs/measured/speech"))
    parser.add_argument("--model", default="speech")
    parser.add_argument("--picture", type=Path, default=Path("docs/detail.svg"))
    options = parser.parse_args()

    judged = Judged.open(options.model)
    stored = [
        row
        for row in read_kept(options.rows / "published.csv")
        if row["sample_rate"] == RATE and row["system"] not in LEFT_OUT
    ]
    if not judged.has(stored):
        raise SystemExit(f"{options.rows}: judge {judged.name} on the published clips first")
    sinc = {where(row): row for row in stored if row["system"] == "sinc"}
    scores: dict[float, list[list[float]]] = {detail: [] for detail in (0.0, *BETWEEN, 1.0)}
    for clip in find_clips(options.clips):
        place = (clip.page, clip.task, clip.sample)
        if clip.sample_rate != RATE or place not in sinc:
            continue
        whole = enhanced(judged.enhancer, *published_input(clip), RATE)
        kept = fit_length(resample(*published_input(clip), RATE), len(whole))
        for detail in BETWEEN:
            found = score_clip(clip, kept + np.float32(detail) * (whole - kept))
            scores[detail].append(against(found, sinc[place]))
        ours = next(r for r in stored if where(r) == place and r["system"] == judged.name)
        scores[0.0].append(against(sinc[place], sinc[place]))
        scores[1.0].append(against(ours, sinc[place]))
        print(clip.name, flush=True)
    curve = [
        {"detail": detail, **dict(zip(METRICS, np.mean(rows, axis=0).round(3), strict=True))}
        for detail, rows in scores.items()
    ]
    points = []
    for name in sorted({row["system"] for row in stored} - {"sinc", judged.name}):
        rows = [row for row in stored if row["system"] == name and not row["model_sha256"]]
        if rows:
            means = np.mean([against(row, sinc[where(row)]) for row in rows], axis=0).round(3)
            points.append(
                {"system": name, "clips": len(rows), **dict(zip(METRICS, means, strict=True))}
            )
    result = {
        "model": judged.name,
        "sha256": judged.sha256,
        **provenance(),
        "clips": len(scores[1.0]),
        "curve": curve,
        "published": points,
    }
    path = options.rows / "detail.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    options.picture.write_text(picture(curve, points), encoding="utf-8")
    print(f"wrote {path} and {options.picture}")


def where(row: dict[str, object]) -> tuple[object, object, object]:
    """The clip that a row is about."""
    return row["page"], row["task"], row["sample"]


def against(row: dict[str, float], sinc: dict[str, float]) -> list[float]:
    """The metrics of a row, SNR relative to the resampled input's."""
    return [row["snr_db"] - sinc["snr_db"], row["lsd"], row["visqol"]]


def picture(curve: list[dict[str, float]], points: list[dict[str, object]]) -> str:
    """Two diagrams side by side, as SVG: lsd and ViSQOL over what was gained or lost in SNR."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for column, (metric, title) in enumerate(
        (("lsd", "lsd (lower is better)"), ("visqol", "ViSQOL"))
    ):
        parts += diagram(column * WIDTH, metric, title, curve, points)
    return "\n".join([*parts, "</svg>"]) + "\n"


def diagram(
    left: int,
    metric: str,
    title: str,
    curve: list[dict[str, float]],
    points: list[dict[str, object]],
) -> Iterable[str]:
    """One of them: axes, the curve with its details, the published systems as named points."""
    everything = [*curve, *points]
    xs = [float(each["snr_db"]) for each in everything]  # type: ignore[arg-type]
    ys = [float(each[metric]) for each in everything]  # type: ignore[arg-type]
    low_x, high_x = np.floor(min(xs)), np.ceil(max([*xs, 0.5]))
    low_y, high_y = np.floor(2 * min(ys)) / 2, np.ceil(2 * max(ys)) / 2

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
    for x in np.linspace(low_x, high_x, 5):
        px, _ = at(x, low_y)
        yield f'<line x1="{px:.1f}" y1="{y0:.1f}" x2="{px:.1f}" y2="{y1:.1f}" stroke="#ddd"/>'
        yield f'<text x="{px:.1f}" y="{y0 + 16:.1f}" text-anchor="middle">{x:g}</text>'
    for y in np.arange(low_y, high_y + 0.01, 0.5):
        _, py = at(low_x, y)
        yield f'<line x1="{x0:.1f}" y1="{py:.1f}" x2="{x1:.1f}" y2="{py:.1f}" stroke="#ddd"/>'
        yield f'<text x="{x0 - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>'
    for point in points:
        px, py = at(float(point["snr_db"]), float(point[metric]))  # type: ignore[arg-type]
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="#888"/>'
        yield f'<text x="{px + 5:.1f}" y="{py - 4:.1f}" fill="#555">{point["system"]}</text>'
    line = " ".join("{:.1f},{:.1f}".format(*at(c["snr_db"], c[metric])) for c in curve)
    yield f'<polyline points="{line}" fill="none" stroke="#c40" stroke-width="2"/>'
    for c in curve:
        px, py = at(c["snr_db"], c[metric])
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="#c40"/>'
        yield f'<text x="{px:.1f}" y="{py + 15:.1f}" fill="#c40">{c["detail"]:g}</text>'


if __name__ == "__main__":
    main()
