"""The page of talkers live in a real browser: connected, heard, seen, interrupted, refused, connected again, and closed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from aioice import ice

import talkers
from browsing import serious_findings
from rtc_client import voice
from served import wait_for
from shown import LiveServer
from talkers.runtime.avatar import Avatar
from talkers.server.limits import Limits
from talkers.server.rtc_peer import use_address
from talkers.server.saying import Voices
from talkers.speech.voices import Said

HELLO = Path(talkers.__file__).parent / "avatars" / "hello.flac"
# How many pixels are dark where the drawn face has its mouth; and the loudest sound so far
LOOK = """() => {
  const face = document.getElementById("face"), canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const pen = canvas.getContext("2d");
  pen.drawImage(face, 0, 0, 256, 256);
  const pixels = pen.getImageData(80, 140, 96, 80).data;
  let dark = 0;
  for (let k = 0; k < pixels.length; k += 4) dark += Math.max(pixels[k], pixels[k + 1], pixels[k + 2]) < 90;
  if (window.heard !== face.srcObject && face.srcObject) {
    const context = new AudioContext();
    window.heard = face.srcObject;
    window.ear = context.createAnalyser();
    context.createMediaStreamSource(window.heard).connect(window.ear);
  }
  const sound = new Float32Array(window.ear ? window.ear.fftSize : 1);
  window.ear?.getFloatTimeDomainData(sound);
  window.peak = Math.max(window.peak ?? 0, ...sound);
  const shown = face.getVideoPlaybackQuality().totalVideoFrames;
  if (shown > 3) window.widest = Math.max(window.widest ?? 0, dark); // it is black before
  return { dark, shown, peak: window.peak, widest: window.widest ?? 0, muted: face.muted };
}"""
PICTURE = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 32;
  const pen = canvas.getContext("2d");
  pen.drawImage(document.getElementById("face"), 0, 0, 32, 32);
  return [...pen.getImageData(0, 0, 32, 32).data].filter((_, k) => k % 4 === 1);
}"""


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "get_host_addresses", ice.get_host_addresses)  # it is put back
    use_address("127.0.0.1")


@pytest.fixture
def server(drawn: Avatar) -> Iterator[LiveServer]:
    with LiveServer({"ann": drawn, "bob": drawn}, Limits(sessions=1)) as server:
        yield server
        wait_for(lambda: server.service.sessions == 0)


def live(page: Any) -> None:
    page.locator("body[data-phase=live]").wait_for()


def until(page: Any, what: str, above: float) -> dict[str, float]:
    """Look until a number is so large."""
    ends, seen = time.monotonic() + 40, dict[str, float]()
    while time.monotonic() < ends:
        seen = page.evaluate(LOOK)
        if seen[what] > above:
            return seen
        page.wait_for_timeout(50)
    raise AssertionError(seen)


def test_the_face_says_what_the_microphone_hears(server: LiveServer, browser_page: Any) -> None:
    page = browser_page
    page.goto(server.url)
    page.locator("#preview[src*=ann]").wait_for()
    assert serious_findings(page) == []
    assert "Synthetic" in page.inner_text("header")
    page.click("#start")
    live(page)
    until(page, "shown", 5)
    before = page.evaluate(PICTURE)
    closed = page.evaluate(LOOK)["dark"]
    page.click("#microphone")
    seen = until(page, "widest", closed + 40)
    assert seen["muted"]  # it would hear itself
    page.check("#headphones")
    assert not until(page, "peak", 0.02)["muted"]
    assert np.abs(np.subtract(page.evaluate(PICTURE), before)).max() > 20
    page.locator("#delay", has_text="ms").wait_for()
    assert "from your voice" in page.inner_text("#delay-name")
    assert int(page.inner_text("#delay").split()[0]) > int(page.inner_text("#server").split()[0])
    assert page.inner_text("#pictures").endswith(("/s", "skipped"))
    assert serious_findings(page) == []
    page.click("#microphone")
    page.click("#end")
    page.locator("#start", has_text="Start").wait_for()
    wait_for(lambda: server.service.sessions == 0)


