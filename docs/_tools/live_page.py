"""Make the pictures of the live page: the bundled avatar in headless Chromium, while it says a recording, and while it answers.

Run it on an idle machine: the page shows how late the face is.

python docs/_tools/live_page.py
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent.parent / "pictures"
WIDTH, HEIGHT = 1100, 810
SPOKEN = 2_500  # ms after it has begun to speak
SAM = """name = "Sam"
style = "warm and curious"
facts = ["I am a baker in London.", "I have a dog named Max.", "I love old films."]
"""


def play(page: Any) -> None:
    """Let it say a recording."""
    page.set_input_files("#file", str(files("talkers") / "avatars" / "hello.flac"))
    page.click("#play")


def ask(page: Any) -> None:
    """Let it answer."""
    page.fill("#text", "Hello Sam! What do you do?")
    page.click("#say-it")


def screenshot(url: str, do: Callable[[Any], None]) -> bytes:
    """PNG of the page while the face speaks."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        path = shutil.which("chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(60_000)
        page.goto(url)
        page.click("#start")
        page.locator("body[data-phase=live]").wait_for()
        do(page)
        page.locator("#state", has_text="Speaking").wait_for()
        page.wait_for_timeout(SPOKEN)
        taken = page.screenshot()
        chromium.close()
    return taken


def take(name: str, arguments: list[str], do: Callable[[Any], None]) -> None:
    """Serve, look, and write."""
    command = [sys.executable, "-m", "talkers", *arguments, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        taken = screenshot(server.stdout.readline().split()[1], do)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").save(PICTURES / name, quality=82, optimize=True)
    print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size // 1000} kB")


def main() -> None:
    """Both pages."""
    take("live.jpg", ["live"], play)
    with tempfile.TemporaryDirectory() as folder:
        persona = Path(folder) / "sam.toml"
        persona.write_text(SAM)
        take("chat.jpg", ["chat", "--live", "--persona", str(persona)], ask)


if __name__ == "__main__":
    main()
