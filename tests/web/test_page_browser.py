"""The page in a real browser: what it makes of files, how it sounds, what it refuses.

Needs Debian's chromium and chromium-driver; nothing is downloaded. The microphone is Chromium's own
stand-in, which beeps.
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server needs: pip install 'fullband[web]'")

import fullband
from chromium import NEEDED, broken_rules, open_chromium, resize
from fullband.audio.resample import resample
from fullband.enhancement import analyse
from fullband.web.site import export_site
from served import serving
from signals import noise, voice

pytestmark = [NEEDED, pytest.mark.slow]

TINY = "tiny"  # a few seconds of it are done in one
HIGH_DB = """
const bins = new Float32Array(analyser.frequencyBinCount);
analyser.getFloatFrequencyData(bins);
const width = analyser.context.sampleRate / analyser.fftSize;
return Math.max(-200, ...bins.slice(6000 / width, 16000 / width));
"""
AXE_PASSES = 15


class Page:
    """The page, and what a person would do with it."""

    def __init__(self, driver, address, downloads):
        self.driver, self.address, self.downloads = driver, address, downloads
        self.open()

    def open(self):
        self.driver.get_log("browser")
        self.driver.get(self.address)
        self.wait(lambda: self.run("return document.documentElement.dataset.ready"), "no models")

    def complaints(self):
        """What the console says, but for Chromium's own word that there is no graphics card."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return [message for message in said if "No available adapters" not in message]

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def at(self, selector, number=0):
        return self.driver.find_elements("css selector", selector)[number]

    def wait(self, condition, message, seconds=60.0):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, message
            time.sleep(0.05)
        return found

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        actions = ActionChains(self.driver, duration=0)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def choose(self, model=TINY, detail=100):
        self.run(
            """
            const [model, detail] = arguments;
            document.getElementById("model").value = model;
            document.getElementById("detail").value = detail;
            document.getElementById("detail").dispatchEvent(new Event("input"));
            """,
            model,
            detail,
        )

    def drop(self, *paths):
        """As from a file manager."""
        files = [
            [Path(path).name, base64.b64encode(Path(path).read_bytes()).decode()] for path in paths
        ]
        self.run(
            """
            const dataTransfer = new DataTransfer();
            for (const [name, content] of arguments[0]) {
              const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
              dataTransfer.items.add(new File([bytes], name));
            }
            document.getElementById("drop").dispatchEvent(
              new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            """,
            files,
        )

    def states(self):
        return self.run(
            "return [...document.querySelectorAll('.recording')].map((e) => e.dataset.state)"
        )

    def finish(self, count=1):
        """Wait until so many recordings are there and over; the newest is the first."""
        self.wait(
            lambda: len(self.states()) >= count and "working" not in self.states(), "it goes on"
        )
        return self.states()

    def text(self, selector, number=0):
        return self.at(selector, number).get_attribute("textContent")

    def save(self, form):
        """What is downloaded of the newest recording."""
        for path in self.downloads.iterdir():
            path.unlink()
        self.run("document.querySelector('.format').value = arguments[0]", form)
        self.at(".save").click()

        def there():
            found = [*self.downloads.iterdir()]
            return found[0] if len(found) == 1 and found[0].suffix != ".crdownload" else None

        return self.wait(there, "nothing is saved")

    def size(self, width, height, scheme="light"):
        resize(self.driver, width, height, scheme)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = open_chromium(
        tmp_path_factory.mktemp("chromium"),
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
    )
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def downloads(driver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    settings = {"behavior": "allow", "downloadPath": str(folder)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", settings)
    return folder


@pytest.fixture(scope="module")
def port():
    with serving(audio_s=60.0) as (port, _):
        yield port


@pytest.fixture
def page(driver, downloads, port):
    """The page, 1280 pixels wide, whose console stays silent."""
    page = Page(driver, f"http://127.0.0.1:{port}/", downloads)
    page.size(1280, 900)
    yield page
    assert page.complaints() == []


@pytest.fixture(scope="module")
def telephone(tmp_path_factory):
    """Three seconds of a voice at 8 kHz."""
    path = tmp_path_factory.mktemp("in") / "a call.wav"
    fullband.write(path, voice(3.0, 8000), 8000)
    return path


def test_a_dropped_file_becomes_what_python_makes_of_it(page, telephone):
    page.choose()
    page.drop(telephone)
    assert page.finish() == ["done"]
    assert page.text(".end span") == "content ends at 4.0 kHz"
    saved = page.save("wav-float")
    assert saved.name == "a call-wide.wav"
    wide, rate = fullband.read(saved)
    narrow, _ = fullband.read(telephone)
    expected, _ = fullband.enhance(narrow, 8000, model=TINY)
    assert rate == 48_000
    assert wide.shape == expected.shape
    assert np.abs(wide - expected).max() < 1e-3
    above = np.abs(np.fft.rfft(wide))[5000 * 3 :]
    assert np.sum(above**2) > 1e-4 * np.sum(np.abs(np.fft.rfft(wide)) ** 2)  # something is new


def test_stereo_in_flac_and_out_in_all_formats(page, tmp_path):
    left = resample(voice(2.0, 16_000), 16_000, 44_100)
    stereo = np.stack([left, 0.3 * left + noise(2.0, 44_100, rms=1e-3)])
    fullband.write(tmp_path / "two.flac", stereo, 44_100)
    page.choose(detail=50)
    page.drop(tmp_path / "two.flac")
    assert page.finish() == ["done"]
    assert "2 channels" in page.text(".about")
    narrow, _ = fullband.read(tmp_path / "two.flac")
    expected, _ = fullband.enhance(narrow, 44_100, model=TINY, detail=0.5)
    for form, allowed in (("wav-16", 1e-3), ("wav-24", 1e-3), ("flac", 1e-3), ("opus", 0.3)):
        wide, rate = fullband.read(page.save(form))
        assert rate == 48_000
        length = min(wide.shape[-1], expected.shape[-1])
        assert abs(wide.shape[-1] - expected.shape[-1]) <= (2000 if form == "opus" else 0)
        difference = wide[:, :length] - np.clip(expected, -1, 1)[:, :length]
        scale = np.sqrt(np.mean(expected**2)) if form == "opus" else 1.0
        assert np.sqrt(np.mean(difference**2)) / scale < allowed, form


def test_live_model_frame_by_frame(page, telephone):
    page.choose("live")
    page.drop(telephone)
    assert page.finish() == ["done"]
    wide, _ = fullband.read(page.save("wav-float"))
    expected, _ = fullband.enhance(fullband.read(telephone)[0], 8000, model="live")
    assert np.abs(wide - expected).max() < 1e-3


def test_the_server_can_do_it_instead(page, telephone):
    page.choose()
    page.run("document.getElementById('where').value = 'server'")
    page.drop(telephone)
    assert page.finish() == ["done"]
    assert page.text(".took").endswith("on the server")
    wide, _ = fullband.read(page.save("wav-float"))
    expected, _ = fullband.enhance(fullband.read(telephone)[0], 8000, model=TINY)
    assert wide.shape == expected.shape
    assert np.abs(wide - expected).max() < 1e-3  # 16 bits on the way
    addresses = page.run(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert any("v1/enhance" in address for address in addresses)


def test_what_the_server_refuses_is_said(page, tmp_path):
    fullband.write(tmp_path / "long.wav", np.zeros(8000 * 61), 8000)
    page.run("document.getElementById('where').value = 'server'")
    page.drop(tmp_path / "long.wav")
    assert page.finish() == ["failed"]
    error = page.text(".error")
    assert error.startswith("long.wav: the server says: long.wav")


def test_what_is_heard_is_the_version_chosen_at_the_same_instant(page, tmp_path):
    fullband.write(tmp_path / "longer.wav", voice(8.0, 8000), 8000)
    page.choose()
    page.drop(tmp_path / "longer.wav")
    page.finish()
    page.press(" ")
    page.wait(lambda: page.text(".play") == "Pause", "it does not play")

    def loudest():
        end = time.monotonic() + 0.8  # a syllable and its pause
        levels = []
        while time.monotonic() < end:
            levels.append(page.run(HIGH_DB))
        return max(levels)

    def instant():
        return float(page.at(".position").get_property("value"))

    wide = loudest()
    before, begun_s = instant(), time.monotonic()
    page.press("a")
    assert page.at("[data-version=a]").get_attribute("aria-checked") == "true"
    assert 0 <= instant() - before < time.monotonic() - begun_s + 0.2  # it plays on meanwhile
    time.sleep(0.2)  # longer than the analyser's window
    narrow = loudest()
    page.press("b")
    time.sleep(0.2)
    again = loudest()
    assert wide > narrow + 20
    assert again > narrow + 20
    page.press(" ")
    page.wait(lambda: page.text(".play") == "Play", "it does not pause")
    stopped = instant()
    time.sleep(0.2)
    assert instant() == stopped


def test_the_difference_is_shown(page, telephone):
    page.choose()
    page.drop(telephone)
    page.finish()
    brightness = """
        const canvas = document.querySelectorAll(".recording canvas")[1];
        const copy = new OffscreenCanvas(900, 240).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 220, 900, 20);
        return data.reduce((sum, value, i) => sum + (i % 4 === 3 ? 0 : value), 0);
    """
    whole = page.run(brightness)  # the lowest 2 kHz
    page.at(".difference").click()
    assert page.text("figcaption .title") == "Added"
    assert page.run(brightness) < 0.5 * whole  # nothing is added there
    page.at(".difference").click()
    assert page.run(brightness) == whole


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(page, telephone, tmp_path):
    (tmp_path / "letter.wav").write_text("no audio at all")
    (tmp_path / "nothing.flac").write_bytes(b"")
    (tmp_path / "cut.mp3").write_bytes(b"\xff\xfb\x90\x00" + b"\0" * 300)
    page.choose()
    page.drop(tmp_path / "letter.wav", telephone, tmp_path / "nothing.flac", tmp_path / "cut.mp3")
    states = page.finish(4)
    assert states[-2] == "done"  # the newest is above the others
    assert states[-1] == states[1] == "failed"
    assert page.text(".error", 3).startswith("letter.wav: is not audio or video")
    assert page.text(".error", 1).startswith("nothing.flac: ")


def test_a_recording_can_be_cancelled(page, tmp_path):
    fullband.write(tmp_path / "long.wav", np.tile(voice(4.0, 8000), 12), 8000)
    page.choose()
    page.drop(tmp_path / "long.wav")
    page.wait(lambda: page.text(".stage") == "adding treble", "it does not begin")
    page.at(".cancel").click()
    assert page.states() == ["failed"]
    assert page.text(".error") == "long.wav: cancelled"
    # Its worker is free again.
    fullband.write(tmp_path / "short.wav", voice(1.0, 8000), 8000)
    page.drop(tmp_path / "short.wav")
    assert page.finish(2)[0] == "done"


def test_what_waits_can_be_cancelled_and_removed(page, telephone, tmp_path):
    fullband.write(tmp_path / "long.wav", np.tile(voice(4.0, 8000), 12), 8000)
    page.choose()
    page.drop(tmp_path / "long.wav", telephone, telephone)
    assert [page.text(".stage", number) for number in (0, 1)] == ["waiting", "waiting"]
    page.at(".cancel", 1).click()
    page.at(".remove", 2).click()  # the first, at work
    assert page.finish(2) == ["done", "failed"]
    page.at(".play").click()
    page.wait(lambda: page.text(".play") == "Pause", "it does not play")
    page.at(".remove").click()
    page.at(".remove").click()
    assert page.states() == []


def test_a_reload_midway_begins_anew(page, telephone):
    page.choose()
    page.drop(telephone)
    page.open()
    assert page.states() == []
    page.choose()
    page.drop(telephone)
    assert page.finish() == ["done"]


def test_the_example_and_the_file_dialog_and_all_are_saved(page, telephone, downloads):
    page.choose()
    page.at("#files").send_keys(str(telephone))
    page.finish(1)
    assert not page.at("#save-all").is_displayed()
    page.at("#example").click()
    assert page.finish(2) == ["done", "done"]
    assert page.text(".recording h2") == "a telephone call.wav"
    for path in downloads.iterdir():
        path.unlink()
    page.at("#save-all").click()
    names = {"a telephone call-wide.wav", "a call-wide.wav"}
    page.wait(lambda: {path.name for path in downloads.iterdir()} == names, "they are not saved")


def test_the_microphone_is_recorded(page):
    page.choose()
    page.at("#record").click()
    page.wait(lambda: page.text("#record") == "Stop", "it does not record")
    time.sleep(1.5)
    page.at("#record").click()
    assert page.finish() == ["done"]
    wide, rate = fullband.read(page.save("wav-24"))
    assert rate == 48_000
    assert 0.5 * rate < wide.shape[-1] < 20 * rate
    assert np.abs(wide).max() > 0.01  # the beeps


def test_a_live_call_comes_back_wide_and_says_how_late(page):
    page.at("#live-start").click()
    page.wait(lambda: "ms there and back" in page.text("#live-shown"), "nothing comes back")
    late_ms = float(page.text("#live-shown").split()[0])
    assert 15 <= late_ms < 2000  # the stream's own delay at least
    page.wait(lambda: page.run(HIGH_DB) > -90, "nothing is heard above 6 kHz")
    page.at("#live-bypass").click()
    page.at("#live-start").click()
    page.wait(lambda: page.text("#live-start") == "Start", "it does not end")


def test_a_graphics_card_gives_the_same(tmp_path_factory, port, telephone):
    # Chromium's own card in software: slow, and as right as others are.
    arguments = ("enable-unsafe-webgpu", "use-webgpu-adapter=swiftshader", "enable-features=Vulkan")
    driver = open_chromium(tmp_path_factory.mktemp("gpu"), *arguments)
    try:
        folder = tmp_path_factory.mktemp("of-gpu")
        settings = {"behavior": "allow", "downloadPath": str(folder)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", settings)
        page = Page(driver, f"http://127.0.0.1:{port}/", folder)
        offered = "return [...document.getElementById('where').options].map((o) => o.value)"
        page.wait(lambda: page.run(offered) == ["here", "gpu", "server"], "it is not offered")
        page.choose()
        page.run("document.getElementById('where').value = 'gpu'")
        page.drop(telephone)
        assert page.finish() == ["done"]
        assert page.text(".took").endswith("on the graphics card")
        wide, _ = fullband.read(page.save("wav-float"))
        expected, _ = fullband.enhance(fullband.read(telephone)[0], 8000, model=TINY)
        assert np.abs(wide - expected).max() < 1e-3
        assert page.complaints() == []
    finally:
        driver.quit()


SIGNALS = {
    "voice, 8 kHz": (voice(3.0, 8000)[None], 8000),
    "voice, 11.025 kHz": (resample(voice(2.0, 8000), 8000, 11_025)[None], 11_025),
    "noise of two channels": (np.stack([noise(1.0, 48_000), noise(1.0, 48_000, 1, 0.01)]), 48_000),
    "straight lines between samples": (
        np.interp(np.arange(48_000) / 2, np.arange(24_000), noise(3.0, 8000))[None],
        16_000,
    ),
    "narrow, then wide": (
        np.concatenate([resample(noise(3.0, 8000), 8000, 48_000), noise(3.0, 48_000)], axis=-1)[
            None
        ],
        48_000,
    ),
    "silence": (np.zeros((1, 8000)), 8000),
    "one sample": (np.ones((1, 1)), 8000),
}


@pytest.mark.parametrize("name", list(SIGNALS))
def test_a_recording_is_heard_as_python_hears_it(page, name):
    channels, rate = SIGNALS[name]
    channels = channels.astype(np.float32)
    encoded = [base64.b64encode(channel.tobytes()).decode() for channel in channels]
    found = page.driver.execute_async_script(
        """
        const [encoded, rate, done] = arguments;
        const channels = encoded.map((text) =>
          new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));
        import("/engine/enhance.js").then(({ analyse }) =>
          done(JSON.stringify(analyse(channels, rate))));
        """,
        encoded,
        rate,
    )
    found = json.loads(found)
    expected = analyse([channels], rate)
    assert found["bandwidthHz"] == pytest.approx(expected.bandwidth_hz)
    assert found["mirrorHz"] == expected.mirror_hz
    assert [(each["start"], each["bandwidthHz"]) for each in found["segments"]] == [
        (each.start, pytest.approx(each.bandwidth_hz)) for each in expected.segments
    ]
    assert found["levelDb"] == pytest.approx(expected.level_db, abs=1e-3)
    assert found["channelLevelsDb"] == pytest.approx(expected.channel_levels_db, abs=1e-3)
    assert found["kind"] == expected.kind
    assert found["holes"] == pytest.approx(expected.holes, abs=1e-3)


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 48_000), (16_000, 48_000), (44_100, 48_000), (48_000, 44_100)]
)
def test_rates_change_as_soxr_changes_them(page, source, target):
    samples = noise(0.5, source, rms=0.3)
    found = page.driver.execute_async_script(
        """
        const [text, source, target, done] = arguments;
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const samples = new Float32Array(bytes.buffer);
        import("/engine/resample.js").then(({ resample }) =>
          done([...resample(samples, source, target)]));
        """,
        base64.b64encode(samples.tobytes()).decode(),
        source,
        target,
    )
    expected = resample(samples, source, target)
    assert len(found) == len(expected)
    inside = slice(400, -400)  # soxr begins and ends otherwise in rounding
    assert np.abs(np.array(found) - expected)[inside].max() < 5e-4


def test_it_is_isolated_and_asks_nobody_else(page, telephone):
    page.choose()
    page.drop(telephone)
    page.finish()
    assert page.run("return crossOriginIsolated") is True
    addresses = page.run(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert addresses
    assert not any("/v1/" in address for address in addresses)
    assert all(address.startswith(page.address) for address in addresses)
    assert json.loads(page.at(".recording").get_attribute("data-figures"))["threads"] >= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_and_is_accessible(page, telephone, tmp_path, width, scheme):
    page.size(width, 800, scheme)
    (tmp_path / "letter.wav").write_text("no audio at all")
    page.choose()
    page.drop(telephone, tmp_path / "letter.wav")
    page.finish(2)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    broken, kept = broken_rules(page.driver)
    assert broken == []
    assert kept > AXE_PASSES  # it has looked
    assert page.driver.save_screenshot(str(tmp_path / f"{scheme}-{width}.png"))


def test_tab_reaches_every_control(page, telephone):
    from selenium.webdriver.common.keys import Keys

    page.choose()
    page.drop(telephone)
    page.finish()
    controls = page.run("""
        return [...document.querySelectorAll("button, input, summary, a[href], select")]
          .filter((e) => !e.disabled && e.tabIndex >= 0 && e.checkVisibility()).length;
    """)
    reached = set()
    for _ in range(controls + 2):
        page.press(Keys.TAB)
        reached.add(page.run("return document.activeElement").id)
    assert len(reached) >= controls
    page.run("document.querySelector('[data-version=b]').focus()")
    page.press(Keys.ARROW_LEFT)
    assert page.at("[data-version=a]").get_attribute("aria-checked") == "true"


def test_the_exported_page_runs_without_headers(driver, downloads, telephone, tmp_path):
    folder = tmp_path / "site"
    export_site(folder)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {
            **http.server.SimpleHTTPRequestHandler.extensions_map,
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    ) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        page = Page(driver, f"http://127.0.0.1:{host.server_port}/", downloads)
        page.choose()
        page.drop(telephone)
        assert page.finish() == ["done"]
        figures = json.loads(page.at(".recording").get_attribute("data-figures"))
        assert figures["threads"] == 1
        assert not page.at("#live").is_displayed()
        assert not page.at("#where").is_displayed()
        wide, _ = fullband.read(page.save("wav-float"))
        expected, _ = fullband.enhance(fullband.read(telephone)[0], 8000, model=TINY)
        assert np.abs(wide - expected).max() < 1e-3
        host.shutdown()
    driver.get("about:blank")
    driver.get_log("browser")
