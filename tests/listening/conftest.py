"""Folders of audio to make tests out of, and a test as a server has it."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from fullband.audio.file import write
from fullband.listening.making import make_session
from signals import low_passed, noise

RATE = 16_000
LENGTH_S = 0.6
SYSTEMS = ("clear", "matt")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """References of noise, one in a folder below, and what two systems of a kind made of them."""
    root = tmp_path_factory.mktemp("audio")
    for seed, name in enumerate(("oboe", "below/flute")):
        wide = noise(LENGTH_S, RATE, seed)
        for system, cutoff_hz in (("reference", 8000), ("clear", 6000), ("matt", 5000)):
            write(root / system / f"{name}.wav", low_passed(wide, RATE, cutoff_hz), RATE)
    return {name: root / name for name in ("reference", *SYSTEMS)}


@pytest.fixture
def made(folders, tmp_path):
    """Makes a session out of these folders; its folder."""

    def make(kind: str, **settings) -> Path:
        folder = tmp_path / kind
        systems = {name: folders[name] for name in SYSTEMS}
        make_session(folder, kind, folders["reference"], systems, **{"seed": 1, **settings})
        return folder

    return make


@pytest.fixture
def serving():
    """Serves a session's folder in a thread; its address."""
    pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")
    from fullband.listening.server import create_app
    from fullband.web.limits import Limits
    from fullband.web.serving import listen, make_server

    @contextlib.contextmanager
    def serve(folder: Path, access=None):
        with listen("127.0.0.1", 0) as listener:
            server = make_server(create_app(folder, access), Limits(grace_s=0.5))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            while not server.started:
                time.sleep(0.01)
                assert thread.is_alive()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join(20)
                assert not thread.is_alive()

    return serve
