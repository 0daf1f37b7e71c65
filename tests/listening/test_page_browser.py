"""Whole trials in a real browser, by the keyboard: heard, rated, reloaded, stored, looked at.

Needs Debian's chromium and chromium-driver; nothing is downloaded. What is heard is measured at the
audio context's output: a hook set before the page's own script lets an analyser listen there.
"""

from __future__ import annotations

import time

import pytest

from chromium import NEEDED, broken_rules, open_chromium, resize
from fullband.listening.order import trials_of
from fullband.listening.session import read_session
from fullband.listening.store import Answers

pytestmark = NEEDED

LEVELS_DB = """
const bins = new Float32Array(analyser.frequencyBinCount);
analyser.getFloatFrequencyData(bins);
const width = analyser.context.sampleRate / analyser.fftSize;
const level = (from, to) => {
  const part = bins.slice(Math.ceil(from / width), to / width);
  return 10 * Math.log10(part.reduce((sum, db) => sum + 10 ** (db / 10), 1e-20) / part.length);
};
return [[500, 3000], [4000, 4800], [5200, 5800], [6200, 6800], [7500, 7900]]
  .map(([from, to]) => level(from, to));
"""
BANDS = {"low-anchor": 1, "matt": 2, "clear": 3, "mid-anchor": 4, "reference": 5}
"""How many of these bands each stimulus has."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    driver = open_chromium(tmp_path_factory.mktemp("chromium"), fft_size=1024)
    yield driver
    driver.quit()


class Visitor:
    """A listener at the page."""

    def __init__(self, driver, address):
        self.driver = driver
        self.size(1280, 900)
        driver.get(address)
        self.wait("h1:focus")

    def at(self, selector):
        return self.driver.find_element("css selector", selector)

    def text(self, selector):
        return self.at(selector).get_property("textContent")

    def run(self, script):
        return self.driver.execute_script(script)

    def press(self, *keys):
        from selenium.webdriver import ActionChains

        actions = ActionChains(self.driver, duration=0)
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def until(self, condition, message, seconds=8.0):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, message
            time.sleep(0.03)

    def wait(self, selector):
        find = self.driver.find_elements
        self.until(lambda: any(e.is_displayed() for e in find("css selector", selector)), selector)

    def loaded(self, number):
        """Wait for a trial by its number on the screen."""
        self.until(
            lambda: (
                self.text("#trial-title").startswith(f"Screen {number} ")
                and "loading" not in self.at("#trial").get_attribute("class")
            ),
            f"screen {number} does not come: {self.text('#error')}",
        )

    def bands(self):
        """How many bands of what is on are there, at the loudest of some moments."""
        end = time.monotonic() + 0.15
        levels = []
        while time.monotonic() < end:
            levels.append(self.run(LEVELS_DB))
            time.sleep(0.03)
        loudest = [max(band) for band in zip(*levels, strict=True)]
        return sum(level > loudest[0] - 20 for level in loudest)

    def hear(self, key, selector):
        """Press a sound's key, wait until it counts as heard; how many bands it had."""
        self.press(key)
        time.sleep(0.15)  # longer than the analyser's window
        bands = self.bands()
        self.wait(f"{selector}.heard")
        return bands

    def size(self, width, height, scheme="light"):
        resize(self.driver, width, height, scheme, "reduce")

    def look(self, folder, name):
        """See at three widths that nothing sticks out and no rule of axe is broken."""
        for width, scheme in ((360, "dark"), (768, "light"), (1280, "light")):
            self.size(width, 900, scheme)
            time.sleep(0.1)
            widest, window = self.run("return [document.documentElement.scrollWidth, innerWidth]")
            assert widest <= window
            assert self.driver.save_screenshot(str(folder / f"{name}-{width}-{scheme}.png"))
            broken, kept = broken_rules(self.driver)
            assert broken == []
            assert kept > 10  # it has looked
        self.size(1280, 900)


