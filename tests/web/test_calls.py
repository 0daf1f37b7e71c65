"""Calls over WebSockets: each gets its own audio, limits hold, and the server ends well."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")
pytest.importorskip("websockets", reason="the server needs: pip install 'fullband[web]'")

from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from fullband.audio.pcm import PcmDecoder, encode
from fullband.cli import main
from fullband.errors import SettingsError
from fullband.streaming import stream
from fullband.web.access import Access
from fullband.web.serving import listen
from served import serving
from signals import voice

RATE = 8000


@pytest.fixture(scope="module")
def port():
    with serving() as (port, _):
        yield port


def call(port: int, query: str = "source_rate=8000&in=f32le&out=f32le", **settings):
    return connect(f"ws://127.0.0.1:{port}/v1/live?{query}", max_size=None, **settings)


def rest_of(line) -> tuple[bytes, list[dict], int]:
    """What still comes until the line is closed: samples, texts, and the code."""
    samples, texts = b"", []
    while True:
        try:
            message = line.recv(timeout=20)
        except ConnectionClosed as closed:
            return samples, texts, closed.rcvd.code if closed.rcvd else 1006
        if isinstance(message, bytes):
            samples += message
        else:
            texts.append(json.loads(message))


def expected_of(audio: np.ndarray, **settings) -> np.ndarray:
    opened = stream(source_rate=RATE, **settings)
    return np.concatenate([opened(audio), opened.flush()])


def test_a_call_is_answered_with_what_the_stream_makes_of_it(port):
    audio = voice(1.0, RATE)
    data = encode(audio[None], "f32le")
    with call(port) as line:
        opened = json.loads(line.recv())["opened"]
        assert opened["target_rate"] == 48_000
        assert opened["delay_ms"] == 15.0
        start, generator = 0, np.random.default_rng(2)
        while start < len(data):  # cut anywhere, also within a sample
            length = int(generator.integers(1, 2000))
            line.send(data[start : start + length])
            start += length
        line.send(json.dumps({"end": True}))
        samples, texts, code = rest_of(line)
    found = PcmDecoder("f32le").push(samples)[0]
    np.testing.assert_allclose(found, expected_of(audio), atol=5e-6)
    assert texts[-1] == {"ended": {"audio_s": 1.0}}
    assert code == 1000


def test_many_calls_at_once_get_each_their_own(port):
    voices = [voice(0.6, RATE, seed=seed) for seed in range(8)]
    found: list[np.ndarray | None] = [None] * len(voices)

    def talk(index: int) -> None:
        with call(port) as line:
            for packet in voices[index].reshape(-1, 160):
                line.send(encode(packet[None], "f32le"))
            line.send(json.dumps({"end": True}))
            found[index] = PcmDecoder("f32le").push(rest_of(line)[0])[0]

    threads = [threading.Thread(target=talk, args=(index,)) for index in range(len(voices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one, audio in zip(found, voices, strict=True):
        np.testing.assert_allclose(one, expected_of(audio), atol=5e-6)


def test_what_is_made_comes_while_the_call_goes_on(port):
    with call(port, "in=mulaw&out=s16le&target_rate=16000") as line:
        assert json.loads(line.recv())["opened"]["source_rate"] == 8000
        line.send(encode(voice(0.2, RATE)[None], "mulaw"))
        assert isinstance(line.recv(timeout=10), bytes)


def test_orders_change_the_stream_and_statistics_come_when_asked(port):
    audio = voice(0.5, RATE)
    with call(port, "source_rate=8000&in=f32le&out=f32le&bandwidth_hz=3800") as line:
        line.recv()
        line.send(json.dumps({"bypass": True, "statistics": True}))
        assert json.loads(line.recv(timeout=10))["statistics"]["bandwidth_hz"] == 3800
        line.send(encode(audio[None], "f32le"))
        line.send(json.dumps({"end": True}))
        found = PcmDecoder("f32le").push(rest_of(line)[0])[0]
    np.testing.assert_allclose(found, expected_of(audio, bypass=True), atol=5e-6)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("no JSON", 1007, "JSON object"),
        ("[1]", 1007, "JSON object"),
        ("[" * 100_000, 1007, "JSON object"),
        ('{"volume": 1}', 1007, "unknown order 'volume'"),
        ('{"detail": 7}', 1007, "detail must be"),
        ('{"bypass": "yes"}', 1007, "bypass must be"),
        (np.array([np.nan], "<f4").tobytes(), 1007, "no samples"),
    ],
)
def test_what_is_wrong_ends_this_call_with_words_and_no_other(port, message, code, reason):
    with call(port) as other, call(port) as line:
        line.recv()
        line.send(message)
        _, texts, found = rest_of(line)
        assert found == code
        assert reason in texts[-1]["error"]
        other.send(encode(np.zeros((1, 800), np.float32), "f32le"))
        other.send(json.dumps({"end": True}))
        assert rest_of(other)[2] == 1000


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "give the source_rate"),
        ("source_rate=fast", "has to be a number"),
        ("source_rate=500", "source rate must be"),
        ("source_rate=8000&in=mp3", "unknown sample coding 'mp3'"),
        ("source_rate=8000&out=mp3", "unknown sample coding 'mp3'"),
        ("source_rate=8000&volume=3", "unknown parameter 'volume'"),
        ("source_rate=8000&detail=nan", "detail must be"),
    ],
)
def test_parameters_that_cannot_be_are_told(port, query, reason):
    with call(port, query) as line:
        _, texts, code = rest_of(line)
    assert code == 1008
    assert reason in texts[0]["error"]


def test_too_long_a_message_is_refused(port):
    with call(port) as line:
        line.recv()
        line.send(bytes((1 << 18) + 4))
        assert rest_of(line)[2] == 1009


def test_no_more_calls_than_there_is_room_for():
    with serving(calls=1) as (port, _), call(port) as first:
        first.recv()
        with call(port) as second:
            _, texts, code = rest_of(second)
        assert code == 1013
        assert "no room" in texts[0]["error"]
        first.send(json.dumps({"end": True}))
        assert rest_of(first)[2] == 1000
        with call(port) as third:
            assert "opened" in json.loads(third.recv())


def test_silent_and_endless_calls_are_ended():
    with serving(idle_s=0.3, duration_s=1.0) as (port, _):
        with call(port) as line:
            _, texts, code = rest_of(line)
            assert code == 1008
            assert "nothing was heard" in texts[-1]["error"]
        with call(port) as line:
            for _ in range(3):
                line.send(encode(np.zeros((1, 4000), np.float32), "f32le"))
            _, texts, code = rest_of(line)
            assert code == 1008
            assert "as long as a call may" in texts[-1]["error"]


def test_a_client_that_does_not_read_does_not_fill_the_memory():
    """What it sends waits in its own socket once two seconds of audio wait with us."""
    with serving(waiting_s=0.5) as (port, server):
        silent = socket.create_connection(("127.0.0.1", port))
        silent.sendall(
            f"GET /v1/live?source_rate=8000&in=f32le&out=f32le HTTP/1.1\r\nHost: 127.0.0.1:{port}"
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        frame = bytes([0x82, 0xFE, 0x7D, 0x00, 0, 0, 0, 0]) + bytes(32_000)  # one second
        silent.settimeout(3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                silent.sendall(frame)
                sent += 1
        assert sent < 1000
        lines = server.config.app.state.lines
        assert lines.taken == 1
        with call(port) as line:  # and others are heard as before
            line.send(encode(np.zeros((1, 800), np.float32), "f32le"))
            line.send(json.dumps({"end": True}))
            assert rest_of(line)[2] == 1000
        silent.close()


def test_a_token_is_needed_where_there_is_one():
    with serving(Access(token="secret")) as (port, _):
        for query in ("source_rate=8000", "source_rate=8000&token=guess"):
            with pytest.raises(InvalidStatus) as refused, call(port, query):
                pass
            assert refused.value.response.status_code == 403
        with call(port, "source_rate=8000&token=secret") as line:
            assert "opened" in json.loads(line.recv())
        headers = {"Authorization": "Bearer secret"}
        with call(port, "source_rate=8000", additional_headers=headers) as line:
            assert "opened" in json.loads(line.recv())


def test_other_sites_pages_may_not_call_unless_they_are_allowed(port):
    with pytest.raises(InvalidStatus), call(port, origin="https://elsewhere.example"):
        pass
    with call(port, origin=f"http://127.0.0.1:{port}") as line:
        assert "opened" in json.loads(line.recv())
    allowed = Access(origins=("https://elsewhere.example",))
    with serving(allowed) as (other, _), call(other, origin="https://elsewhere.example") as line:
        assert "opened" in json.loads(line.recv())


def test_who_listens_for_others_needs_a_token():
    with pytest.raises(SettingsError, match=r"give a --token"):
        Access.at("0.0.0.0", None)
    assert Access.at("0.0.0.0", "x").token == "x"
    assert Access.at("::1", None).token is None
    result = CliRunner().invoke(main, ["serve", "--host", "0.0.0.0", "--port", "0"])
    assert result.exit_code == 1
    assert "give a --token" in result.output


def test_a_port_that_is_taken_is_said_in_a_line():
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "--port", str(port)])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}: cannot listen there" in result.output


def test_health_says_what_runs(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health") as answer:
        found = json.load(answer)
    assert found["status"] == "ok"
    assert found["live"] == "live"


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_asked_to_end_the_server_gives_the_rest_of_open_calls_first():
    command = [sys.executable, "-m", "fullband.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        place = process.stderr.readline()
        port = int(place.split(";")[0].rsplit(":", 1)[1])
        audio = voice(0.5, RATE)
        for _ in range(200):
            with contextlib.suppress(OSError):
                line = call(port)
                break
            time.sleep(0.05)
        with line:
            line.recv()
            line.send(encode(audio[None], "f32le"))
            assert isinstance(line.recv(timeout=10), bytes)
            process.send_signal(signal.SIGTERM)
            _, texts, code = rest_of(line)
        assert code == 1001
        assert texts[-1] == {"ended": {"audio_s": 0.5}}
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stderr.close()
