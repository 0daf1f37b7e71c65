"""How long the paper's own training would take on this machine.

    python benchmarks/paper_training.py [--widths 0.125 1] [--steps 2] [--out FILE.json]

A step of AudioUNet from 4 to 16 kHz (forward, backward and Adam, float32, all cores) over a batch
of 8 patches of 8192 samples, at each width: 1/8 is the suite's, 1 the paper's. One step more is
taken first and does not count. `days` is that for 400 epochs, as the paper trains, of 24 minutes of
one speaker, the single speaker's train split. Needs fullband[train].
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch

from fullband.evaluate.suite import provenance
from fullband.models.registry import build_model

BATCH, PATCH, SAMPLE_RATE = 8, 8192, 16_000
EPOCHS, MINUTES = 400, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    rows = []
    for width in options.widths:
        parameters, seconds = step_of(width, options.steps)
        row = {"width": width, "parameters": parameters, "step_s": round(seconds, 2)}
        rows.append({**row, "days": round(days(seconds), 1)})
        print(rows[-1], flush=True)
    if options.out is not None:
        about = {**provenance(), "cores": os.cpu_count(), "load_before": load, "rows": rows}
        options.out.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def days(step_s: float) -> float:
    """Of all epochs."""
    steps = EPOCHS * MINUTES * 60 * SAMPLE_RATE / (BATCH * PATCH)
    return steps * step_s / 86_400


def step_of(width: float, steps: int) -> tuple[int, float]:
    """Parameters of a network, and seconds that a step of its training takes."""
    model = build_model({"name": "audiounet", "ratio": 4, "width": width}).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    audio = 0.1 * torch.randn(BATCH, PATCH, generator=torch.Generator().manual_seed(0))
    taken = []
    for _ in range(steps + 1):
        begun = time.perf_counter()
        optimiser.zero_grad()
        (model(audio) - audio).square().mean().backward()
        optimiser.step()
        taken.append(time.perf_counter() - begun)
    return sum(part.numel() for part in model.parameters()), sum(taken[1:]) / steps


if __name__ == "__main__":
    main()