def come_in(driver, address) -> Visitor:
    """Read, agree and begin, by the keyboard."""
    from selenium.webdriver.common.keys import Keys

    visitor = Visitor(driver, address)
    visitor.press(Keys.TAB, "Anna", Keys.TAB, Keys.SPACE, Keys.TAB, Keys.ENTER)
    visitor.loaded(1)
    return visitor


def test_a_mushra_test_by_the_keyboard(driver, made, serving, tmp_path):
    from selenium.webdriver.common.keys import Keys

    folder = made("mushra")
    order = trials_of(read_session(folder), "anna")
    driver.get_log("browser")
    with serving(folder) as address:
        visitor = come_in(driver, address)
        assert visitor.text("#trial-title") == "Screen 1 of 2"
        visitor.press(Keys.ENTER)
        assert "Still to be heard: the reference, 1, 2, 3, 4, 5." in visitor.text("#missing")
        assert "Still to be rated: 1, 2, 3, 4, 5." in visitor.text("#missing")

        assert visitor.hear("r", "#reference") == BANDS["reference"]
        for place in (1, 2):
            bands = visitor.hear(str(place), f"#stimuli li:nth-child({place}) button")
            assert bands == BANDS[order[0].stimuli[place]]
        visitor.press("1", Keys.HOME, *[Keys.ARROW_RIGHT] * 7)
        visitor.press("2", Keys.END, Keys.PAGE_DOWN)
        assert visitor.at("#score-2").get_attribute("aria-valuetext") == "90, excellent"
        visitor.look(tmp_path, "mushra")
        driver.refresh()  # in the middle of a trial

        visitor.loaded(1)
        assert visitor.text("#stimuli li:nth-child(1) output") == "7"
        assert visitor.text("#stimuli li:nth-child(2) output") == "90"
        visitor.press(Keys.ENTER)
        assert visitor.text("#missing") == "Still to be heard: 3, 4, 5. Still to be rated: 3, 4, 5."
        for place in (3, 4, 5):
            bands = visitor.hear(str(place), f"#stimuli li:nth-child({place}) button")
            assert bands == BANDS[order[0].stimuli[place]]
            visitor.press(Keys.HOME, *[Keys.PAGE_UP] * place)
        visitor.press(Keys.ENTER)
        visitor.loaded(2)
        driver.refresh()  # between two trials
        visitor.loaded(2)
        assert visitor.text("#done") == "1 of 2 done"
        assert visitor.text("#stimuli li:nth-child(1) output") == "–"

        visitor.hear("r", "#reference")
        for place in range(1, 6):
            visitor.hear(str(place), f"#stimuli li:nth-child({place}) button")
            visitor.press(Keys.ARROW_RIGHT)
        visitor.press(Keys.ENTER)
        visitor.wait("#thanks")
        driver.get("about:blank")
    assert driver.get_log("browser") == []

    rows = Answers(folder).ratings()
    scores = {(row["trial"], row["stimulus"]): row["score"] for row in rows}
    expected = dict(zip(order[0].stimuli[1:], (7, 90, 30, 40, 50), strict=True))
    assert {name: scores[order[0].key, name] for name in expected} == expected
    assert all(scores[order[1].key, name] == 51 for name in expected)
    assert all(row["heard_s"] >= 0.6 for row in rows)


def test_switching_and_looping_leave_no_gap(driver, made, serving):
    with serving(made("mushra")) as address:
        visitor = come_in(driver, address)
        visitor.press("r")
        visitor.until(lambda: visitor.run("return window.analyser !== undefined"), "no sound")
        time.sleep(0.2)
        # In the page itself: position against the clock over switches, and the longest silence.
        jumps, silent = visitor.run("""
            const buttons = document.querySelectorAll("#mushra .sound");
            const position = document.querySelector("#position");
            const wave = new Float32Array(256);
            const frame = () => new Promise(requestAnimationFrame);
            const late = () => position.value - performance.now() / 1000;
            const jumps = [];
            let silent = 0;
            return (async () => {
              for (let i = 0; i < 60; i++) {
                const before = late();
                if (i % 3 == 0) buttons[(i / 3) % 6].click();
                await frame();
                const jump = late() - before;
                jumps.push(Math.abs(jump - 0.6 * Math.round(jump / 0.6))); /* a loop begins again */
                analyser.getFloatTimeDomainData(wave);
                let run = 0;
                for (const value of wave) {
                  run = value === 0 ? run + 1 : 0;
                  silent = Math.max(silent, run);
                }
              }
              return [jumps, silent];
            })();
        """)
        assert max(jumps) < 0.05
        assert silent < 16

        visitor.run("""
            const end = document.querySelector("#loop-to");
            end.value = 0.5;
            end.dispatchEvent(new Event("input"));
        """)
        positions = []
        for _ in range(60):
            positions.append(float(visitor.at("#position").get_property("value")))
            time.sleep(0.02)
        assert max(positions) <= 0.5
        assert min(positions) < 0.1  # it begins again
        driver.get("about:blank")


