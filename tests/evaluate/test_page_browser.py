"""The listening page in a real browser, opened from the disk: sound, keys, sizes, accessibility.

Needs Debian's chromium and chromium-driver; nothing is downloaded. What is heard is measured at the
audio context's output: a hook set before the page's own script lets an analyser listen there.
"""

from __future__ import annotations

import http.server
import shutil
import threading
import time
from functools import partial

import numpy as np
import pytest

from chromium import NEEDED, broken_rules, open_chromium, resize
from fullband.corpora.synthetic import synthetic_corpus
from fullband.degrade import Degradation
from fullband.evaluate.page import PageTask, write_page
from fullband.evaluate.page_findings import splined
from signals import tone

pytestmark = NEEDED

RATE = 16_000
LEVELS_DB = """
const bins = new Float32Array(analyser.frequencyBinCount);
analyser.getFloatFrequencyData(bins);
const width = analyser.context.sampleRate / analyser.fftSize;
const sum = (from, to) => bins.slice(from / width, to / width)
  .reduce((total, db) => total + 10 ** (db / 10), 1e-20);
return [10 * Math.log10(sum(200, 1600)), 10 * Math.log10(sum(3000, 7000))];
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two tasks of two recordings; `bursts` is wrong in the middle of every one."""

    def bursting(narrow, degradation, length):
        audio = splined(narrow, degradation, length).copy()
        audio[32_000:33_600] += tone(5000, 0.1, RATE, 0.2)
        return audio

    decoded = synthetic_corpus(RATE, 0, 2, 6.0)
    systems = {"bursts": bursting, "louder": lambda *a: 1.1 * splined(*a)}
    tasks = [
        PageTask("Made voices, 4x", decoded, Degradation("chebyshev", RATE, 4000), systems),
        PageTask("Made voices, 2x", decoded, Degradation("chebyshev", RATE, 8000), {}),
    ]
    folder = tmp_path_factory.mktemp("page") / "a page"
    return write_page(tasks, folder, samples=2, title="Made voices")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = open_chromium(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


class Opened:
    """A page in the browser, and what a person would do with it."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get(address)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def at(self, selector, number=0):
        return self.driver.find_elements("css selector", selector)[number]

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        actions = ActionChains(self.driver, duration=0)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def instant(self):
        """The position that is shown, in seconds."""
        return float(self.at("#position").get_property("value"))

    def version(self):
        """The name of the pressed version in the player, without its number."""
        (pressed,) = self.driver.find_elements("css selector", "#versions [aria-pressed=true]")
        return pressed.text.split("\n")[-1]

    def sample(self):
        (current,) = self.driver.find_elements("css selector", ".sample.current")
        return current.get_attribute("id")

    def playing(self):
        return self.at("#play").get_attribute("aria-label") == "Pause"

    def wait(self, condition, message, seconds=5.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, message
            time.sleep(0.02)

    def play(self):
        """Press play and wait until time goes on."""
        self.at("#play").click()
        before = self.instant()
        self.wait(lambda: self.instant() > before + 0.15, "time does not advance")

    def heard(self):
        """The loudest of 0.8 s, below and above the cutoff: a syllable and its pause."""
        end = time.monotonic() + 0.8
        levels = []
        while time.monotonic() < end:
            levels.append(self.run(LEVELS_DB))
        return np.max(levels, axis=0)

    def click(self, selector):
        """Click what may lie behind the player, after scrolling it to the middle."""
        element = self.at(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def size(self, width, height, scheme="light", motion="no-preference"):
        resize(self.driver, width, height, scheme, motion)


@pytest.fixture
def opened(driver, page):
    """The page from the disk, 1280 pixels wide, whose console stays silent."""
    opened = Opened(driver, page.as_uri())
    opened.size(1280, 900, motion="reduce")
    driver.get_log("browser")
    driver.refresh()
    yield opened
    assert driver.get_log("browser") == []


def test_it_plays_and_stops(opened):
    assert opened.instant() == 0
    assert not opened.playing()
    opened.play()
    assert opened.playing()
    low, _ = opened.heard()
    assert low > -70  # something is heard, whatever the instant: voices pause
    opened.at("#play").click()
    stopped = opened.instant()
    time.sleep(0.2)
    assert opened.instant() == stopped
    opened.wait(lambda: opened.run(LEVELS_DB)[0] < -100, "it is heard on")


def test_switching_keeps_the_instant_and_the_sound(opened):
    opened.play()
    # In the page itself: the difference between position and clock, before, at and after a switch.
    jumps, quietest = opened.run("""
        const buttons = document.querySelectorAll("#versions button");
        const slider = document.querySelector("#position");
        const wave = new Float32Array(256);
        const jumps = [];
        let quietest = 0;
        const frame = () => new Promise(requestAnimationFrame);
        const late = () => slider.value - performance.now() / 1000;
        return (async () => {
          await frame();
          for (const index of [1, 4, 0, 2, 3, 0]) {
            const before = late();
            buttons[index].click();
            for (let i = 0; i < 8; i++) {
              await frame();
              jumps.push(Math.abs(late() - before));
            }
          }
          /* between equal versions: a gap would be a run of zeros */
          for (let i = 0; i < 60; i++) {
            if (i % 3 == 0) buttons[i % 2 ? 4 : 2].click();
            await frame();
            analyser.getFloatTimeDomainData(wave);
            let run = 0;
            for (const value of wave) {
              run = value === 0 ? run + 1 : 0;
              quietest = Math.max(quietest, run);
            }
          }
          return [jumps, quietest];
        })();
    """)
    assert max(jumps) < 0.05
    assert quietest < 16


def test_what_is_heard_is_the_version_chosen(opened):
    opened.play()
    heard = {}
    for key, name in (("1", "High resolution"), ("2", "Low resolution"), ("1", "again")):
        opened.press(key)
        time.sleep(0.25)  # longer than the analyser's window
        heard[name] = opened.heard()
    assert heard["High resolution"][1] > heard["Low resolution"][1] + 20
    assert heard["again"][1] > heard["Low resolution"][1] + 20
    assert abs(heard["High resolution"][0] - heard["Low resolution"][0]) < 6


def test_keys(opened):
    from selenium.webdriver.common.keys import Keys

    opened.press("3")
    assert opened.version() == "spline"
    opened.press("5")
    assert opened.version() == "louder"
    opened.press("9")  # there is no ninth
    assert opened.version() == "louder"
    opened.press("a")
    assert opened.version() == "spline"
    opened.press("b")
    assert opened.version() == "louder"
    opened.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert opened.instant() == pytest.approx(2, abs=0.01)
    opened.press(Keys.ARROW_LEFT)
    assert opened.instant() == pytest.approx(1, abs=0.01)
    opened.press(Keys.SPACE)
    opened.wait(lambda: opened.instant() > 1.1, "space does not play")
    opened.press(Keys.SPACE)
    assert not opened.playing()

    assert opened.sample() == "t1-s1"
    opened.press("j")
    assert opened.sample() == "t1-s2"
    assert opened.instant() == 0
    assert opened.version() == "louder"  # kept by name
    opened.press(Keys.ARROW_UP)
    assert opened.sample() == "t1-s1"
    opened.press("k")
    assert opened.sample() == "t1-s1"  # the first
    opened.press(Keys.ARROW_DOWN)
    assert opened.sample() == "t1-s2"
    opened.press("l")
    assert opened.at("#loop").get_attribute("aria-pressed") == "true"


def test_a_sample_without_the_version_shows_its_first(opened):
    opened.press("5")
    opened.click("#t2-s1 .play-here")
    opened.wait(lambda: opened.instant() > 0.1, "the other sample does not play")
    assert (opened.sample(), opened.version()) == ("t2-s1", "High resolution")
    assert len(opened.at("#versions").find_elements("css selector", "button")) == 3
    opened.click("#t2-s1 .play-here")
    assert not opened.playing()


def test_a_focused_button_is_pressed_by_space_and_nothing_else(opened):
    from selenium.webdriver.common.keys import Keys

    opened.run("document.querySelectorAll('#versions button')[2].focus()")
    opened.press(Keys.SPACE)
    assert opened.version() == "spline"
    assert not opened.playing()
    opened.at("#versions button", 1).click()  # with the mouse: the keyboard is given back
    assert opened.version() == "Low resolution"
    opened.press(Keys.SPACE)
    opened.wait(opened.playing, "space does not play after a click")


def test_seeking_by_click(opened):
    from selenium.webdriver import ActionChains

    picture = opened.at("#t1-s2 figure:nth-child(4) .picture")
    opened.run("arguments[0].scrollIntoView({block: 'center'})", picture)
    width = picture.size["width"]
    ActionChains(opened.driver).move_to_element_with_offset(
        picture, -width // 4, 0
    ).click().perform()
    # A quarter of six seconds, and it plays on while a slow machine asks; their half is far.
    opened.wait(lambda: opened.instant() > 0, "the click does not seek")
    assert (opened.sample(), opened.version()) == ("t1-s2", "bursts")
    at = opened.instant()
    assert 1.5 - 6 / width <= at < 2.9
    opened.wait(lambda: opened.instant() > at + 0.1, "it does not play from there")
    opened.at("#play").click()
    head = opened.run(
        """
        const picture = arguments[0].getBoundingClientRect();
        const head = arguments[0].querySelector(".playhead").getBoundingClientRect();
        return (head.left + head.width / 2 - picture.left) / picture.width;
    """,
        picture,
    )
    assert head == pytest.approx(opened.instant() / 6, abs=0.005)


def test_a_moment_plays_one_second_around_it(opened):
    button = opened.at("button.moment[data-version='3']")
    start, stop = (float(button.get_attribute(f"data-{name}")) for name in ("start", "stop"))
    assert (start + stop) / 2 == pytest.approx(2.05, abs=0.07)
    opened.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    assert opened.version() == "bursts"
    opened.wait(lambda: opened.playing() and opened.instant() > start + 0.1, "it does not play")
    assert opened.instant() < stop
    opened.wait(lambda: not opened.playing(), "it does not stop")
    assert opened.instant() == pytest.approx(stop, abs=0.01)


def test_the_end_stops_or_begins_again(opened):
    opened.run("const s = document.querySelector('#position'); s.value = 5.7;"
               "s.dispatchEvent(new Event('input'))")  # fmt: skip
    opened.at("#play").click()
    opened.wait(lambda: not opened.playing(), "it does not stop at the end")
    assert opened.instant() == pytest.approx(6, abs=0.01)
    opened.at("#loop").click()
    opened.run("const s = document.querySelector('#position'); s.value = 5.7;"
               "s.dispatchEvent(new Event('input'))")  # fmt: skip
    opened.at("#play").click()
    opened.wait(lambda: 0.1 < opened.instant() < 2, "it does not begin again")
    assert opened.playing()


def test_gain_changes_every_version(opened):
    opened.play()
    before, _ = opened.heard()
    opened.run("const g = document.querySelector('#gain'); g.value = -30;"
               "g.dispatchEvent(new Event('input'))")  # fmt: skip
    assert opened.at("#gain-shown").text == "−30 dB"
    time.sleep(0.25)
    after, _ = opened.heard()
    assert after == pytest.approx(before - 30, abs=6)


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(opened, width, scheme, tmp_path):
    """Nothing is wider than the screen, pictures are there, colours follow the system's."""
    opened.size(width, 800, scheme)
    opened.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened.run("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    widest, window = opened.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert widest <= window
    images = "return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"
    opened.wait(lambda: opened.run(images), "a picture is missing")
    background = opened.run("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background[4:-1].split(","))
    assert brightness > 700 if scheme == "light" else brightness < 100
    columns = opened.run("""
        const tops = [...document.querySelectorAll("#t1-s1 figure")]
          .map((f) => f.getBoundingClientRect().left);
        return new Set(tops).size;
    """)
    assert columns == {360: 1, 768: 2, 1280: 3}[width]
    if width == 360:
        bar = opened.run("return document.querySelector('.player').offsetHeight")
        assert bar < 160
    assert opened.driver.save_screenshot(str(tmp_path / f"{scheme}-{width}.png"))


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(opened, width, scheme):
    """No rule of axe-core is broken."""
    opened.size(width, 800, scheme, motion="reduce")
    opened.press("4")
    opened.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    time.sleep(0.2)  # colours fade from one theme to the other
    broken, kept = broken_rules(opened.driver)
    assert broken == []
    assert kept > 15  # it has looked


def test_tab_reaches_every_control_and_shows_where(opened):
    from selenium.webdriver.common.keys import Keys

    controls = opened.run("""
        return [...document.querySelectorAll("button, input, summary, a[href], .scroll")]
          .filter((e) => !e.disabled && e.checkVisibility()).length;
    """)
    reached = set()
    unseen = []
    for _ in range(controls):
        opened.press(Keys.TAB)
        element, outline = opened.run(
            "const e = document.activeElement; return [e, getComputedStyle(e).outlineStyle]"
        )
        reached.add(element.id)
        if outline == "none":
            unseen.append(element.get_attribute("outerHTML"))
    assert unseen == []
    assert len(reached) == controls


def test_over_http_it_asks_for_its_own_files_only(driver, page):
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=page.parent)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        opened = Opened(driver, f"http://127.0.0.1:{server.server_port}/index.html")
        opened.size(1280, 900)
        opened.play()
        addresses = opened.run(
            "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        )
        assert driver.get_log("browser") == []
        driver.get("about:blank")
    finally:
        server.shutdown()
        server.server_close()
    own = f"http://127.0.0.1:{server.server_port}/"
    assert all(address.startswith((own, "data:")) for address in addresses)
    assert {"/index.html", "/page.css", "/page.js", "/samples/t1-s1.js"} <= set(asked)


def test_a_missing_sound_is_said(driver, page, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(page.parent, broken)
    (broken / "samples" / "t1-s1.js").unlink()
    opened = Opened(driver, (broken / "index.html").as_uri())
    opened.at("#play").click()
    status = opened.at("#status")
    opened.wait(lambda: "cannot be read" in status.get_property("textContent"), "nothing is said")
    assert not opened.playing()
    driver.get_log("browser")