def test_with_the_keyboard_on_a_telephone_in_the_dark(
    server: LiveServer, browser_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tone:
        rate, language = 16_000, "en-us"

        def say(self, text: str, speed: float = 1.0) -> Said:
            return Said(0.3 * np.sin(np.arange(160_000, dtype=np.float32) * 0.2))

    monkeypatch.setattr(Voices, "get", lambda self, name: Tone())
    soundfile.write(tmp_path / "long.wav", voice(30), 48_000, subtype="PCM_16")
    page = browser_page
    page.set_viewport_size({"width": 375, "height": 720})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.goto(server.url)
    page.locator("#preview[src*=ann]").wait_for()

    def tab_to(name: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == name:
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("start")
    page.keyboard.press("Enter")
    live(page)
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    tops = [page.locator(what).bounding_box()["y"] for what in ("#face", "#text", "#delay")]
    assert tops == sorted(tops)  # figures come last
    tab_to("text")
    page.keyboard.press("Enter")  # nothing was written
    page.locator("#message", has_text="nothing to say").wait_for()
    page.keyboard.type("Hello.")
    page.keyboard.press("Enter")
    page.locator("#state", has_text="Speaking").wait_for()
    page.locator("#delay-name", has_text="until it begins").wait_for()
    page.keyboard.press("Escape")
    page.locator("#message", has_text="Interrupted after").wait_for()
    page.locator("#state", has_text="Idle").wait_for()
    page.set_input_files("#file", tmp_path / "long.wav")
    page.locator("#play").focus()
    page.keyboard.press("Space")
    page.locator("#state", has_text="Speaking").wait_for()
    until(page, "widest", 60)
    page.keyboard.press("Escape")
    page.locator("#state", has_text="Idle").wait_for()
    page.locator("#yaw").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("output[for=yaw]") == "2°"
    page.set_input_files("#file", {"name": "x.wav", "mimeType": "audio/wav", "buffer": b"none"})
    page.click("#play")
    page.locator("#message", has_text="no sound that this browser can read").wait_for()
    assert serious_findings(page) == []
    page.select_option("#avatar", "bob")  # another face is another session
    page.locator("#preview[src*=bob]").wait_for()
    live(page)


def test_one_more_viewer_is_refused_until_the_first_has_closed_the_page(
    server: LiveServer, browser_page: Any, browser: Any
) -> None:
    first = browser.new_page()
    first.goto(server.url)
    first.click("#start")
    live(first)
    page = browser_page
    page.goto(server.url)
    page.click("#start")
    page.locator("#cover-text", has_text="no place for another live session").wait_for()
    assert serious_findings(page) == []
    first.close()
    wait_for(lambda: server.service.sessions == 0)
    page.get_by_role("button", name="Try again").click()
    live(page)


def test_it_connects_again_when_the_server_is_back(drawn: Avatar, browser_page: Any) -> None:
    page = browser_page
    page.expected += [
        "ERR_CONNECTION_REFUSED",
        "WebSocket connection",
    ]  # Chromium logs these itself
    with LiveServer({"ann": drawn}, Limits(sessions=1)) as server:
        page.goto(server.url)
        page.click("#start")
        live(page)
    page.locator("body[data-phase=lost]").wait_for()
    page.locator("#state", has_text="Connection lost").wait_for()
    with LiveServer({"ann": drawn}, Limits(sessions=1), server.port) as again:
        live(page)
        until(page, "shown", 3)
        assert again.service.sessions == 1
        page.click("#end")
        wait_for(lambda: again.service.sessions == 0)


def test_the_bundled_face_says_a_file(bundled: Avatar, browser_page: Any) -> None:
    page = browser_page
    with LiveServer({"default": bundled}, Limits(sessions=1)) as server:
        page.goto(server.url)
        page.click("#start")
        live(page)
        until(page, "shown", 3)
        page.set_input_files("#file", HELLO)
        page.click("#play")
        page.locator("#state", has_text="Speaking").wait_for()
        until(page, "peak", 0.02)
        seen = []
        for _ in range(12):
            page.wait_for_timeout(150)
            seen.append(np.array(page.evaluate(PICTURE)).reshape(32, 32))
        spread = np.std(seen, axis=0)
        assert page.inner_text("#state").endswith("Speaking")
        assert spread[19:27, 11:21].mean() > 1.5 * spread[:7, :7].mean() + 0.5  # mouth and wall
        page.keyboard.press("Escape")
        page.click("#end")
        wait_for(lambda: server.service.sessions == 0)
