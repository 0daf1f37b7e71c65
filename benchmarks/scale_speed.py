"""Hours of audio per core-hour: `fullband scale` on this machine's cores, for sizing a cluster.

    python benchmarks/scale_speed.py [--out docs/measured/scale-speed.json] [--quick]

Makes recordings of a synthetic voice at 8 kHz in three kinds (prompts of 3 s, messages of a minute,
one of an hour that is shared out) and enhances each kind with one worker and with one per core. Two
figures each: hours of audio per hour that the workers took of their cores, which another load on
the machine hardly changes; and per worker and hour on the clock, which it does, and which has the
start of Ray in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from enhance_speed import make_recording, provenance

from fullband.audio.file import write
from fullband.corpora.synthetic import synthetic_voice
from fullband.scale.run import scale
from fullband.scale.work import Asked

SOURCE_RATE = 8_000
KINDS = {"prompts": (1000, 3), "messages": (60, 60), "long": (1, 3600)}
"""Files and seconds of each."""

QUICK = {"prompts": (300, 3), "messages": (15, 60), "long": (1, 1800)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/measured/scale-speed.json"))
    parser.add_argument("--model", default="auto")
    parser.add_argument("--quick", action="store_true", help="less of each")
    options = parser.parse_args()
    before = provenance()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, (files, length_s) in (QUICK if options.quick else KINDS).items():
            source = Path(folder) / kind
            make_recordings(source, files, length_s)
            for workers in sorted({1, os.cpu_count() or 1}):
                output = Path(folder) / "out"
                row = {"kind": kind, "files": files, "length_s": length_s, "workers": workers}
                rows.append(row | measured(source, output, workers, options.model))
                print(rows[-1], flush=True)
                shutil.rmtree(output)
    result = {"source_rate": SOURCE_RATE, "model": options.model, **before, "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def make_recordings(folder: Path, files: int, length_s: int) -> None:
    folder.mkdir()
    for number in range(files):
        path = folder / f"{number}.wav"
        if length_s % 60 == 0:
            make_recording(path, length_s, SOURCE_RATE)
        else:
            voice = synthetic_voice(SOURCE_RATE, length_s, np.random.default_rng(number))
            write(path, np.clip(voice, -1, 1), SOURCE_RATE)


def measured(source: Path, output: Path, workers: int, model: str) -> dict[str, float]:
    begun = time.monotonic()
    totals = scale(Asked(str(source), str(output), model), workers=workers)
    seconds = time.monotonic() - begun
    if totals.failed or not totals.done:
        raise SystemExit(f"{source}: {totals}")
    return {
        "audio_s": round(totals.audio_s),
        "seconds": round(seconds, 1),
        "cpu_s": round(totals.cpu_s, 1),
        "hours_per_cpu_hour": round(totals.audio_s / totals.cpu_s, 1),
        "hours_per_worker_hour": round(totals.audio_s / seconds / workers, 1),
    }


if __name__ == "__main__":
    main()
