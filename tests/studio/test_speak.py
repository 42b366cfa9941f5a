"""Speak: a recording, a text, an own photo; and what is said of what does not do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from studio_server import Served, finished, give, visit
from talkers.media import decode_frames, probe
from talkers.media.manifest import read_manifest
from talkers.media.watermark import find


def begin_speaking(page: Any, speech: Path, avatar: str = "mock") -> None:
    choose(page, "Avatar", avatar)
    give(page, "Speech file", speech)
    page.click("#t-speak")


def choose(page: Any, label: str, option: str) -> None:
    field = page.get_by_role("tabpanel").filter(visible=True).get_by_label(label, exact=True)
    if field.input_value() != option:
        field.click()
        page.get_by_role("option", name=option).click()


@pytest.mark.parametrize("avatar", ["mock", "default"])
def test_a_recording_becomes_a_video_that_is_downloaded(
    page: Any, speech: Path, tmp_path: Path, avatar: str
) -> None:
    begin_speaking(page, speech, avatar)
    page.get_by_text("Speaking with").or_(page.get_by_text("It has begun")).wait_for()
    assert finished(page, "speak").get_attribute("data-state") == "done"
    page.locator("#t-stage video").wait_for()
    assert page.locator("#t-stage .t-row svg path").count() == 5  # sound, mouth, yaw, pitch, roll
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    path = tmp_path / "out.mp4"
    download.value.save_as(path)
    assert download.value.suggested_filename == f"{avatar}.mp4"
    assert abs(float(probe(path).duration or 0) - 1.2) < 0.05
    assert read_manifest(path).by_machine
    assert find(decode_frames(path)).there


def test_controls_reach_the_avatar(page: Any, speech: Path) -> None:
    page.get_by_role("button", name="Controls").click()
    page.get_by_label("Still").check()
    give(page, "Speech file", speech)
    page.click("#t-speak")
    finished(page, "speak")
    assert "0° to 0°" in page.locator("#t-stage .t-row", has_text="Yaw").inner_text()
    page.get_by_label("Fixed angles").check()
    page.get_by_label("number input for Yaw, degrees").fill("8")
    page.get_by_label("number input for Yaw, degrees").press("Tab")
    page.click("#t-speak")
    page.locator(".t-card[data-state=done]").nth(1).wait_for()
    page.locator("#t-stage .t-row", has_text="8° to 8°").wait_for()


def test_what_the_microphone_hears_is_said(page: Any) -> None:
    page.get_by_label("My microphone").check()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2_000)
    held = list[Any]()
    page.route("**/upload*", lambda route: held.append(route))
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.get_by_label("Play", exact=True).first.wait_for()  # it is there, and not sent yet
    choose(page, "Avatar", "mock")
    page.click("#t-speak")
    page.get_by_role("alert").filter(has_text="still being sent").wait_for()
    with page.expect_response("**/file=**"):  # the page takes it from the server, once it is there
        held[0].continue_()
    page.click("#t-speak")
    assert finished(page, "speak").get_attribute("data-state") == "done"
    page.locator("#t-stage video").wait_for()
    heard = page.locator("#t-stage video").evaluate("video => video.duration")
    assert 1 < heard < 20


def test_a_text_is_said(page: Any) -> None:
    if importlib.util.find_spec("piper") is None:
        pytest.skip("the extra say is not installed")
    page.get_by_label("A text").check()
    page.get_by_label("Text", exact=True).fill("Good morning.")
    page.click("#t-speak")
    card = finished(page, "speak")
    if card.get_attribute("data-state") == "failed" and "joe" in card.inner_text():
        pytest.skip("the voice joe is not on this machine")
    page.locator("#t-stage video").wait_for()


def test_a_photo_speaks_and_stays_as_an_avatar(page: Any, speech: Path, face: Path) -> None:
    page.get_by_label("A photo of mine").check()
    give(page, "Photo: one face", face)
    page.get_by_alt_text("The face that was found").wait_for()
    give(page, "Speech file", speech)
    page.click("#t-speak")
    alert = page.get_by_role("tabpanel").get_by_role("alert")
    assert "Nobody is said to have agreed" in alert.inner_text()
    page.get_by_label("Name of the avatar").filter(visible=True).fill("Ada")
    page.get_by_label("Who agreed to be shown").filter(visible=True).fill("I, Ada, agree")
    page.click("#t-speak")
    card = finished(page, "speak")
    assert card.get_attribute("data-state") == "done", card.inner_text()
    page.get_by_role("button", name="Speak: Ada").click()
    page.wait_for_function("document.querySelector('[aria-label=Avatar]')?.value.startsWith('Ada')")


def test_what_does_not_do_is_said(page: Any, tmp_path: Path) -> None:
    alert = page.get_by_role("tabpanel").get_by_role("alert")
    page.click("#t-speak")
    alert.wait_for()
    assert alert.inner_text() == (
        "There is no speech file yet. "
        "Give one; if you just did, it is still being sent: try again in a moment."
    )
    text = tmp_path / "notes.wav"
    text.write_text("this is no sound")
    give(page, "Speech file", text)
    page.click("#t-speak")
    page.get_by_role("alert").filter(has_text="(speech)").wait_for()
    assert "Traceback" not in page.content()
    assert str(tmp_path) not in page.content()
    assert page.locator(".t-card").count() == 0
    wall = tmp_path / "wall.png"
    from PIL import Image

    Image.new("RGB", (300, 300), "grey").save(wall)
    page.get_by_label("A photo of mine").check()
    give(page, "Photo: one face", wall)
    page.get_by_role("alert").filter(has_text="No face is seen in this picture").wait_for()
    give_text = page.get_by_label("A text")
    give_text.check()
    page.get_by_label("Text", exact=True).wait_for()
    page.click("#t-speak")
    page.get_by_role("alert").filter(has_text="There is no text yet").wait_for()


def test_a_reload_in_the_middle_loses_nothing(
    page: Any, served: Served, speech: Path, tmp_path: Path
) -> None:
    import soundfile

    samples, rate = soundfile.read(speech)
    long = tmp_path / "long.wav"
    soundfile.write(long, [*samples] * 8, rate)
    begin_speaking(page, long, "default")
    page.locator(".t-card[data-state=running]").wait_for()
    page.locator(".t-card progress[value]").wait_for()
    visit(page, served.url)
    page.locator(".t-card[data-state=running]").wait_for()
    page.get_by_text("left").wait_for()  # how long it takes yet
    page.get_by_role("button", name="Cancel: default: speaks").click()
    page.locator(".t-card").wait_for(state="detached")
    assert json.loads(page.request.get(f"{served.url}/studio/work").text())["jobs"] == []
