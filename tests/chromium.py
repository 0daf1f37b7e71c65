"""Debian's Chromium, for the tests of pages; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NEEDED", "broken_rules", "open_chromium", "resize"]

_BROWSER = shutil.which("chromium")
_DRIVER = shutil.which("chromedriver")

NEEDED = pytest.mark.skipif(
    not (_BROWSER and _DRIVER), reason="install Debian's chromium and chromium-driver"
)

_HEAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target === this.context.destination) {
    const settings = {fftSize: FFT_SIZE, smoothingTimeConstant: 0};
    if (window.analyser?.context !== this.context) {
      window.analyser = new AnalyserNode(this.context, settings);
    }
    connect.call(this, window.analyser);
  }
  return connect.call(this, target, ...rest);
};
"""
"""Before a page's own script: all that goes to the loudspeaker also goes to `window.analyser`."""


def open_chromium(folder: Path, *more: str, fft_size: int = 4096) -> Any:
    """Chromium without a window, which plays sound without being asked to by a hand; to be quit.

    Args:
        folder: an empty one, for its profile.
        more: arguments to Chromium, without their dashes.
        fft_size: of the analyser that hears what a page plays, which is `window.analyser`.
    """
    # Selenium's own downloader of browsers stays off: both paths are given.
    os.environ.update(SE_OFFLINE="true", SE_AVOID_STATS="true")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = _BROWSER
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "autoplay-policy=no-user-gesture-required",
        f"user-data-dir={folder}",
        *more,
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    hear = {"source": _HEAR.replace("FFT_SIZE", str(fft_size))}
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", hear)
    return driver


def resize(
    driver: Any,
    width: int,
    height: int,
    scheme: str = "light",
    motion: str = "no-preference",
) -> None:
    """Have a screen of that size (a telephone's, where it is narrow) and a person of that taste."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": motion},
    ]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def broken_rules(driver: Any) -> tuple[list[str], int]:
    """What axe-core finds wrong with the page as it is, and how many rules it keeps."""
    import axe_core_python

    script = Path(axe_core_python.__file__).with_name("axe.min.js").read_text("utf-8")
    driver.execute_script(script + "\nwindow.axe = axe;")
    result = driver.execute_script("return axe.run(document, {resultTypes: ['violations']})")
    broken = [
        f"{rule['id']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
    return broken, len(result["passes"])
