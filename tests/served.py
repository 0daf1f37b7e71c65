"""A server in a thread, and questions to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from fullband.web.access import Access
from fullband.web.app import create_app
from fullband.web.limits import Limits
from fullband.web.serving import listen, make_server


@contextlib.contextmanager
def serving(access: Access | None = None, **limits: Any):
    """A server in a thread; its port, and the server."""
    settings = Limits(**limits)
    with listen("127.0.0.1", 0) as listener:
        server = make_server(create_app(access, settings), settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
            assert thread.is_alive()
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@dataclass(frozen=True)
class Answer:
    """What a server says."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one line of a refusal."""
        assert self.headers["content-type"] == "application/json", self.body
        found = self.json()
        assert list(found) == ["error"]
        assert found["error"].isprintable()
        return found["error"]


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request on a connection of its own.

    Args:
        headers: with `_` for `-`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, told)
        found = connection.getresponse()
        return Answer(found.status, found.headers, found.read())
    finally:
        connection.close()


def send(port: int, body: Any, query: str = "", **headers: str) -> Answer:
    """A file to be enhanced, as the body itself."""
    headers = {"content_type": "audio/wav", **headers}
    return ask(port, "POST", f"/v1/enhance?model=sinc&filename=call.wav&{query}", body, **headers)


def form(
    content: bytes, filename: str = "call.wav", field: str = "file", kind: str = "audio/wav"
) -> tuple[bytes, str]:
    """A file as a form: the body and its content type."""
    boundary = "a-line-between-parts"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def figure(port: int, name: str) -> float:
    """One of the server's metrics."""
    for line in ask(port, "GET", "/metrics").body.decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    return 0.0


def eventually(what: Any, within_s: float = 10.0) -> None:
    """Wait for something to become true."""
    ends_s = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends_s, "it did not come to be"
        time.sleep(0.02)
