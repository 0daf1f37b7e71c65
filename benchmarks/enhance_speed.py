"""How fast `fullband enhance` is and how much memory it takes, whole process included.

    python benchmarks/enhance_speed.py [--out docs/measured/speed.json] [--quick]

Makes a 60 s, a 10 min and a 1 h recording of a synthetic voice at 4 kHz, enhances each in a process
of its own with every model, and reports times real time (the ratio to `sinc`, which only resamples,
stands beside it: absolute times depend on the machine and its load) and the process's peak memory.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fullband.audio.file import AudioWriter
from fullband.card import cards
from fullband.corpora.synthetic import synthetic_voice

SOURCE_RATE = 4_000
LENGTHS_S = (60, 600, 3600)


_TELLING = """
import pathlib, resource, sys
from fullband.cli import main
try:
    main()
finally:
    try:
        status = pathlib.Path("/proc/self/status").read_text()
        print(status.partition("VmHWM:")[2].split()[0])
    except OSError:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
"""`fullband`, and the most memory it had, in KiB, as its last line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/measured/speed.json"))
    parser.add_argument("--quick", action="store_true", help="60 s only, one run each")
    options = parser.parse_args()
    models = ["sinc", "spline", *(card.name for card in cards())]
    lengths = LENGTHS_S[:1] if options.quick else LENGTHS_S
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for length in lengths:
            source = Path(folder) / f"{length}.wav"
            make_recording(source, length)
            runs = 1 if options.quick or length > 60 else 3
            for model in models:
                measured = [enhance(source, model) for _ in range(runs)]
                seconds = sorted(seconds for seconds, _ in measured)[len(measured) // 2]
                rows.append(
                    {
                        "model": model,
                        "length_s": length,
                        "seconds": round(seconds, 2),
                        "times_real_time": round(length / seconds, 1),
                        "peak_mib": round(max(memory for _, memory in measured)),
                    }
                )
                print(rows[-1], flush=True)
            source.unlink()
    baseline = {row["length_s"]: row["seconds"] for row in rows if row["model"] == "sinc"}
    for row in rows:
        row["times_slower_than_sinc"] = round(row["seconds"] / baseline[row["length_s"]], 2)
    result = {"source_rate": SOURCE_RATE, "target_rate": 16_000, **provenance(), "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def make_recording(
    path: Path, length_s: int, sample_rate: int = SOURCE_RATE, channels: int = 1
) -> None:
    """A synthetic voice, minute by minute and channel by channel a little different."""
    with AudioWriter(path, sample_rate, channels) as writer:
        for minute in range(length_s // 60):
            voices = [
                synthetic_voice(sample_rate, 60.0, np.random.default_rng([minute, *more]))
                for more in [(), (1,), (2,)][:channels]
            ]
            writer.write(np.clip(np.stack(voices), -1, 1))


def enhance(source: Path, model: str, *options: str) -> tuple[float, float]:
    """Seconds and peak memory in MiB of one `fullband enhance` process.

    It says its peak itself: what the kernel says of a child includes its parent's.
    """
    target = source.with_name("out.wav")
    command = [sys.executable, "-c", _TELLING, "enhance", str(source), "-o", str(target)]
    command += ["--model", model, "--force", "--quiet", *options]
    begun = time.monotonic()
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    target.unlink()
    return seconds, float(process.stdout) / 1024


def provenance() -> dict[str, str | int | float]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "load_before": round(os.getloadavg()[0], 2),
        "commit": commit,
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    main()
