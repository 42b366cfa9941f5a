"""Make the guide's pictures of the studio from a server that runs: light, dark and on a phone.

talkers serve --avatar default &
python docs/_tools/studio_pictures.py http://127.0.0.1:7860 PHOTO
"""

from __future__ import annotations

import io
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent.parent / "pictures"
SPEECH = str(files("talkers") / "avatars" / "hello.flac")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WAIT = 300_000  # milliseconds
LOOKS: dict[str, dict[str, Any]] = {
    "studio-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "studio-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "studio-phone": {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 1.5},
}


def file_field(page: Page, label: str) -> Any:
    """The input of a field for files."""
    fields = page.locator(".block").filter(has_text=label, has=page.locator("input[type=file]"))
    return fields.filter(visible=True).first.locator("input[type=file]")


def speak(page: Page) -> None:
    """Let the first avatar say the bundled sentence."""
    file_field(page, "Speech file").set_input_files(SPEECH)
    page.get_by_text("hello.flac").wait_for()
    page.click("#t-speak")
    page.wait_for_selector("#t-stage video")
    page.evaluate("document.querySelector('#t-stage video').currentTime = 2.5")
    page.wait_for_timeout(1_500)


def portrait(page: Page, photo: str) -> None:
    """Make an avatar of a photo."""
    page.get_by_role("tab", name="Create").click()
    file_field(page, "Photo: one face").set_input_files(photo)
    page.get_by_alt_text("The face that was found").wait_for()
    page.get_by_label("Name of the avatar").filter(visible=True).fill("Ada")
    consent = page.get_by_label("Who agreed to be shown").filter(visible=True).first
    consent.fill("Nobody is shown: the face is synthetic")
    page.click("#t-portrait")
    page.get_by_alt_text("The avatar Ada").wait_for()
    page.wait_for_timeout(1_000)


def main() -> None:
    """Write the pictures."""
    url, photo = sys.argv[1:3]
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        for name, look in LOOKS.items():
            page = chromium.new_context(**look).new_page()
            page.set_default_timeout(WAIT)
            page.goto(url)
            page.wait_for_selector("#t-work h2")
            if name == "studio-dark":
                portrait(page, photo)
            else:
                speak(page)
            if name == "studio-phone":
                page.locator("#t-stage").scroll_into_view_if_needed()
                page.locator("#t-stage").evaluate("(e) => e.scrollIntoView()")
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(PICTURES / f"{name}.jpg", quality=80, optimize=True)
            page.context.close()
        chromium.close()


if __name__ == "__main__":
    main()
