"""A telephone call on loopback: sent over RTP, received, widened as it comes, and recorded.

    python examples/telephone_call.py CALL.wav WIDE.wav [--law alaw] [--loss 0.05]

    ffmpeg --RTP, G.711 at 8 kHz--> (relay that loses packets) --> ffmpeg | fullband live | ffmpeg

The first ffmpeg sends in real time, the second is the receiving telephone: it puts packets in
order, decodes, and leaves silence where one was lost. Needs ffmpeg (apt-get install ffmpeg).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fullband

PAYLOADS = {"mulaw": (0, "PCMU"), "alaw": (8, "PCMA")}  # RFC 3551, table 4
JITTER_MS = 40  # that the receiver waits for packets out of order
LONGEST_S = 600  # of a call
QUIET = ("-hide_banner", "-loglevel", "error", "-nostdin")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("call", type=Path)
    parser.add_argument("wide", type=Path)
    parser.add_argument("--law", choices=PAYLOADS, default="mulaw")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("this needs ffmpeg: apt-get install ffmpeg")
    if not options.call.is_file():
        sys.exit(f"{options.call}: no such file")

    report, sent, lost = place_call(options.call, options.wide, options.law, options.loss)
    print(f"{sent} packets sent, {lost} lost; {report['audio_s']:.2f} s received")
    work = report["work_ms"]
    print(
        f"{report['delay_ms']:.1f} ms behind by its filters and frames, a block of 20 ms took "
        f"{work['p50']:.1f} ms at the median, {work['p99']:.1f} ms at the 99th percentile"
    )
    for name in (options.call, options.wide):
        found = fullband.inspect_file(name)
        print(
            f"{name}: {found.file.sample_rate} Hz, content to {found.analysis.bandwidth_hz:.0f} Hz"
        )


def place_call(call: Path, wide: Path, law: str, loss: float) -> tuple[dict, int, int]:
    """One call; what `fullband live` reports, packets that were sent, and how many were lost."""
    payload, name = PAYLOADS[law]
    with contextlib.ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        relay = ending.enter_context(Relay(loss))
        (folder / "call.sdp").write_text(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=call\nc=IN IP4 127.0.0.1\nt=0 0\n"
            f"m=audio {relay.to_port} RTP/AVP {payload}\na=rtpmap:{payload} {name}/8000\n"
        )
        receiver = ending.enter_context(
            started(
                *("ffmpeg", *QUIET, "-loglevel", "fatal"),
                *("-protocol_whitelist", "file,udp,rtp"),
                *("-fflags", "nobuffer", "-max_delay", str(1000 * JITTER_MS)),
                *(
                    "-i",
                    str(folder / "call.sdp"),
                    "-af",
                    "aresample=async=1",
                    "-flush_packets",
                    "1",
                ),
                *("-f", law, "-ar", "8000", "pipe:1"),
                stdout=subprocess.PIPE,
            )
        )
        live = ending.enter_context(
            started(
                *(sys.executable, "-m", "fullband.cli", "live", "--format", law, "--realtime"),
                *("--report", str(folder / "report.json")),
                stdin=receiver.stdout,
                stdout=subprocess.PIPE,
            )
        )
        recorder = ending.enter_context(
            started(
                *("ffmpeg", *QUIET, "-y", "-f", "s16le", "-ar", "48000", "-ac", "1"),
                *("-i", "pipe:0", str(wide)),
                stdin=live.stdout,
            )
        )
        for stage in (receiver, live):
            stage.stdout.close()  # it is the next one's now
        until_bound(relay.to_port)
        until_loaded(live)
        with started(
            *("ffmpeg", *QUIET, "-re", "-i", str(call), "-ar", "8000", "-ac", "1"),
            *("-c:a", f"pcm_{law}", "-f", "rtp", f"rtp://127.0.0.1:{relay.from_port}?pkt_size=172"),
            stdout=subprocess.DEVNULL,
        ) as sender:
            sender.wait(timeout=LONGEST_S)
        time.sleep(0.5)  # for what is on its way
        receiver.send_signal(signal.SIGINT)
        for stage in (receiver, live, recorder):
            stage.wait(timeout=30)
        if live.returncode or recorder.returncode or sender.returncode:
            sys.exit("the call failed")
        report = json.loads((folder / "report.json").read_text())
        return report, relay.sent, relay.lost


class Relay:
    """Hands packets from one port to another, and loses some of them."""

    def __init__(self, loss: float) -> None:
        self._loss = loss
        self._chance = random.Random(1)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.from_port = self._socket.getsockname()[1]
        self.to_port = free_even_port()
        self.sent = self.lost = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            self.sent += 1
            if self._chance.random() < self._loss:
                self.lost += 1
            else:
                self._socket.sendto(packet, ("127.0.0.1", self.to_port))


@contextlib.contextmanager
def started(*command: str, **pipes) -> Iterator[subprocess.Popen]:
    """A process that does not outlive us."""
    process = subprocess.Popen(command, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_even_port() -> int:
    """Even, and the next one free, too: RTP and its RTCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
            contextlib.suppress(OSError),
        ):
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            second.bind(("127.0.0.1", port + 1))
            if port % 2 == 0:
                return port


def until_bound(port: int) -> None:
    """Wait until somebody listens at a UDP port."""
    for _ in range(200):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            return
        time.sleep(0.05)
    sys.exit("the receiver does not listen")


def until_loaded(process: subprocess.Popen) -> None:
    """Give a process the time to load its model; a call would wait in the pipe meanwhile."""
    time.sleep(2.0)
    if process.poll() is not None:
        sys.exit("fullband live did not start")


if __name__ == "__main__":
    main()
