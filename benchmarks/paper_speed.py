"""Parameters and speed of the paper's systems, side by side in one run.

    python benchmarks/paper_speed.py MODELS [--corpus single] [--out FILE.json]

MODELS is a folder of exported ones, as `fullband evaluate --suite paper` takes it. Every system
turns the same 30 s of noise at 4 kHz into 16 kHz, alone, in this process: the spline, and each
model with the spline in front of it. They take turns; each one's fastest of five counts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from fullband.degrade import Degradation
from fullband.engine import OnnxModel, open_model
from fullband.evaluate.run import System, raw_system
from fullband.evaluate.suite import bare_systems, provenance

SECONDS, TURNS = 30, 5
ARCHITECTURES = ("wiener", "dnn", "audiounet", "tfilm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path)
    parser.add_argument("--corpus", default="single")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    systems: dict[str, tuple[System, int]] = {"spline": (bare_systems()["spline"], 0)}
    for architecture in ARCHITECTURES:
        model = open_model(str(options.models / f"{architecture}-{options.corpus}-4x.onnx"))
        assert isinstance(model, OnnxModel)
        systems[architecture] = raw_system(model.run, model.card), model.card.parameters
    load = round(os.getloadavg()[0], 2)
    generator = np.random.default_rng(0)
    narrow = (0.1 * generator.standard_normal(4000 * SECONDS)).astype(np.float32)
    degradation = Degradation("chebyshev", 16_000, 4000)
    fastest = dict.fromkeys(systems, float("inf"))
    for _ in range(TURNS):
        for name, (system, _) in systems.items():
            begun = time.perf_counter()
            system(narrow, degradation, 16_000 * SECONDS)
            fastest[name] = min(fastest[name], time.perf_counter() - begun)
    rows = [
        {
            "system": name,
            "parameters": parameters,
            "times_real_time": round(SECONDS / fastest[name], 1),
        }
        for name, (_, parameters) in systems.items()
    ]
    for row in rows:
        print(
            f"{row['system']:10} {row['parameters']:10,} {row['times_real_time']:8.1f}x real time"
        )
    if options.out is not None:
        about = {**provenance(), "cores": os.cpu_count(), "load_before": load, "rows": rows}
        options.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
