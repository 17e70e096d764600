"""Headless Chromium of the system, with what its console says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium of the system; WebGL is drawn in software."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    software = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *software):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield chrome
    chrome.quit()


def complaints(browser: Any) -> list[Any]:
    """Errors in the browser's console since the last call."""
    return [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def violations(browser: Any) -> list[str]:
    """What axe-core finds on the page; nothing where it is not installed, which the test says."""
    places = [Path(place) / "axe-core" / "axe.min.js" for place in os.environ.get("NODE_PATH", "").split(os.pathsep)]
    script = next((place for place in places if place.is_file()), None)
    if script is None:
        pytest.skip("all but accessibility was tried: needs the npm package axe-core (NODE_PATH)")
    browser.execute_script(script.read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [f"{item['id']}: {node['html']}" for item in found["violations"] for node in item["nodes"]]
