"""Make the picture of the live page: the bundled avatar in headless Chromium, in the middle of its sentence.

python docs/_tools/live_page.py
"""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent.parent / "pictures" / "live.jpg"
WIDTH, HEIGHT = 1100, 810
SPOKEN = 2_500  # ms after it has begun to speak


def screenshot(url: str) -> bytes:
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
        page.set_input_files("#file", str(files("talkers") / "avatars" / "hello.flac"))
        page.click("#play")
        page.locator("#state", has_text="Speaking").wait_for()
        page.wait_for_timeout(SPOKEN)
        taken = page.screenshot()
        chromium.close()
    return taken


def main() -> None:
    """Serve, look, and write."""
    command = [sys.executable, "-m", "talkers", "live", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        taken = screenshot(server.stdout.readline().split()[1])
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").save(PICTURE, quality=82, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
