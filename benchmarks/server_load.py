"""Many files at once for a server: whether any is lost, how long each takes, and its memory.

    python benchmarks/server_load.py [--uploads 50] [--seconds 60]
        [--out docs/measured/server/load.json]

`fullband serve` runs as a process with its defaults. This one sends it so many recordings at once,
the telephone announcement of demo/ over and over, and asks again where it is told to come later
(429, Retry-After). An answer counts if it is a whole file of the right length; all have to be the
same, since their inputs are. A time is from a client's first question until it has the file. Peak
memory is the server's own, without the processes that decode, before the first file and at the end.

Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from fullband.audio.file import read, write
from fullband.engine import available_cores
from fullband.evaluate.suite import provenance

DEMO = Path(__file__).resolve().parent.parent / "demo" / "telephone-8khz.wav"
TARGET_RATE = 48_000
PATIENCE_S = 1800.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("docs/measured/server/load.json"))
    options = parser.parse_args()
    found = load(options.uploads, options.seconds)
    print(json.dumps(found))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def load(uploads: int, seconds: float) -> dict[str, Any]:
    """What came of so many recordings, of so many seconds each, sent at the same time."""
    body = recording(seconds)
    with server() as (port, process), ThreadPoolExecutor(uploads) as clients:
        before = peak_mib(process)
        begun = time.perf_counter()
        answers = list(clients.map(lambda number: sent(port, body, number), range(uploads)))
        took = time.perf_counter() - begun
        peak = peak_mib(process)
    frames = round(seconds * TARGET_RATE)
    whole = [answer for answer in answers if answer["frames"] == frames]
    times = [answer["seconds"] for answer in whole]
    return {
        **provenance(),
        "cores": available_cores(),
        "uploads": uploads,
        "audio_s": seconds,
        "lost": uploads - len(whole),
        "different": max(0, len({answer["digest"] for answer in whole}) - 1),
        "asked_again": sum(answer["asked_again"] for answer in answers),
        "p50_s": round(float(np.percentile(times, 50)), 2),
        "p95_s": round(float(np.percentile(times, 95)), 2),
        "seconds": round(took, 2),
        "times_real_time": round(len(whole) * seconds / took, 1),
        "before_mib": round(before, 1),
        "peak_mib": round(peak, 1),
    }


def recording(seconds: float) -> bytes:
    """The announcement over and over, as a WAV file of 8 kHz."""
    audio, sample_rate = read(DEMO)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.wav"
        write(path, np.resize(audio, round(seconds * sample_rate)), sample_rate)
        return path.read_bytes()


@contextlib.contextmanager
def server() -> Iterator[tuple[int, int]]:
    """A server with its defaults: its port and its process's number."""
    command = [sys.executable, "-m", "fullband.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().split(";")[0].rsplit(":", 1)[1])
            while ask(port, "GET", "/v1/health")[0] != 200:
                time.sleep(0.05)
            yield port, process.pid
        finally:
            process.terminate()


def sent(port: int, body: bytes, number: int) -> dict[str, Any]:
    """One client: how long it took, how often it asked again, and what it got."""
    pause = random.Random(number)
    begun = time.perf_counter()
    asked_again = frames = 0
    answer = b""
    while time.perf_counter() - begun < PATIENCE_S:
        status, headers, answer = ask(port, "POST", "/v1/enhance", body)
        if status == 200:
            frames = soundfile.info(io.BytesIO(answer)).frames
            break
        if status not in (0, 429):
            print(f"{status}: {answer[:200]!r}", file=sys.stderr)
            break
        asked_again += 1
        time.sleep(float(headers.get("retry-after", 1)) * pause.uniform(1.0, 1.2))
    return {
        "seconds": time.perf_counter() - begun,
        "asked_again": asked_again,
        "frames": frames,
        "digest": hashlib.sha256(answer).hexdigest(),
    }


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer; status 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"Content-Type": "audio/wav"})
        found = connection.getresponse()
        return found.status, found.headers, found.read()
    except (OSError, http.client.HTTPException):
        return 0, {}, b""
    finally:
        connection.close()


def peak_mib(process: int) -> float:
    """The most memory that a process has had."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("no VmHWM: this needs Linux")


if __name__ == "__main__":
    main()
