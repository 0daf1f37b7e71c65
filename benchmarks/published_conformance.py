"""Compare the stored scores of published outputs with those that were measured independently.

    python benchmarks/published_conformance.py CLIPS [--rows docs/measured/speech/published.csv]
        [--out docs/measured/speech/published-conformance.json]

CLIPS has `scores.csv` and `visqol.csv` beside the clips: the same outputs, scored by other code.
Its `lsd` adds 1e-8 where the field's code and ours take the larger of the two, so ours is compared
with its `lsd_apbwe`; on the page that normalised its files `snr_g` is compared, and no distance.
For each measure the largest difference within rounding is stored, and every output that is off by
more: those that had to be resampled, since it used another resampler there.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from fullband.evaluate.stored import read_kept
from fullband.evaluate.suite import provenance

BOUNDS = {"snr_db": 0.01, "lsd": 0.001, "lsd_2017": 0.002, "visqol": 0.002, "lag": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--rows", type=Path, default=Path("docs/measured/speech/published.csv"))
    parser.add_argument(
        "--out", type=Path, default=Path("docs/measured/speech/published-conformance.json")
    )
    options = parser.parse_args()
    rows = {
        (row["page"], row["task"], row["sample"], row["system"]): row
        for row in read_kept(options.rows)
    }
    largest: dict[str, float] = dict.fromkeys(BOUNDS, 0.0)
    compared = dict.fromkeys(BOUNDS, 0)
    off = []
    for key, expected in expected_scores(options.clips).items():
        row = rows.get(key)
        if row is None:
            continue
        for name, value in expected.items():
            if name == "lsd_2017" and row["gain_db"]:
                continue
            difference = abs(row[name] - value)
            compared[name] += 1
            if difference > BOUNDS[name]:
                off.append({"output": "/".join(key), name: row[name], "expected": value})
            else:
                largest[name] = max(largest[name], difference)
    result = {
        **provenance(),
        "bounds": BOUNDS,
        "compared": compared,
        "largest_within": {name: round(value, 5) for name, value in largest.items()},
        "off": off,
    }
    print(json.dumps(result, indent=1))
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def expected_scores(clips: Path) -> dict[tuple[str, str, str, str], dict[str, float]]:
    """What the other code measured, by page, task, sample and system, under our names."""
    expected: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for name in ("scores", "visqol"):
        with (clips / f"{name}.csv").open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                system = "sinc" if row["method"] == "input" else row["method"]
                scores = expected.setdefault(
                    (row["system"], row["task"], row["sample"], system), {}
                )
                if name == "visqol":
                    scores["visqol"] = float(row["visqol"])
                    continue
                normalised = row["system"] == "audio-super-res"
                scores["snr_db"] = float(row["snr_g" if normalised else "snr"])
                scores["lag"] = float(row["lag"])
                scores["lsd_2017"] = float(row["lsd_kul"])
                if not normalised:
                    scores["lsd"] = float(row["lsd_apbwe"])
    return expected


if __name__ == "__main__":
    main()
