"""A real browser for tests of pages: headless Chromium, driven by Playwright.

A folder of tests takes the fixtures by importing them in its conftest.py:

    from browsing import browser, browser_page  # noqa: F401

`browser` is one Chromium for a whole test file, whose microphone hears `MICROPHONE` (see
`write_microphone`) over and over. `browser_page` is a page in a context of its own; at its end it
has met no error and logged none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

CHROMIUM = os.environ.get("TALKERS_CHROMIUM") or shutil.which("chromium") or ""
SERIOUS = {"serious", "critical"}
QUIET, LOUD = 1.0, 1.5  # seconds of the microphone's sound


def write_microphone(path: Path, rate: int = 48_000) -> Path:
    """A second of silence, then something like speech: four syllables a second."""
    time = np.arange(round(LOUD * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 12))
    loud = 0.2 * voice * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * time))
    soundfile.write(path, np.concatenate([np.zeros(round(QUIET * rate)), loud]), rate, "PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium; where there is none, the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine; set TALKERS_CHROMIUM to its path")
    heard = write_microphone(tmp_path_factory.mktemp("browser") / "microphone.wav")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={heard}",
                "--autoplay-policy=no-user-gesture-required",
                "--allow-loopback-in-peer-connection",  # WebRTC on a machine without a network
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def browser_page(browser: Any) -> Iterator[Any]:
    """A page of 1100 x 800; whatever it logs as an error fails the test.

    `page.expected` is a list of texts: an error that holds one of them is no fault.
    """
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(60_000)
    page, errors = context.new_page(), list[str]()
    page.expected = list[str]()
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    faults = [e for e in errors if not any(known in e for known in page.expected)]
    assert not faults, faults


def serious_findings(page: Any) -> list[str]:
    """What axe finds wrong with a page's accessibility, and calls serious or critical."""
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:200]}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]
