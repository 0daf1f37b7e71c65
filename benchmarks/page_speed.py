"""How fast the page is in a browser: what it loads, when the first sound is there, and how many
times real time models run in WebAssembly.

    python benchmarks/page_speed.py [--out docs/measured/page/speed.json]

Serves the page as `fullband serve` does (threads), and as a host does that sends no headers (one
thread), and opens both in Debian's Chromium without a window. The same models run in this process
with ONNX Runtime beside it. A recording of 30 s at 8 kHz goes through each model twice; the second
time counts, when everything is loaded. Run it on a machine that does nothing else.
Needs fullband[web,dev] and Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.server
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fullband
from fullband.corpora.synthetic import synthetic_voice
from fullband.engine import available_cores
from fullband.evaluate.suite import provenance
from fullband.web.app import create_app
from fullband.web.limits import Limits
from fullband.web.serving import listen, make_server
from fullband.web.site import export_site

MODELS = ("tiny", "live", "speech")
RATE, SECONDS = 8000, 30


class Counted:
    """An application, and how many bytes of bodies it has sent by path."""

    def __init__(self, app: Any) -> None:
        self.app, self.sent = app, dict[str, int]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def count(message: Any) -> None:
            if message["type"] == "http.response.body":
                path = scope["path"]
                self.sent[path] = self.sent.get(path, 0) + len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, count)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, Counted]]:
    """The page with its headers."""
    app, limits = Counted(create_app()), Limits()
    with listen("127.0.0.1", 0) as listener:
        server = make_server(app, limits)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", app
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def hosted() -> Iterator[str]:
    """The page without its headers."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        export_site(site)
        handler = partial(_Quiet, directory=str(site))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
            threading.Thread(target=host.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{host.server_port}/"
            host.shutdown()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Chromium."""
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for argument in ("headless=new", "no-sandbox", "disable-gpu", f"user-data-dir={profile}"):
            options.add_argument(f"--{argument}")
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


def finished(driver: Any) -> dict[str, Any]:
    """What the page says of its newest recording, once that is over."""
    ends_s = time.monotonic() + 600
    while time.monotonic() < ends_s:
        state = driver.execute_script("return document.querySelector('.recording')?.dataset.state")
        if state == "done":
            text = "return document.querySelector('.recording').dataset.figures"
            found: dict[str, Any] = json.loads(driver.execute_script(text))
            return found
        if state == "failed":
            text = "return document.querySelector('.recording .error').textContent"
            raise SystemExit(driver.execute_script(text))
        time.sleep(0.02)
    raise SystemExit("the page does not come to an end")


def ready(driver: Any, address: str) -> None:
    driver.get(address)
    while not driver.execute_script("return document.documentElement.dataset.ready"):
        time.sleep(0.01)


def first_sound(address: str, app: Counted) -> dict[str, Any]:
    """From a page that was never opened to the example's wide version."""
    with browser() as driver:
        driver.get("about:blank")
        app.sent.clear()
        begun = time.monotonic()
        ready(driver, address)
        shown_s = time.monotonic() - begun
        driver.execute_script("document.getElementById('example').click()")
        finished(driver)
        first_s = time.monotonic() - begun
        loaded = dict(app.sent)
        driver.execute_script("document.getElementById('example').click()")
        while driver.execute_script("return document.querySelectorAll('.recording').length") < 2:
            time.sleep(0.01)
        again = finished(driver)
    parts = {
        "page": sum(size for path, size in loaded.items() if "/vendor/" not in path
                    and "/models/" not in path and path != "/example.wav"),
        "runtime and file library": sum(v for k, v in loaded.items() if "/vendor/" in k),
        "model": sum(v for k, v in loaded.items() if "/models/" in k),
    }  # fmt: skip
    return {
        "shown_s": round(shown_s, 2),
        "example_s": round(again["duration"], 2),
        "opened_to_wide_s": round(first_s, 2),
        "dropped_to_wide_s": round(again["seconds"], 2),
        "bytes": parts,
    }


def speeds(address: str, audio: np.ndarray) -> dict[str, Any]:
    """Times real time, and with how many threads."""
    with tempfile.TemporaryDirectory() as folder, browser() as driver:
        path = Path(folder) / "call.wav"
        fullband.write(path, audio, RATE)
        content = base64.b64encode(path.read_bytes()).decode()
        ready(driver, address)
        found: dict[str, Any] = {}
        for model in MODELS:
            for _ in range(2):
                driver.execute_script(DROP, content, model)
                figures = finished(driver)
            found["threads"] = figures["threads"]
            found[model] = round(figures["duration"] / figures["enhancing"], 1)
            print(model, found[model], flush=True)
        return found


DROP = """
const [content, model] = arguments;
document.getElementById("recordings").replaceChildren();
document.getElementById("model").value = model;
const dataTransfer = new DataTransfer();
const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
dataTransfer.items.add(new File([bytes], "call.wav"));
document.getElementById("drop").dispatchEvent(
  new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
"""


def in_python(audio: np.ndarray) -> dict[str, Any]:
    """The same with `fullband.enhance`."""
    found: dict[str, Any] = {"threads": available_cores()}
    for model in MODELS:
        for _ in range(2):
            begun = time.monotonic()
            fullband.enhance(audio, RATE, model=model)
            found[model] = round(SECONDS / (time.monotonic() - begun), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/measured/page/speed.json"))
    options = parser.parse_args()
    audio = synthetic_voice(RATE, SECONDS, np.random.default_rng(0))
    found: dict[str, Any] = {**provenance(), "cores": available_cores()}
    found["python"] = in_python(audio)
    with serving() as (address, app):
        found["start"] = first_sound(address, app)
        print(json.dumps(found["start"]), flush=True)
        found["browser"] = speeds(address, audio)
    with hosted() as address:
        found["browser, one thread"] = speeds(address, audio)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
