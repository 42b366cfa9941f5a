"""Verify, Create, Dub and Compare, on the real server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from studio_server import Served, finished, give
from talkers.runtime.avatar import Avatar


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """The bundled avatar says something: a face that a tracker finds."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    Avatar.load().speak(speech).save(path)
    return path


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.get_by_role("tab", name=name, selected=True).wait_for()


def test_a_generated_video_is_known(page: Any, film: Path) -> None:
    tab(page, "Verify")
    give(page, "Video to verify", film)
    page.click("#t-verify")
    finished(page, "verify")
    page.get_by_text("This video says that a machine made it.").wait_for()
    assert "talkers" in page.locator("#t-stage dl").inner_text()


def test_a_photo_becomes_an_avatar_that_opens_in_speak(
    page: Any, served: Served, face: Path
) -> None:
    tab(page, "Create")
    give(page, "Photo: one face", face)
    page.get_by_label("Name of the avatar").filter(visible=True).fill("Bob")
    page.get_by_label("Who agreed to be shown").filter(visible=True).first.fill("I, Bob, agree")
    page.click("#t-portrait")
    assert finished(page, "portrait").get_attribute("data-state") == "done"
    page.get_by_alt_text("The avatar Bob").wait_for()
    page.get_by_role("button", name="Speak with it").click()
    page.get_by_role("tab", name="Speak", selected=True).wait_for()
    page.wait_for_function("document.querySelector('[aria-label=Avatar]').value.startsWith('Bob')")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete: Bob").click()
    page.locator(".t-avatar").wait_for(state="detached")
    assert list(served.folder.glob("*/avatars/Bob")) == []


def test_footage_is_checked_with_pictures_of_the_moments(page: Any, film: Path) -> None:
    tab(page, "Create")
    give(page, "Footage", film)
    page.click("#t-check")
    assert finished(page, "check").get_attribute("data-state") == "done"
    page.locator("#t-stage .t-verdict").wait_for()
    assert "film.mp4" in page.locator("#t-work").inner_text()


def test_a_film_is_dubbed(page: Any, film: Path, speech: Path) -> None:
    tab(page, "Dub")
    give(page, "Film of a face", film)
    give(page, "Speech that it is to say", speech)
    page.click("#t-dub")
    page.get_by_role("alert").filter(has_text="Nobody is said to have agreed").wait_for()
    page.get_by_label("Who agreed to be shown saying other words").fill("Ada agreed")
    page.click("#t-dub")
    card = finished(page, "dub")
    assert card.get_attribute("data-state") == "done", card.inner_text()
    page.locator("#t-stage video").wait_for()


def test_two_videos_play_in_step(page: Any, film: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(film, tmp_path / "other.mp4"))
    tab(page, "Compare")
    give(page, "First video", film)
    give(page, "Second video", other)
    page.click("#t-compare")
    card = finished(page, "compare")
    assert card.get_attribute("data-state") == "done", card.inner_text()
    figures = page.locator("#t-stage tbody tr", has_text="csim")
    assert float(figures.locator("td").first.inner_text()) == pytest.approx(1)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        """() => {
          const [first, second] = document.querySelectorAll(".t-pair video");
          return first.currentTime > 0.3 && Math.abs(first.currentTime - second.currentTime) < 0.12;
        }"""
    )
