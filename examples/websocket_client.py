"""A call to `fullband serve`: a recording is sent as it would be spoken, and comes back wide.

    fullband serve &
    python examples/websocket_client.py CALL.wav WIDE.wav [ws://127.0.0.1:8080]

Sends 20 ms at a time in real time, and prints how long each took to come back. Needs
fullband[web], whose package websockets is also the client.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import fullband


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    audio, rate = fullband.read(sys.argv[1])
    server = sys.argv[3] if len(sys.argv) == 4 else "ws://127.0.0.1:8080"
    mono = np.atleast_2d(audio).mean(axis=0).astype("<f4")
    packet = rate // 50
    sent_s: list[float] = []
    came_s: list[float] = []
    samples = b""

    with connect(f"{server}/v1/live?source_rate={rate}&in=f32le&out=f32le") as line:
        line.recv()  # what was opened

        def speak() -> None:
            for start in range(0, len(mono), packet):
                time.sleep(max(0.0, begun_s + start / rate - time.perf_counter()))
                sent_s.append(time.perf_counter())
                line.send(mono[start : start + packet].tobytes())
            line.send(json.dumps({"end": True}))

        begun_s = time.perf_counter()
        threading.Thread(target=speak, daemon=True).start()
        try:
            while True:
                message = line.recv()
                if isinstance(message, bytes):
                    samples += message
                    # A packet is back once as much came as was sent up to its end.
                    while (len(came_s) + 1) * packet / rate <= len(samples) / 4 / 48_000:
                        came_s.append(time.perf_counter())
                elif "error" in json.loads(message):
                    sys.exit(json.loads(message)["error"])
        except ConnectionClosed:
            pass

    wide = np.frombuffer(samples, "<f4")
    fullband.write(Path(sys.argv[2]), wide, 48_000)
    waited_ms = 1000 * (np.array(came_s) - np.array(sent_s[: len(came_s)]))
    print(
        f"{len(wide) / 48_000:.2f} s came back; a packet was back after {np.median(waited_ms):.1f} "
        f"ms at the median, {np.quantile(waited_ms, 0.99):.1f} ms at the 99th percentile"
    )


if __name__ == "__main__":
    main()
