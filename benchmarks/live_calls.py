"""Streams in real time: how long a packet takes, how many calls a machine holds, and for how long.

    python benchmarks/live_calls.py [--hour] [--out docs/measured/live/calls.json]

1. One stream: packets of 10 and 20 ms as fast as they go, and the delay by its own count and by an
   impulse that is pushed sample by sample.
2. Calls of 8 kHz to 48 kHz in packets of 20 ms, more and more of them in one batch, until the 99th
   percentile of what a batch takes exceeds a packet; half a packet is what a machine holds. Calls
   join one after the other, a packet apart: what is done every half second falls to each in turn.
3. Past that: calls in real time through the hub: half, as many as are held, twice and six times as
   many, their packets at the same instants; how late their audio is and how much is bypassed.
4. With `--hour`: one stream over an hour of a voice that repeats itself every second, as fast as it
   goes: samples given, memory on the way, and the last second beside one of the first minute.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from fullband.engine import available_cores
from fullband.evaluate.suite import provenance
from fullband.live.loop import Durations
from fullband.streaming import Stream, Streams, stream
from fullband.web.hub import Hub

RATE, PACKET = 8000, 160
PACKETS_A_CELL = 250
COUNTS = (
    1,
    2,
    5,
    10,
    15,
    20,
    25,
    30,
    35,
    40,
    50,
    60,
    70,
    80,
    100,
    120,
    140,
    160,
    180,
    200,
    250,
    300,
)
PACED_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the hour, for a try")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/live/calls.json"))
    options = parser.parse_args()

    found: dict[str, Any] = {**provenance(), "cores": available_cores()}
    found["one"] = [
        one_stream(*pair) for pair in ((8000, 48_000), (16_000, 48_000), (8000, 16_000))
    ]
    print(json.dumps(found["one"]))
    found["calls"] = []
    for count in COUNTS:
        found["calls"].append(together(count))
        print(json.dumps(found["calls"][-1]), flush=True)
        if found["calls"][-1]["work_ms"]["p99"] > 1000 * PACKET / RATE:
            break
    held = [cell["calls"] for cell in found["calls"] if cell["held"]]
    found["held"] = max(held, default=0)
    found["paced"] = [paced(max(1, round(part * found["held"]))) for part in (0.5, 1.0, 2.0, 6.0)]
    print(json.dumps(found["paced"]), flush=True)
    if options.hour:
        found["hour"] = soak(options.minutes)
        print(json.dumps(found["hour"]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def voice(seconds: float, sample_rate: int = RATE) -> np.ndarray:
    """A buzz that comes and goes, with hiss: work for every part of a stream. Shape: `[T]`."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 24))
    hiss = np.random.default_rng(0).standard_normal(len(t))
    wave = 0.1 * buzz * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) + 0.01 * hiss
    return wave.astype(np.float32)