def test_an_abx_test_by_the_keyboard(driver, made, serving, tmp_path):
    from selenium.webdriver.common.keys import Keys

    folder = made("abx", pairs=[("clear", "matt")])
    order = trials_of(read_session(folder), "anna")
    with serving(folder) as address:
        visitor = come_in(driver, address)
        for number, trial in enumerate(order, start=1):
            visitor.loaded(number)
            bands = {
                key: visitor.hear(key, f"#abx [data-place='{place}']")
                for place, key in enumerate("abx")
            }
            assert [bands[key] for key in "abx"] == [BANDS[name] for name in trial.stimuli]
            visitor.press(Keys.ENTER)
            assert "Still to be said: which one X is." in visitor.text("#missing")
            visitor.run("document.querySelector('#abx [data-place=\"1\"]').focus()")
            visitor.press(Keys.TAB)
            choice = "a" if bands["x"] == bands["a"] else "b"
            visitor.press(*([Keys.SPACE] if choice == "a" else [Keys.ARROW_RIGHT]))
            visitor.press(Keys.TAB, *[Keys.ARROW_RIGHT] * 2)  # fairly sure
            if number == 1:
                visitor.look(tmp_path, "abx")
                driver.refresh()
                visitor.loaded(1)
                assert visitor.run("return document.querySelectorAll('#abx :checked').length") == 2
            visitor.press(Keys.ENTER)
        visitor.wait("#thanks")
        driver.get("about:blank")
    rows = Answers(folder).choices()
    assert len(rows) == 2
    assert all(row["chosen"] == row["x"] for row in rows)
    assert {row["confidence"] for row in rows} == {3}


def test_a_link_without_its_token_is_said_and_with_it_goes_on(driver, made, serving):
    from fullband.web.access import Access

    with serving(made("abx"), Access(token="a secret")) as address:
        driver.get(address)
        visitor = Visitor.__new__(Visitor)
        visitor.driver = driver
        visitor.wait("#error")
        assert "ask for the whole link" in visitor.text("#error")
        driver.get("about:blank")
        visitor = come_in(driver, f"{address}/#token=a%20secret")
        assert visitor.text("#trial-title") == "Screen 1 of 4"
        driver.get("about:blank")
    driver.get_log("browser")


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(driver, made, serving):
    from selenium.webdriver.common.keys import Keys

    folder = made("abx", pairs=[("clear", "matt")])
    with serving(folder) as address:
        visitor = come_in(driver, address)
        for place, key in enumerate("abx"):
            visitor.hear(key, f"#abx [data-place='{place}']")
        visitor.run("document.querySelectorAll('#abx input[value=\"1\"]').forEach(i => i.click())")
        visitor.run("window.real = fetch; window.fetch = () => Promise.reject(new TypeError())")
        visitor.press(Keys.ENTER)
        visitor.wait("#error")
        assert "cannot be reached" in visitor.text("#error")
        visitor.run("window.fetch = window.real")
        visitor.press(Keys.ENTER)
        visitor.loaded(2)
        assert not visitor.at("#error").is_displayed()
        driver.get("about:blank")
    assert len(Answers(folder).choices()) == 1
    driver.get_log("browser")
