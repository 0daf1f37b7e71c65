"""Debian's Chromium, for the tests of pages; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

__all__ = ["NEEDED", "open_chromium"]

_BROWSER = shutil.which("chromium")
_DRIVER = shutil.which("chromedriver")

NEEDED = pytest.mark.skipif(
    not (_BROWSER and _DRIVER), reason="install Debian's chromium and chromium-driver"
)


def open_chromium(folder: Path) -> Any:
    """Chromium without a window, which plays sound without being asked to by a hand; to be quit.

    Args:
        folder: an empty one, for its profile.
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
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(_DRIVER))