def one_stream(source_rate: int, target_rate: int) -> dict[str, Any]:
    """What a packet takes, and how late its samples come."""
    row: dict[str, Any] = {"source_rate": source_rate, "target_rate": target_rate}
    for packet_ms in (10, 20):
        opened = stream(source_rate=source_rate, target_rate=target_rate)
        audio = voice(6.0, source_rate).reshape(-1, source_rate * packet_ms // 1000)
        work = Durations()
        for number, packet in enumerate(audio):
            begun = time.perf_counter()
            opened(packet)
            if number >= 20:
                work.add(time.perf_counter() - begun)
        row[f"work_ms_{packet_ms}"] = work.summary_ms()
        row[f"times_real_time_{packet_ms}"] = round(packet_ms / work.summary_ms()["p50"], 1)
    row["delay_ms"] = round(1000 * opened.delay_s, 3)
    row["impulse_ms"] = round(impulse_ms(source_rate, target_rate), 3)
    return row


def impulse_ms(source_rate: int, target_rate: int, every: int = 1) -> float:
    """The longest that a sample's result was waited for, of impulses at every place of a hop, or at
    every so many."""
    longest = 0.0
    for offset in range(0, source_rate // 200, every):
        opened = stream(source_rate=source_rate, target_rate=target_rate)
        at = source_rate // 20 + offset
        peak, peak_at, given = 0.0, 0, 0
        for index in range(source_rate // 12):
            for value in opened(np.array([1.0 if index == at else 0.0], np.float32)):
                given += 1
                if abs(value) > peak:
                    peak, peak_at = abs(float(value)), index
        longest = max(longest, (peak_at + 1 - at) / source_rate)
    return 1000 * longest


def together(count: int) -> dict[str, Any]:
    """So many calls, a packet of each in one batch, as fast as it goes."""
    calls = Streams()
    opened: list[Stream] = []
    audio = voice(1.0).reshape(-1, PACKET)
    work = Durations()
    for number in range(count + 25 + PACKETS_A_CELL):
        if number < count:
            opened.append(calls.open(RATE))
        blocks = dict.fromkeys(opened, audio[number % len(audio)])
        begun = time.perf_counter()
        calls.push(blocks)
        if number >= count + 25:
            work.add(time.perf_counter() - begun)
    figures = work.summary_ms()
    return {"calls": count, "work_ms": figures, "held": figures["p99"] < 500 * PACKET / RATE}


def paced(count: int) -> dict[str, Any]:
    """So many calls in real time through the hub: how late, and how much of it bypassed."""
    hub = Hub()
    late, lock = Durations(), threading.Lock()
    sent: dict[int, list[float]] = {number: [] for number in range(count)}
    given = [0] * count
    bypassed = packets = 0

    def deliver_to(number: int) -> Any:
        def deliver(what: Any) -> None:
            if isinstance(what, np.ndarray):
                now = time.perf_counter()
                with lock:
                    before = given[number]
                    given[number] += what.shape[-1]
                    for packet in range(before // 960, given[number] // 960):
                        if packet < len(sent[number]):
                            late.add(now - sent[number][packet])

        return deliver

    calls = [hub.open(deliver_to(number), source_rate=RATE) for number in range(count)]
    audio = voice(1.0).reshape(-1, PACKET)
    begun = time.perf_counter()
    for number in range(round(PACED_S * RATE / PACKET)):
        time.sleep(max(0.0, begun + number * PACKET / RATE - time.perf_counter()))
        for index, call in enumerate(calls[: number + 1]):
            sent[index].append(time.perf_counter())
            hub.put(call, audio[number % len(audio)][None])
            packets += 1
            bypassed += call.bypassed
    hub.close()
    return {
        "calls": count,
        "late_ms": late.summary_ms(),
        "bypassed": round(bypassed / packets, 4),
        "batch_ms": hub.work.summary_ms(),
    }


def soak(minutes: float) -> dict[str, Any]:
    """A stream for so long: whether anything grows or drifts."""
    opened = stream(source_rate=RATE, bandwidth_hz=3800.0)
    second = voice(1.0)
    kept: list[np.ndarray] = []
    memory, given = [], 0
    begun = time.perf_counter()
    seconds = round(60 * minutes)
    for number in range(seconds):
        wide = np.concatenate([opened(packet) for packet in second.reshape(-1, 800)])
        given += len(wide)
        if number in (30, seconds - 1):
            kept.append(wide)
        if number % max(1, seconds // 12) == 0:
            memory.append(resident_mib())
    memory.append(resident_mib())
    took = time.perf_counter() - begun
    given += len(opened.flush())
    return {
        "seconds": seconds,
        "samples_missing": seconds * 48_000 - given,
        "differs": float(np.abs(kept[0] - kept[1]).max()),
        "resident_mib": [round(each, 1) for each in memory],
        "times_real_time": round(seconds / took, 1),
    }


def resident_mib() -> float:
    """Of this process, now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmRSS: this part needs Linux")


if __name__ == "__main__":
    main()
