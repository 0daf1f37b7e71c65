"""Files over HTTP: what comes back is what `enhance_file` makes, limits hold, nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")
pytest.importorskip("prometheus_client", reason="the server needs: pip install 'fullband[web]'")

import fullband
from fullband.audio.file import read, write
from fullband.audio.pcm import encode
from fullband.audio.temporary import hold
from fullband.cli.serve import serve
from fullband.enhancement import Enhancer
from fullband.web.access import Access
from fullband.web.jobs import Jobs
from fullband.web.limits import Limits
from fullband.web.metrics import Metrics
from hostile.trial import case
from served import ask, eventually, figure, form, send, serving
from signals import tone, voice

RATE = 8000
PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def port():
    with serving(jobs=2) as (port, _):
        yield port


@pytest.fixture(scope="module")
def call(tmp_path_factory) -> Path:
    """Half a second of a voice, as WAV."""
    path = tmp_path_factory.mktemp("call") / "call.wav"
    write(path, voice(0.5, RATE), RATE)
    return path


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A folder of its own for what a server keeps."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


class Held(Enhancer):
    """Enhances nothing before it may, but asks all the time whether it is to go on."""

    begun: threading.Semaphore
    may_end: threading.Event
    stopped: list[str]

    def file(self, source, target, progress, **options):
        self.begun.release()
        try:
            while not self.may_end.is_set():
                progress(0.05)
                time.sleep(0.01)
        except Exception as error:
            self.stopped.append(str(error))
            raise
        return super().file(source, target, progress=progress, **options)


@pytest.fixture
def held(monkeypatch):
    Held.begun, Held.may_end, Held.stopped = threading.Semaphore(0), threading.Event(), []
    monkeypatch.setattr("fullband.web.jobs.Enhancer", Held)
    yield Held
    Held.may_end.set()


def in_thread(what, *arguments, **options) -> tuple[threading.Thread, list]:
    found: list = []
    thread = threading.Thread(target=lambda: found.append(what(*arguments, **options)))
    thread.start()
    return thread, found


def begin(port: int, body: bytes, query: str = "") -> str:
    """A job; its id."""
    answer = send(port, body, f"wait=false&{query}")
    assert answer.status == 202
    return answer.json()["id"]


def expected(call: Path, folder: Path, ending: str, model: str = "sinc", **options) -> bytes:
    fullband.enhance_file(call, folder / f"wide.{ending}", model=model, **options)
    return (folder / f"wide.{ending}").read_bytes()


# What comes back


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("model=auto", {"model": "auto"}),
        ("model=sinc&rate=24000&format=flac", {"rate": 24_000}),
        ("model=auto&detail=0.5&bandwidth_hz=3000", {"model": "auto", "detail": 0.5}),
        ("model=sinc&format=mp3", {}),
    ],
)
def test_the_answer_is_what_enhance_file_makes(port, call, tmp_path, query, options):
    ending = query.partition("format=")[2] or "wav"
    if "bandwidth" in query:
        options = {**options, "bandwidth_hz": 3000}
    path = f"/v1/enhance?{query}&filename=call.wav"
    answer = ask(port, "POST", path, call.read_bytes(), content_type="audio/wav")
    assert answer.status == 200, answer.body
    assert answer.body == expected(call, tmp_path, ending, **options)
    assert answer.headers["content-disposition"] == f'attachment; filename="call-wide.{ending}"'
    assert answer.headers["fullband-model"] in ("speech", "sinc")


@pytest.mark.parametrize(("ending", "media"), [("ogg", "audio/ogg"), ("opus", "audio/ogg")])
def test_ogg_is_written_too(port, call, tmp_path, ending, media):
    answer = send(port, call.read_bytes(), f"format={ending}&rate=48000")
    assert (answer.status, answer.headers["content-type"]) == (200, media)
    (tmp_path / f"a.{ending}").write_bytes(answer.body)
    audio, rate = read(tmp_path / f"a.{ending}")
    assert (audio.shape, rate) == ((24_000,), 48_000)


def test_a_form_is_taken_as_the_body_itself_is(port, call, tmp_path):
    body, kind = form(call.read_bytes(), "folder/b\u00e4r.wav")
    answer = ask(port, "POST", "/v1/enhance?model=sinc", body, content_type=kind)
    assert answer.body == expected(call, tmp_path, "wav")
    assert answer.headers["content-disposition"].endswith("b%C3%A4r-wide.wav")


def test_a_form_may_come_cut_anywhere(port, call, tmp_path):
    body, kind = form(call.read_bytes())
    parts = [body[:7], body[7:100], *(body[i : i + 1] for i in range(100, 300)), body[300:-5]]
    answer = ask(
        port, "POST", "/v1/enhance?model=sinc", iter([*parts, body[-5:]]), content_type=kind
    )
    assert answer.body == expected(call, tmp_path, "wav")


def test_samples_without_a_header_by_their_media_type(port, tmp_path):
    audio = voice(0.5, RATE)
    content = encode(audio[None], "mulaw")
    answer = send(port, content, content_type="audio/PCMU; rate=8000")
    (tmp_path / "call.ul").write_bytes(content)
    assert answer.body == expected(tmp_path / "call.ul", tmp_path, "wav", raw="mulaw:8000")
    answer = send(port, content, content_type="audio/PCMU;rate=1")
    assert (answer.status, answer.error[:10]) == (422, "call.wav: ")


def test_a_job_can_be_followed_fetched_in_parts_and_deleted(port, call, tmp_path):
    answer = send(port, call.read_bytes(), prefer="respond-async")
    assert answer.status == 202
    place = answer.headers["location"]
    job_id = answer.json()["id"]
    assert place == f"/v1/jobs/{job_id}"
    assert len(job_id) > 20
    events = ask(port, "GET", f"{place}/events").body.decode().strip().split("\n\n")
    assert events[-1].startswith("event: done\n")
    last = json.loads(events[-1].partition("data: ")[2])
    assert last == ask(port, "GET", place).json()
    assert (last["state"], last["progress"], last["file"]) == ("done", 1.0, "call.wav")
    whole = ask(port, "GET", f"{place}/audio")
    assert whole.body == expected(call, tmp_path, "wav")
    assert last["result"]["bytes"] == len(whole.body)
    head = ask(port, "HEAD", f"{place}/audio")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))
    tag = head.headers["etag"]
    part = ask(port, "GET", f"{place}/audio", range="bytes=100-", if_range=tag)
    assert (part.status, part.body) == (206, whole.body[100:])
    other = ask(port, "GET", f"{place}/audio", range="bytes=100-", if_range='"else"')
    assert (other.status, other.body) == (200, whole.body)
    beyond = ask(port, "GET", f"{place}/audio", range="bytes=99999999-")
    assert (beyond.status, "no such range" in beyond.error) == (416, True)
    assert ask(port, "DELETE", place).status == 204
    for path in (place, f"{place}/audio", f"{place}/events"):
        answer = ask(port, "GET", path)
        assert (answer.status, "no such job" in answer.error) == (404, True)


def test_events_tell_the_progress_of_what_waits_and_runs(call, held):
    with serving(jobs=1) as (port, _):
        first = begin(port, call.read_bytes())
        held.begun.acquire(timeout=5)
        job_id = begin(port, call.read_bytes())
        thread, found = in_thread(ask, port, "GET", f"/v1/jobs/{job_id}/events")
        early = ask(port, "GET", f"/v1/jobs/{first}/audio")
        assert (early.status, "not been done yet" in early.error) == (409, True)
        eventually(lambda: figure(port, "fullband_jobs_waiting") == 1)
        held.may_end.set()
        thread.join(10)
    lines = found[0].body.decode().splitlines()
    names = [line[7:] for line in lines if line.startswith("event: ")]
    assert names[0] == "queued"
    assert set(names[1:-1]) == {"progress"}
    assert names[-1] == "done"
    told = [json.loads(line[6:])["progress"] for line in lines if line.startswith("data: ")]
    assert told == sorted(told)


def test_what_failed_says_so_as_an_event_and_where_the_audio_would_be(port):
    job_id = begin(port, b"no audio at all")
    events = ask(port, "GET", f"/v1/jobs/{job_id}/events").body.decode()
    assert "event: failed\n" in events
    status = ask(port, "GET", f"/v1/jobs/{job_id}").json()
    assert status["error"].startswith("call.wav: is not audio that can be read")
    answer = ask(port, "GET", f"/v1/jobs/{job_id}/audio")
    assert (answer.status, answer.error) == (422, status["error"])


def test_jobs_are_forgotten_after_a_while(call, temporary):
    with serving(keep_s=0.3) as (port, _):
        job_id = begin(port, call.read_bytes())
        eventually(lambda: ask(port, "GET", f"/v1/jobs/{job_id}").status == 404)
        (folder,) = temporary.iterdir()
        eventually(lambda: [path.name for path in folder.iterdir()] == ["in-use"])
        assert figure(port, "fullband_disk_bytes") == 0


def test_what_had_to_be_limited_is_said(port, tmp_path):
    write(tmp_path / "loud.wav", tone(440, 0.5, RATE, amplitude=1.5), RATE, "FLOAT")
    answer = send(port, (tmp_path / "loud.wav").read_bytes(), "format=flac")
    assert "samples beyond full scale were limited" in answer.headers["fullband-notes"]


def test_models_are_those_of_the_cards(port):
    names = [model["name"] for model in ask(port, "GET", "/v1/models").json()]
    assert names[0] == "auto"
    assert {"speech", "music", "live", "sinc", "spline"} <= set(names)


# What is refused


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("model=/etc/passwd", "model: is one of auto, "),
        ("model=mine.onnx", "model: is one of auto, "),
        ("volume=3", "unknown parameter 'volume'"),
        ("rate=1", "rate: Input should be greater than or equal to 2000, not '1'"),
        ("detail=nan", "detail: "),
        ("detail=loud", "detail: "),
        ("bandwidth_hz=inf", "bandwidth_hz: "),
        ("format=exe", "format: "),
        ("rate=44100&format=opus", "call-wide.opus: OGG cannot hold 44100 Hz; rate one of 8000"),
        ("bandwidth_hz=4001", "call.wav: bandwidth 4001 Hz is outside 400 Hz to half the"),
    ],
)
def test_parameters_that_cannot_be_are_told(port, call, query, line):
    path = f"/v1/enhance?filename=call.wav&{query}"
    answer = ask(port, "POST", path, call.read_bytes(), content_type="audio/wav")
    assert answer.status == 422
    assert answer.error.startswith(line)


@pytest.mark.parametrize(
    ("body", "kind", "status", "line"),
    [
        (b"", "audio/wav", 400, "call.wav: is empty; send the audio"),
        (b"{}", "application/json", 415, "call.wav: 'application/json' is not audio; send it"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "call.wav: 'application/x-www"),
        (b"x" * 100, "audio/wav", 422, "call.wav: is not audio that can be read"),
        (b"", "multipart/form-data", 400, "upload: is not a whole multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400, "upload: is not a whole"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "upload: the form has no field"),
        (b"nonsense" * 99, "multipart/form-data; boundary=x", 400, "upload: is not a whole"),
        (*form(b"x", field="audio"), 422, "upload: the form has a field 'audio'; one file"),
        (*form(b"", "a.wav"), 400, "a.wav: is empty"),
        (*form(b"hello", "a.txt", kind="text/plain"), 415, "a.txt: 'text/plain' is not audio"),
        (*form(b"x", "../../e\x1b[2J.wav"), 422, "e\\x1b[2J.wav: is not audio that can be read"),
    ],
    ids=range(12),
)
def test_bodies_that_are_no_audio_are_told(port, body, kind, status, line):
    answer = send(port, body, content_type=kind)
    assert (answer.status, answer.error[: len(line)]) == (status, line)


def test_a_second_file_in_a_form_is_told(port):
    body, kind = form(b"x")
    boundary = kind.partition("=")[2].encode()
    twice = body.replace(b"--" + boundary + b"--", b"") + body
    answer = send(port, twice, content_type=kind)
    assert (answer.status, "a second field 'file'" in answer.error) == (422, True)


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_body_is_refused_as_it_comes(announced, temporary):
    with serving(upload_bytes=1 << 16) as (port, _):
        body = bytes(1 << 17)
        with contextlib.suppress(ConnectionError):  # it may be closed on who goes on sending
            answer = send(port, body if announced else iter([body[:50_000], body[50_000:]]))
            assert (answer.status, "larger than the 0.0625 MiB" in answer.error) == (413, True)
        assert figure(port, "fullband_disk_bytes") == 0


def test_limits_of_time_length_and_size_are_told(call, tmp_path):
    write(tmp_path / "long.wav", tone(440, 3.0, RATE), RATE)
    content = (tmp_path / "long.wav").read_bytes()
    with serving(audio_s=2.0) as (port, _):
        answer = send(port, content)
        assert (answer.status, "longer than the 2 s" in answer.error) == (422, True)
        assert str(tempfile.gettempdir()) not in answer.error
    with serving(result_bytes=50_000) as (port, _):
        answer = send(port, content, "rate=48000")
        assert (answer.status, "the result is larger" in answer.error) == (413, True)
    with serving(work_s=1e-6) as (port, _):
        answer = send(port, content)
        assert (answer.status, "took longer than" in answer.error) == (503, True)
    with serving(disk_bytes=10_000) as (port, _):
        answer = send(port, content)
        assert (answer.status, "disk is full" in answer.error) == (503, True)
        assert int(answer.headers["retry-after"]) >= 1


def test_a_body_that_does_not_come_is_not_waited_for(temporary):
    with serving(idle_s=0.2) as (port, _), socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(
            b"POST /v1/enhance HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n"
            b"Content-Type: audio/wav\r\n\r\nRIFF"
        )
        line.settimeout(10)
        said = b""
        while b"did not come in time" not in said:
            said += line.recv(4096)
        assert said.startswith(b"HTTP/1.1 408 ")
        eventually(lambda: len(list(next(temporary.iterdir()).iterdir())) == 1)


def test_who_finds_no_room_is_told_when_to_come_again(call, held, temporary):
    with serving(jobs=1, waiting_jobs=1) as (port, _):
        waiting = [in_thread(send, port, call.read_bytes()) for _ in range(2)]
        eventually(lambda: figure(port, "fullband_jobs_running") == 1)
        eventually(lambda: figure(port, "fullband_jobs_waiting") == 1)
        assert not ask(port, "GET", "/v1/health").json()["has_room"]
        answer = send(port, call.read_bytes())
        assert (answer.status, "too many files wait" in answer.error) == (429, True)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        held.may_end.set()
        for thread, found in waiting:
            thread.join(10)
            assert found[0].status == 200
        assert send(port, call.read_bytes()).status == 200
        assert figure(port, 'fullband_jobs_total{outcome="refused"}') == 1


def test_no_more_results_are_kept_than_there_is_room_for(call):
    with serving(stored_jobs=1) as (port, _):
        job_id = begin(port, call.read_bytes())
        eventually(lambda: figure(port, "fullband_jobs_stored") == 1)
        answer = send(port, call.read_bytes())
        assert (answer.status, "wait to be fetched" in answer.error) == (429, True)
        ask(port, "DELETE", f"/v1/jobs/{job_id}")
        assert send(port, call.read_bytes()).status == 200


# Who leaves, and what is left


def test_work_ends_when_its_client_leaves(call, held, temporary):
    content = call.read_bytes()
    with serving(jobs=1) as (port, _):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(
                b"POST /v1/enhance?model=sinc HTTP/1.1\r\nHost: a\r\nContent-Type: audio/wav\r\n"
                + f"Content-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            assert held.begun.acquire(timeout=10)
        eventually(lambda: held.stopped)
        assert held.stopped == ["upload: was cancelled"]
        eventually(lambda: figure(port, "fullband_disk_bytes") == 0)
        (folder,) = temporary.iterdir()
        eventually(lambda: [path.name for path in folder.iterdir()] == ["in-use"])
        assert figure(port, 'fullband_jobs_total{outcome="cancelled"}') == 1


def test_real_work_ends_when_it_is_cancelled(tmp_path):
    write(tmp_path / "long.wav", voice(120.0, RATE), RATE)
    with serving(jobs=1) as (port, _):
        path = "/v1/enhance?model=speech&wait=false"
        content = (tmp_path / "long.wav").read_bytes()
        place = ask(port, "POST", path, content, content_type="audio/wav").headers["location"]
        eventually(lambda: ask(port, "GET", place).json()["progress"] > 0)
        assert ask(port, "DELETE", place).status == 204
        eventually(lambda: figure(port, "fullband_jobs_running") == 0)
        assert figure(port, 'fullband_jobs_total{outcome="cancelled"}') == 1


def test_what_waits_is_cancelled_too(call, held):
    with serving(jobs=1, grace_s=0.1) as (port, _):
        begin(port, call.read_bytes())
        job_id = begin(port, call.read_bytes())
        assert ask(port, "DELETE", f"/v1/jobs/{job_id}").status == 204
        assert figure(port, "fullband_jobs_waiting") == 0


def test_who_does_not_read_is_not_waited_for(temporary, tmp_path):
    write(tmp_path / "call.wav", tone(440, 10.0, RATE), RATE)
    content = (tmp_path / "call.wav").read_bytes()
    with serving(idle_s=0.3) as (port, _), socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", port))
        line.sendall(
            b"POST /v1/enhance?model=sinc&rate=768000 HTTP/1.1\r\nHost: a\r\n"
            + f"Content-Type: audio/wav\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        eventually(lambda: figure(port, 'fullband_jobs_total{outcome="done"}') == 1)
        eventually(lambda: figure(port, "fullband_disk_bytes") == 0)
        line.settimeout(10)
        came = 0
        while part := line.recv(1 << 16):
            came += len(part)
        assert 0 < came < 2 * 768_000 * 10  # and its header says that this is not all


def test_a_server_that_ends_finishes_what_runs_and_leaves_nothing(call, held, temporary):
    with serving(jobs=1, grace_s=5) as (port, server):
        running = in_thread(send, port, call.read_bytes())
        held.begun.acquire(timeout=5)
        waiting = in_thread(send, port, call.read_bytes())
        eventually(lambda: figure(port, "fullband_jobs_waiting") == 1)
        server.should_exit = True
        waiting[0].join(10)
        assert (waiting[1][0].status, "server ends" in waiting[1][0].error) == (503, True)
        held.may_end.set()
        running[0].join(10)
        assert running[1][0].status == 200
    assert list(temporary.iterdir()) == []


def test_a_server_that_ends_does_not_wait_for_ever(call, held, temporary):
    with serving(jobs=1, grace_s=0.2) as (port, server):
        running = in_thread(send, port, call.read_bytes())
        kept = begin(port, call.read_bytes())
        events = in_thread(ask, port, "GET", f"/v1/jobs/{kept}/events")
        held.begun.acquire(timeout=5)
        eventually(lambda: figure(port, "fullband_jobs_waiting") == 1)
        server.should_exit = True
        running[0].join(10)
        assert (running[1][0].status, "server ends" in running[1][0].error) == (503, True)
        events[0].join(10)
        assert b"event: failed" in events[1][0].body
    assert list(temporary.iterdir()) == []


def test_a_server_that_ends_does_not_wait_for_what_does_not_come(temporary):
    with serving() as (port, server), socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(
            b"POST /v1/enhance HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n"
            b"Content-Type: audio/wav\r\n\r\nRIFF"
        )
        eventually(lambda: figure(port, "fullband_jobs_waiting") == 1)
        server.should_exit = True
        line.settimeout(5)
        assert line.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no such locks and signals")
def test_what_a_killed_server_left_is_removed_and_nothing_else(temporary):
    import asyncio

    for name in ("fullband-serve-killed", "fullband-serve-runs", "fullband-serve-young"):
        (temporary / name / "job").mkdir(parents=True)
        (temporary / name / "in-use").touch()
        os.utime(temporary / name, (0, 0))
    os.utime(temporary / "fullband-serve-young")
    held = hold(temporary / "fullband-serve-runs" / "in-use")

    async def begin_and_end() -> None:
        jobs = Jobs(Limits(), Metrics())
        await jobs.close()
        jobs.remove_files()

    asyncio.run(begin_and_end())
    left = sorted(path.name for path in temporary.iterdir())
    assert left == ["fullband-serve-runs", "fullband-serve-young"]
    held.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_uploads_and_a_signal_leaves_nothing(temporary, call):
    command = [sys.executable, "-m", "fullband.cli", "serve", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        port = int(process.stderr.readline().split(";")[0].rsplit(":", 1)[1])
        eventually(lambda: is_up(port))
        begin(port, call.read_bytes())
        before = figure(port, "process_resident_memory_bytes")
        answer = send(port, iter([bytes(1 << 20)] * 150))
        assert answer.status == 422
        grown = peak_bytes(process.pid) - before
        assert grown < 60 << 20
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stderr.close()
    assert list(temporary.glob("fullband*")) == []


def is_up(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port, "GET", "/v1/health").status == 200
    return False


def peak_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


# Hostile files


def test_broken_files_are_read_or_refused_in_one_line(port):
    def refused_well(number: int) -> bool:
        seed, content = case(number, seed=0)
        name = f"case{seed.suffix}"
        path = f"/v1/enhance?model=sinc&filename={name}"
        answer = ask(port, "POST", path, content, content_type="audio/x-unknown")
        if answer.status == 200:
            assert answer.body[:4] == b"RIFF"
            return False
        assert answer.status in (400, 415, 422), answer.body
        assert answer.error.startswith((f"{name}: ", "case-wide.wav: "))
        assert tempfile.gettempdir() not in answer.error
        return True

    with ThreadPoolExecutor(3) as threads:
        refused = list(threads.map(refused_well, range(0, 1000, 83)))
    assert any(refused)
    assert not all(refused)
    eventually(lambda: figure(port, "fullband_jobs_running") == 0)


# Who may


def test_a_token_is_needed_where_there_is_one(call):
    with serving(Access(token="secret")) as (port, _):
        for path in (
            "/v1/models",
            "/v1/jobs/x",
            "/v1/jobs/x/audio",
            "/metrics",
            "/v1/models?token=x",
        ):
            answer = ask(port, "GET", path)
            assert (answer.status, "Authorization: Bearer" in answer.error) == (401, True)
            assert answer.headers["www-authenticate"] == "Bearer"
        assert send(port, call.read_bytes()).status == 401
        assert send(port, call.read_bytes(), authorization="Bearer guess").status == 401
        assert send(port, call.read_bytes(), authorization="Bearer secret").status == 200
        assert send(port, call.read_bytes(), "token=secret").status == 200
        assert ask(port, "GET", "/v1/health").status == 200


def test_other_sites_pages_may_not_ask_unless_they_are_allowed(port):
    elsewhere = "https://elsewhere.example"
    answer = ask(port, "GET", "/v1/models", origin=elsewhere)
    assert (answer.status, "--allow-origin" in answer.error) == (403, True)
    assert ask(port, "GET", "/v1/models", origin=f"http://127.0.0.1:{port}").status == 200
    with serving(Access(origins=(elsewhere,))) as (other, _):
        answer = ask(other, "GET", "/v1/models", origin=elsewhere)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == elsewhere


# What is counted


def test_figures_count_what_was_done(call):
    with serving() as (port, _):
        assert send(port, call.read_bytes()).status == 200
        assert send(port, b"no audio").status == 422
        assert ask(port, "BREW", "/coffee").status == 404
        assert figure(port, 'fullband_jobs_total{outcome="done"}') == 1
        assert figure(port, 'fullband_jobs_total{outcome="failed"}') == 1
        assert figure(port, "fullband_audio_seconds_total") == 0.5
        assert figure(port, "fullband_upload_bytes_total") == len(call.read_bytes()) + 8
        assert figure(port, "fullband_work_seconds_count") == 1
        counted = 'fullband_requests_total{path="/v1/enhance",status="200"}'
        assert figure(port, counted) == 1
        assert figure(port, 'fullband_requests_total{path="other",status="404"}') == 1
        answer = ask(port, "GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_unknown_places_are_refused_in_json(port):
    answer = ask(port, "GET", "/v1/nothing")
    assert (answer.status, "there is no such thing here" in answer.error) == (404, True)
    answer = ask(port, "GET", "/v1/enhance")
    assert (answer.status, "cannot be done here" in answer.error) == (405, True)


def test_a_fault_of_the_servers_own_is_one_line_too(port, call, monkeypatch, caplog):
    def fail(*arguments, **options):
        raise RuntimeError("a secret")

    monkeypatch.setattr("fullband.web.jobs.Enhancer", fail)
    answer = send(port, call.read_bytes())
    assert (answer.status, answer.error) == (
        500,
        "call.wav: the server failed; its log says more",
    )
    assert "a secret" in caplog.text


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs apt-get install curl")
def test_what_the_document_says_runs(tmp_path):
    text = (PROJECT / "docs" / "server.md").read_text(encoding="utf-8")
    lines = [line[4:] for line in text.splitlines() if line.startswith(("    curl", "    JOB="))]
    assert len(lines) == 9
    (tmp_path / "demo").symlink_to(PROJECT / "demo")
    with serving() as (port, _):
        script = "\n".join(["set -e", *lines]).replace("8080", str(port))
        command = ["bash", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "event: done" in done.stdout
    assert (tmp_path / "wide.flac").read_bytes()[:4] == b"fLaC"
    assert len((tmp_path / "beginning").read_bytes()) == 1000


def test_every_limit_of_the_command_is_documented():
    text = (PROJECT / "docs" / "server.md").read_text(encoding="utf-8")
    for option in serve.params:
        if option.name not in ("port", "model"):
            assert f"`{option.opts[0]}`" in text, option.name


def test_the_commands_defaults_are_those_of_the_limits():
    limits, options = vars(Limits()), {each.name: each.default for each in serve.params}
    for name, value in limits.items():
        if name in ("message_bytes", "waiting_s", "grace_s", "upload_s", "calls", "jobs"):
            continue
        if name == "max_lag_s":
            assert options["max_lag_ms"] == 1000 * value
        elif name.endswith("_bytes"):
            assert options[name.replace("_bytes", "_mib")] << 20 == value
        else:
            assert options[name] == value
