"""The real server in a process of its own, and a browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import soundfile

pytest.importorskip("gradio", reason="the extra studio is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
AVATARS = Path(str(files("talkers") / "avatars"))


class Served(NamedTuple):
    """A server that runs."""

    url: str
    folder: Path  # of the studio
    temporary: Path  # of its jobs
    process: subprocess.Popen[str]


def begin(folder: Path, *arguments: str, port: int = 0) -> Served:
    """Start `talkers serve` with the drawn face and the bundled avatar."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "talkers", "serve", "--port", str(port)]
    command += ["--avatar", "mock", "default", "--folder", str(folder / "studio"), *arguments]
    environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    environment |= {"TALKERS_IDENTITY": str(folder / "identity")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    told = process.stdout.readline()
    found = re.search(r"http://[\d.:]+", told)
    assert found, told
    return Served(found[0], folder / "studio", temporary, process)


def end(server: Served, number: int = signal.SIGTERM) -> None:
    """End a server and wait."""
    server.process.send_signal(number)
    server.process.wait(60)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for all tests of this process. It leaves nothing in its temporary folder."""
    server = begin(tmp_path_factory.mktemp("served"))
    yield server
    end(server)
    assert [p.name for p in server.temporary.iterdir() if p.name.startswith("talkers-")] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a screen, for a whole test file: its driver runs an event loop, which tests
    of other files may not meet."""
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no chromium on this machine; name one in CHROMIUM")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The page, as a new visitor sees it. It may fetch nothing from elsewhere."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    elsewhere: list[str] = []
    context.on(
        "request",
        lambda r: (
            elsewhere.append(r.url)
            if not r.url.startswith((served.url, "data:", "blob:"))
            else None
        ),
    )
    opened = context.new_page()
    opened.set_default_timeout(float(os.environ.get("STUDIO_TEST_WAIT", 60)) * 1_000)
    visit(opened, served.url)
    yield opened
    context.close()
    assert elsewhere == []


def visit(page: Any, url: str) -> None:
    """Open the page, and wait until its own part has looked for work."""
    page.goto(url)
    page.wait_for_selector("#t-work h2")


def give(page: Any, label: str, *paths: Path) -> None:
    """Put files into a field for files."""
    blocks = page.get_by_role("tabpanel").filter(visible=True).locator(".block")
    fields = blocks.filter(has_text=label, has=page.locator("input[type=file]"))
    field = fields.filter(visible=True).first.locator("input[type=file]")
    field.set_input_files([str(p) for p in paths])
    kept(page, paths[0])


def kept(page: Any, path: Path) -> None:
    """Wait until the server has a file. While it is sent the page shows the whole name, and then
    the stem and the suffix apart."""
    shown = page.locator("td.filename .stem", has_text=path.stem[:8])
    shown.filter(visible=True).first.wait_for()


def finished(page: Any, kind: str) -> Any:
    """The newest job of a kind, when it is done or has failed: what is shown in the list."""
    card = page.locator(f'.t-card[data-kind="{kind}"]').first
    page.wait_for_selector(
        f'.t-card[data-kind="{kind}"]:is([data-state=done], [data-state=failed])'
    )
    return card


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of the bundled sentence."""
    samples, rate = soundfile.read(AVATARS / "hello.flac")
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    soundfile.write(path, samples[: round(1.2 * rate)], rate)
    return path


@pytest.fixture(scope="session")
def face() -> Path:
    """A picture of a face."""
    return AVATARS / "default" / "preview.png"
