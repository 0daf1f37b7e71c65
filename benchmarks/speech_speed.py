"""How fast the speech model is, beside sinc resampling alone in the same run.

    python benchmarks/speech_speed.py [--model speech] [--out docs/measured/speech/speed.json]

A 60 s recording at 16 kHz, mono and stereo, goes from file to file at 48 kHz:

- speed: in one process that has the model open, sinc and the model taking turns; each one's median
  of five counts;
- the graph alone: 60 s of noise at 48 kHz through it in the blocks of a stream, without reading,
  listening, resampling, filtering and writing;
- peak memory: of a `fullband enhance` process of its own;
- cold start: from starting `fullband enhance IN -o -` on ten seconds of mono to the first sample on
  its standard output, the median of five processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from enhance_speed import enhance, make_recording, provenance

import fullband
from fullband.audio.bandwidth import Segment
from fullband.audio.file import BLOCK_SAMPLES
from fullband.engine import open_model

LENGTH_S, SHORT_S, SOURCE_RATE, TARGET_RATE, TURNS = 60, 10, 16_000, 48_000, 5
_WAV_HEADER = 128  # bytes: at least as many as any header of ours has


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="speech")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/speech/speed.json"))
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    about = {"source_rate": SOURCE_RATE, "target_rate": TARGET_RATE, **provenance()}
    models = list(dict.fromkeys(("sinc", options.model)))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for channels in (1, 2):
            source = Path(folder) / f"{channels}.wav"
            make_recording(source, LENGTH_S, SOURCE_RATE, channels)
            seconds = in_turns(source, models, options.turns)
            for model in models:
                _, memory = enhance(source, model, "--rate", str(TARGET_RATE))
                rows.append(
                    {
                        "model": model,
                        "length_s": LENGTH_S,
                        "channels": channels,
                        "seconds": round(seconds[model], 3),
                        "times_real_time": round(LENGTH_S / seconds[model], 1),
                        "times_slower_than_sinc": round(seconds[model] / seconds["sinc"], 2),
                        "graph_times_real_time": graph_alone(model, channels, options.turns),
                        "peak_mib": round(memory),
                    }
                )
                print(rows[-1], flush=True)
        audio, rate = fullband.read(Path(folder) / "1.wav")
        short = Path(folder) / "short.wav"
        fullband.write(short, audio[..., : SHORT_S * rate], rate)
        starts = [cold_start(short, options.model) for _ in range(options.turns)]
    result = {**about, "cold_start_s": round(statistics.median(starts), 2)}
    result["rows"] = rows
    print(f"cold start {result['cold_start_s']} s")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


def in_turns(source: Path, models: list[str], turns: int) -> dict[str, float]:
    """The median seconds of each model from file to file in this process, already open."""
    enhancers = {name: fullband.load(name) for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    target = source.with_name("wide.wav")
    for _ in range(turns):
        for name, enhancer in enhancers.items():
            begun = time.perf_counter()
            enhancer.file(source, target, TARGET_RATE, force=True)
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def graph_alone(model: str, channels: int, turns: int) -> float | None:
    """Times real time of a model that is told the bandwidth, with nothing around it."""
    opened = open_model(model)
    if opened.bandwidth_range_hz is None:
        return None
    generator = np.random.default_rng(0)
    shape = (channels, LENGTH_S * TARGET_RATE)
    audio = 0.1 * generator.standard_normal(shape, np.float32)
    seconds = []
    for _ in range(turns):
        stage = opened.stage(channels, [Segment(0, 0.95 * SOURCE_RATE / 2)])
        assert stage is not None
        begun = time.perf_counter()
        for start in range(0, audio.shape[-1], BLOCK_SAMPLES):
            stage.push(audio[:, start : start + BLOCK_SAMPLES])
        stage.flush()
        seconds.append(time.perf_counter() - begun)
    return round(LENGTH_S / statistics.median(seconds), 1)


def cold_start(source: Path, model: str) -> float:
    """Seconds from starting the command to the first sample of its output."""
    command = [sys.executable, "-m", "fullband.cli", "enhance", str(source), "-o", "-"]
    command += ["--model", model, "--rate", str(TARGET_RATE), "--quiet"]
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.read(_WAV_HEADER)
        seconds = time.monotonic() - begun
        process.stdout.read()
    if process.returncode or len(first) < _WAV_HEADER:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds


if __name__ == "__main__":
    main()
