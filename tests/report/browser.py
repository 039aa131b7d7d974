"""A headless Chromium that opens a page from disk, and what it saw there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium or chromedriver is not installed"
)

SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1300,900",
)  # fmt: skip


class Browser:
    """One page at a time; `run` evaluates JavaScript in it and returns its value."""

    def __init__(self, driver: Any) -> None:
        self._driver, self._address = driver, ""

    def open(self, page: Path) -> None:
        """Load a page and let what earlier ones logged be forgotten."""
        self._driver.get_log("browser")
        self._driver.get_log("performance")
        self._address = page.resolve().as_uri()
        self._driver.get(self._address)

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a JavaScript function body."""
        return self._driver.execute_script(script, *arguments)

    def command(self, name: str, **parameters: object) -> Any:
        """A command of the Chrome DevTools protocol."""
        return self._driver.execute_cdp_cmd(name, parameters)

    def errors(self) -> list[str]:
        """What the console holds since the page was opened."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the page was opened, its own among them.

        The browser's own start page asks for some too; they are not this page's.
        """
        messages = [
            json.loads(e["message"])["message"] for e in self._driver.get_log("performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
            and message["params"]["documentURL"] == self._address
        ]

    def move(self, x: float, y: float, click: bool = False) -> None:
        """Move the mouse to a place in the window, and click there if told to."""
        kinds = ["mouseMoved", *(["mousePressed", "mouseReleased"] if click else [])]
        for kind in kinds:
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def key(self, key: str) -> None:
        """Press a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key)


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A fresh browser with its profile in an empty folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
