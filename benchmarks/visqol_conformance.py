"""ViSQOL as installed here against the conformance scores that its authors publish.

    python benchmarks/visqol_conformance.py TESTDATA [--out FILE.json]

TESTDATA is the `testdata` folder of the authors' repository (google/visqol), whose recordings the
scores belong to; the scores are those of `src/include/conformance.h`, conformance number 333. The
last line says the largest difference; it is an error if that is over 0.02.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fullband.audio.file import read
from fullband.evaluate.perceptual import Kind, visqol
from fullband.evaluate.suite import provenance

CASES: list[tuple[Kind, str, str, float]] = [
    ("speech", "clean_speech/CA01_01.wav", "clean_speech/CA01_01.wav", 4.505550384521484),
    (
        "speech",
        "clean_speech/CA01_01.wav",
        "clean_speech/transcoded_CA01_01.wav",
        3.3129234313964844,
    ),
    *(
        (
            "music",
            f"conformance_testdata_subset/{reference}48_stereo.wav",
            f"conformance_testdata_subset/{reference}48_stereo{ending}.wav",
            score,
        )
        for reference, ending, score in (
            ("strauss", "_lp35", 1.3888791489130758),
            ("steely", "_lp7", 2.2501683734385183),
            ("contrabassoon", "_24kbps_aac", 2.346868205375293),
            ("guitar", "_64kbps_aac", 4.349722308064298),
            ("ravel", "_128kbps_opus", 4.465141897255348),
            ("castanets", "", 4.732101253042348),
        )
    ),
]
"""Mode, reference, degraded and the authors' score."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("testdata", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for kind, reference, degraded, published in CASES:
        pair = []
        for name in (degraded, reference):
            audio, rate = read(options.testdata / name)
            pair.append(audio if audio.ndim == 1 else audio.mean(axis=0))
        score = visqol(pair[0], pair[1], rate, kind)
        rows.append({"degraded": degraded, "published": published, "here": round(score, 6)})
        print(f"{degraded:62s} {published:.4f} {score:.4f}", flush=True)
    worst = max(abs(row["here"] - row["published"]) for row in rows)
    if options.out is not None:
        text = json.dumps({**provenance(), "worst": round(worst, 6), "rows": rows}, indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")
    print(f"largest difference {worst:.4f}")
    if worst > 0.02:
        sys.exit("ViSQOL does not give its published scores here")


if __name__ == "__main__":
    main()
