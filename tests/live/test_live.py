"""Real time: percentiles, what waits and what is lost, overload, pipes, a virtual sound card."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from click.testing import CliRunner

from fullband.audio.pcm import PcmDecoder, encode
from fullband.cli import main
from fullband.errors import AudioError, DependencyError
from fullband.live import devices as live_devices
from fullband.live.loop import Durations, Inbox, Overload, run, run_pipe
from fullband.streaming import stream
from signals import voice

RATE = 8000


def test_percentiles_are_right_to_within_a_percent():
    durations = Durations()
    for milliseconds in range(1, 1001):
        durations.add(milliseconds / 1000)
    found = durations.summary_ms()
    assert found["p50"] == pytest.approx(500, rel=0.02)
    assert found["p95"] == pytest.approx(950, rel=0.02)
    assert found["p99"] == pytest.approx(990, rel=0.02)
    assert found["longest"] == 1000
    assert math.isnan(Durations().quantile_s(0.5))
    assert Durations().summary_ms() == {}


def test_an_inbox_gives_in_order_what_was_put_and_then_says_so():
    inbox = Inbox(RATE)
    for number in range(5):
        assert inbox.put(np.full((1, 100), number, np.float32))
    inbox.close()
    first, _ = inbox.take(250)
    assert first[0].tolist() == [0.0] * 100 + [1.0] * 100
    second, _ = inbox.take(10)  # the oldest comes whole, however long
    assert second.shape == (1, 100)
    third, _ = inbox.take(10_000)
    assert third[0].tolist() == [3.0] * 100 + [4.0] * 100
    assert inbox.take(1) is None
    assert not inbox.put(np.zeros((1, 1), np.float32))


def test_a_pipe_waits_where_a_device_loses_and_counts():
    device = Inbox(RATE, waits=False)
    for _ in range(5):
        device.put(np.zeros((1, RATE), np.float32))  # a second each, two may wait
    assert device.lost == 2 * RATE
    pipe = Inbox(RATE)
    done = threading.Event()

    def put() -> None:
        for _ in range(5):
            pipe.put(np.zeros((1, RATE), np.float32))
        done.set()

    threading.Thread(target=put, daemon=True).start()
    assert not done.wait(0.2)
    taken = 0
    while taken < 5 * RATE:
        block, _ = pipe.take(1)
        taken += block.shape[-1]
    assert done.wait(5)
    assert pipe.lost == 0


def test_what_went_wrong_while_reading_is_raised_where_it_is_taken():
    inbox = Inbox(RATE)
    inbox.put(np.zeros((1, 10), np.float32))
    inbox.close(AudioError("broken"))
    assert inbox.take(10) is not None
    with pytest.raises(AudioError, match="broken"):
        inbox.take(10)


def test_overload_begins_at_once_and_ends_after_two_calm_seconds():
    overload = Overload(0.1)
    course = [(0.05, 0.0), (0.2, 1.0), (0.01, 1.1), (0.01, 2.9), (0.08, 3.0), (0.01, 3.2)]
    assert [overload.judge(lag, now) for lag, now in course] == [
        False,
        True,
        True,
        True,
        True,
        True,
    ]
    assert overload.judge(0.01, 5.1)
    assert not overload.judge(0.01, 5.3)
    assert overload.count == 1


class Slow:
    """A stream whose network takes a while, unless it is bypassed."""

    source_rate, target_rate, delay_s = RATE, RATE, 0.0

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.bypass = False
        self.taken = 0
        self.course: list[bool] = []

    def __call__(self, block):
        self.taken += block.shape[-1]
        self.course.append(self.bypass)
        if not self.bypass:
            time.sleep(self._seconds)
        return block

    def flush(self):
        return np.zeros((1, 0), np.float32)


def test_a_stream_that_is_too_slow_is_bypassed_and_nothing_is_lost():
    """Blocks of 20 ms that take 200: within half a second it is bypassed, and keeps up."""
    inbox, given, said = Inbox(RATE, waits=False), [], []
    slow = Slow(0.2)
    packets = [np.full((1, 160), number, np.float32) for number in range(100)]

    def play() -> None:
        begun = time.monotonic()
        for number, packet in enumerate(packets):
            time.sleep(max(0.0, begun + 0.02 * number - time.monotonic()))
            inbox.put(packet)
        inbox.close()

    threading.Thread(target=play, daemon=True).start()
    report = run(slow, inbox, given.append, max_lag_s=0.1, say=said.append)
    assert np.array_equal(np.concatenate(given, axis=-1), np.concatenate(packets, axis=-1))
    assert slow.course[0] is False
    assert slow.course[-1] is True
    assert report.overloads >= 1
    assert report.bypassed_s > 1.0
    assert said[0].startswith("cannot keep up")
    assert report.lost == 0
    assert report.xruns >= 1


def test_asked_for_it_is_bypassed_without_being_counted():
    inbox, switch = Inbox(RATE), threading.Event()
    switch.set()
    slow = Slow(0.0)
    inbox.put(np.zeros((1, 800), np.float32))
    inbox.close()
    report = run(slow, inbox, lambda audio: None, max_lag_s=0.1, bypass=switch)
    assert slow.course == [True]
    assert report.bypassed_s == 0
    assert report.overloads == 0


def test_through_pipes_as_directly(tmp_path):
    data = encode(voice(1.0, RATE)[None], "mulaw")
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    with source.open("rb") as reading, target.open("wb") as writing:
        report = run_pipe(
            stream(source_rate=RATE),
            "mulaw",
            "f32le",
            source=reading.fileno(),
            target=writing.fileno(),
        )
    opened = stream(source_rate=RATE)
    audio = PcmDecoder("mulaw").push(data)
    expected = np.concatenate([opened(audio), opened.flush()], axis=-1)
    found = PcmDecoder("f32le").push(target.read_bytes())
    np.testing.assert_allclose(found, expected, atol=5e-6)
    assert report.audio_s == 1.0
    assert report.blocks >= 10
    assert report.delay_ms == 15.0


def started(*arguments: str, **settings) -> subprocess.Popen:
    command = [sys.executable, "-m", "fullband.cli", "live", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **(pipes | settings))


def test_the_command_widens_standard_input_and_reports(tmp_path):
    data = encode(voice(1.0, RATE)[None], "alaw")
    report = tmp_path / "report.json"
    process = started("--format", "alaw", "--target-rate", "16000", "--report", str(report))
    out, errors = process.communicate(data, timeout=60)
    assert process.returncode == 0, errors
    assert len(out) == 2 * 16_000
    assert b"1.00 s of 8000 -> 16000 Hz" in errors
    found = json.loads(report.read_text())
    assert found["delay_ms"] == 18.0
    assert found["overloads"] == 0


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal")
def test_what_comes_is_given_at_once_and_a_signal_switches_the_bypass():
    process = started("--source-rate", "8000", "--out-format", "f32le", "--bypass")
    assert process.stdin is not None
    assert process.stdout is not None
    packet = encode(voice(0.02, RATE)[None], "s16le")
    try:
        for _ in range(5):
            process.stdin.write(packet)
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 1 << 16)  # before the input has ended
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        _, errors = process.communicate(packet, timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert b"bypass off" in errors


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "s16le"], "give --source-rate"),
        (["--source-rate", "96000"], "source rate must be 4000 to 48000 Hz"),
        (["--source-rate", "8000", "--model", "speech"], "does not run frame by frame"),
        (["--source-rate", "8000", "--bandwidth", "-3"], "bandwidth must be"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, reason):
    result = CliRunner().invoke(main, ["live", *arguments])
    assert result.exit_code != 0
    assert reason in result.output
    assert "Traceback" not in result.output


def test_floats_that_are_none_end_it_with_a_line():
    process = started("--source-rate", "8000", "--format", "f32le")
    _, errors = process.communicate(np.full(800, np.nan, "<f4").tobytes(), timeout=60)
    assert process.returncode == 1
    assert errors.decode().strip().splitlines()[-1].startswith("Error: floats that are no samples")


class VirtualCard(types.ModuleType):
    """Stands in for sounddevice: a microphone that plays samples in real time, and a speaker that
    keeps what it is given. After the last sample of the microphone it is as if Ctrl-C was hit."""

    class PortAudioError(Exception):
        pass

    def __init__(self, played: np.ndarray) -> None:
        super().__init__("sounddevice")
        self.played = played
        self.heard: list[np.ndarray] = []
        card = self

        class Device:
            def __init__(self, samplerate, blocksize, device, callback, **_):
                if device == "nowhere":
                    raise card.PortAudioError("No input device matching 'nowhere'\nand more")
                self.seconds = blocksize / samplerate
                self.blocksize, self.callback = blocksize, callback
                self.stop = threading.Event()

            def __enter__(self):
                self.thread = threading.Thread(target=self.play, daemon=True)
                self.thread.start()

            def __exit__(self, *_):
                self.stop.set()
                self.thread.join()

            def play(self):
                begun, number = time.monotonic(), 0
                while not self.stop.is_set():
                    number += 1
                    time.sleep(max(0.0, begun + number * self.seconds - time.monotonic()))
                    self.block(number)

        class InputStream(Device):
            def block(self, number):
                block = card.played[(number - 1) * self.blocksize : number * self.blocksize]
                if len(block):
                    self.callback(block[:, None], len(block), None, None)
                else:
                    self.stop.set()
                    signal.raise_signal(signal.SIGINT)

        class OutputStream(Device):
            def block(self, number):
                block = np.empty((self.blocksize, 1), np.float32)
                self.callback(block, self.blocksize, None, None)
                card.heard.append(block[:, 0])

        self.InputStream, self.OutputStream = InputStream, OutputStream

    def query_devices(self):
        return "0 a microphone\n1 a speaker"


@pytest.fixture
def ctrl_c():
    """That is heard, also where these tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_from_a_microphone_to_a_speaker(monkeypatch):
    played = voice(1.5, 16_000)
    card = VirtualCard(played)
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    opened = stream(source_rate=16_000)
    report = live_devices.run_devices(opened, None, None, 0.02, 0.5)
    heard = np.concatenate(card.heard)
    other = stream(source_rate=16_000)
    expected = np.concatenate([other(played), other.flush()])
    # Two blocks of silence and the stream's delay come first; whatever was late is counted.
    first = 2 * 960 + round(opened.delay_s * 48_000)
    assert np.abs(heard[:first]).max() == 0
    if not report.xruns:
        common = min(len(expected), len(heard) - first) - 4800
        np.testing.assert_allclose(heard[first : first + common], expected[:common], atol=5e-6)
    assert report.audio_s == pytest.approx(1.5, abs=0.03)
    assert report.lost == 0


def test_without_a_device_a_package_or_its_library_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", VirtualCard(np.zeros(10, np.float32)))
    assert "a microphone" in live_devices.describe_devices()
    with pytest.raises(AudioError, match=r"no sound device: No input device.*--list-devices"):
        live_devices.run_devices(stream(source_rate=8000), "nowhere", None, 0.02, 0.1)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DependencyError, match=r"pip install 'fullband\[live\]'"):
        live_devices.describe_devices()


def test_a_buffer_counts_what_is_missing_and_what_does_not_fit():
    buffer = live_devices.Buffer(1, ahead=3, most=10)
    buffer.give(np.arange(1, 6, dtype=np.float32)[None])
    assert buffer.take(4)[0].tolist() == [0, 0, 0, 1]
    assert buffer.take(6)[0].tolist() == [2, 3, 4, 5, 0, 0]
    assert buffer.missing == 2
    buffer.give(np.ones((1, 12), np.float32))
    assert buffer.dropped == 2
