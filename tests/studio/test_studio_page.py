"""The page as such: phone, keyboard, accessibility; and that it is nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from studio_server import Served, finished, give, kept, visit

TABS = ("Speak", "Create", "Dub", "Compare", "Verify")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, served: Served, speech: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    visit(page, served.url)
    give(page, "Speech file", speech)
    page.click("#t-speak")
    finished(page, "speak")
    page.get_by_role("button", name="Controls").click()
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tab", name=name, selected=True).wait_for()
        found = axe.run(page).response
        assert len(found["passes"]) > 20
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []


def test_everything_fits_a_phone(page: Any, served: Served) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    visit(page, served.url)
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tab", name=name, selected=True).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        # nor is anything cut off: what is beyond the edge cannot be scrolled to
        beyond = """[...document.querySelectorAll('#t-columns *')].filter(e => e.checkVisibility({
            visibilityProperty: true}) && e.getBoundingClientRect().width > 0 &&
            e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))"""
        assert page.evaluate(beyond) == [], name


def test_the_keyboard_alone_makes_a_video(page: Any, speech: Path) -> None:
    with page.expect_file_chooser() as chooser:
        press_until(
            page,
            "Tab",
            "document.activeElement.closest('.block')?.innerText.includes('Speech file')",
        )
        page.keyboard.press("Enter")
    chooser.value.set_files(speech)
    kept(page, speech)
    press_until(page, "Tab", "document.activeElement.id === 't-speak'")
    page.keyboard.press("Enter")
    finished(page, "speak")
    press_until(
        page, "Tab", "document.activeElement.getAttribute('aria-label') === 'Remove: mock: speaks'"
    )
    page.keyboard.press("Enter")
    page.locator(".t-card").wait_for(state="detached")


def press_until(page: Any, key: str, condition: str) -> None:
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(condition):
            return
    raise AssertionError(f"{key} never led there: {condition}")


def test_what_is_one_visitors_is_no_others(
    browser: Any, page: Any, served: Served, speech: Path
) -> None:
    with page.expect_response(lambda r: "/gradio_api/upload?" in r.url and r.ok) as sent:
        give(page, "Speech file", speech)
    path = sent.value.json()[0]
    page.click("#t-speak")
    job = finished(page, "speak").get_attribute("data-id")
    addresses = [
        f"/gradio_api/file={quote(path)}",
        f"/studio/jobs/{job}/files/video.mp4",
        f"/studio/jobs/{job}/training",
    ]
    other = browser.new_context()
    assert other.request.get(f"{served.url}/studio/work").status == 403  # no visitor yet
    assert other.request.get(f"{served.url}{addresses[0]}").status == 403
    other.request.get(served.url)
    assert other.request.get(f"{served.url}/studio/work").json()["jobs"] == []
    for address in addresses:
        assert other.request.get(served.url + address).status == 404, address
        assert page.request.get(served.url + address).ok, address
    assert other.request.delete(f"{served.url}/studio/jobs/{job}").status == 404
    assert other.request.post(f"{served.url}/studio/jobs/{job}/pause").status == 404
    for hidden in (f"{served.temporary}/x", "/etc/passwd", "http://127.0.0.1:1/", "../x"):
        answer = page.request.get(f"{served.url}/gradio_api/file={quote(hidden)}")
        assert answer.status == 404, hidden
    other.close()


@pytest.mark.parametrize(
    "path",
    [
        "monitoring",
        "gradio_api/vibe-code",
        "gradio_api/proxy=http://127.0.0.1",
        "dev/reload",
        "login",
        "gradio_api/run/speak",
        "gradio_api/call/speak",
        "gradio_api/runs",
        "docs",
        "nothing",
    ],
)
def test_only_what_the_page_needs_is_let_through(page: Any, served: Served, path: str) -> None:
    for answer in (
        page.request.get(f"{served.url}/{path}"),
        page.request.post(f"{served.url}/{path}"),
    ):
        assert answer.status in (404, 405)
        assert answer.json()["what"]


def test_other_sites_and_other_names_stay_outside(page: Any, served: Served) -> None:
    get = page.request.get
    assert get(served.url, headers={"Host": "evil.example"}).status == 403
    assert get(f"{served.url}/studio/work", headers={"Origin": "http://evil.example"}).status == 403
    assert get(f"{served.url}/studio/work", headers={"Origin": "http://localhost:1"}).status == 403
    policy = get(served.url).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert get(f"{served.url}/health").ok  # the API is as it was
    assert get(f"{served.url}/openapi.json").json()["info"]["title"] == "talkers"
