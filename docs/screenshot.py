"""The picture of a report in the README: its top, in headless Chromium, as a small PNG.

    python docs/screenshot.py reports/lenet5/report.html docs/report.png

Needs chromium and chromedriver, and `pip install -e ".[test]"`.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver

WIDTH, HEIGHT = 1180, 1230
"""CSS pixels: the recommended points and the front."""
SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")


def main() -> None:
    """Open the page and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, metavar="REPORT.html")
    parser.add_argument("picture", type=Path, metavar="PICTURE.png")
    parser.add_argument("--height", type=int, default=HEIGHT)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    browser = webdriver.ChromeOptions()
    browser.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    size = f"--window-size={WIDTH},{options.height}"
    with tempfile.TemporaryDirectory() as profile:
        for switch in (*SWITCHES, size, f"--user-data-dir={profile}"):
            browser.add_argument(switch)
        driver = webdriver.Chrome(browser, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            if options.dark:
                dark = [{"name": "prefers-color-scheme", "value": "dark"}]
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
            driver.get(options.page.resolve().as_uri())
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": options.height, "scale": 1}
            shot = driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
            )
            options.picture.write_bytes(base64.b64decode(shot["data"]))
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
