"""A face on a page that answers: by microphone and by text, interrupted, and gone without a trace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from aioice import ice

from browsing import serious_findings
from rtc_client import RATE, Playback, Viewer, viewing, voice
from served import wait_for
from shown import LiveServer
from talkers.controls.request import Controls
from talkers.dialogue import Conversation, ConversationTerms, Sentence, Turn
from talkers.dialogue.ears import Ears
from talkers.errors import ResourceError
from talkers.runtime.avatar import Avatar
from talkers.server.limits import Limits
from talkers.server.rtc_forms import Offer
from talkers.server.rtc_peer import use_address
from talkers.server.talking import Hearing, TalkMaker
from talks import Hum

SLOW_BLINKS = Controls(blinks=3)  # of the command line
asked_for: list[Controls] = []  # by viewers


class Understands:
    """Speech recognition that always understands the same."""

    def text(self, samples: np.ndarray) -> str:
        return "How are you?"


class Answers:
    """A dialogue that answers with what was said; where it is asked for trouble, it fails."""

    def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
        if "trouble" in turns[-1].text:
            raise ResourceError("the language model is gone", todo="Start it")
        if "fault" in turns[-1].text:
            raise ZeroDivisionError
        yield Sentence("You said this.")
        yield Sentence(turns[-1].text if "long" not in turns[-1].text else "word " * 80)


@pytest.fixture(scope="module")
def server(drawn: Avatar) -> Iterator[LiveServer]:
    """After each test nothing of its session is left."""

    def begin(avatar: Avatar, offer: Offer, on_turn: Callable[[Turn], None]) -> Conversation:
        asked_for.append(offer.controls.over(SLOW_BLINKS))
        terms = ConversationTerms(controls=offer.controls.over(Controls()), live=offer.terms())
        ears = Ears(Understands())
        return Conversation(avatar, Answers(), Hum(), ears=ears, terms=terms, on_turn=on_turn)

    own = ice.get_host_addresses
    use_address("127.0.0.1")
    talker = TalkMaker(begin, "Ada", controls=SLOW_BLINKS)
    with LiveServer({"ada": drawn}, Limits(sessions=1), talker=talker) as server:
        yield server
    ice.get_host_addresses = own


@pytest.fixture(autouse=True)
def nothing_is_left(server: LiveServer) -> Iterator[None]:
    yield
    wait_for(lambda: server.service.sessions == 0)
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "conversation"])


def talked(server: LiveServer, do: Callable[[Viewer], Awaitable[None]], *given: Any) -> Viewer:
    """What a viewer saw who talked."""

    async def view() -> Viewer:
        async with viewing(server.url, *given) as viewer:
            await viewer.until(lambda v: len(v.pictures) > 3)
            await do(viewer)
        return viewer

    return asyncio.run(view())


def turns(viewer: Viewer) -> list[tuple[str, str]]:
    return [(e["speaker"], e["text"]) for e in viewer.told("turn")]


async def until_idle(viewer: Viewer) -> None:
    await viewer.until(lambda v: [e["state"] for e in v.told("state")][-2:] == ["speaking", "idle"])


def test_a_text_is_answered(server: LiveServer) -> None:
    async def write(viewer: Viewer) -> None:
        await viewer.send(type="say", text="  Good\tday!  ")
        await until_idle(viewer)
        await viewer.send(type="say", text="...")
        await viewer.until(lambda v: v.told("error"))
        await viewer.until(lambda v: v.told("status")[-1]["begins"] is not None)

    viewer = talked(server, write)
    assert turns(viewer) == [
        ("user", "Good day!"),
        ("avatar", "You said this."),
        ("avatar", "Good day!"),
    ]
    heard = np.concatenate([s for _, s in viewer.sounds]).astype(float)
    loud = np.abs(heard[: len(heard) // 1920 * 1920].reshape(-1, 1920)).mean(1) > 1_000
    assert loud.sum() == pytest.approx(0.5 * 25, abs=3)  # five words
    assert viewer.told("error")[0]["what"] == "there is nothing in this that can be answered"
    assert 0 < viewer.told("status")[-1]["begins"] < 20


def test_what_is_said_is_heard_and_answered(server: LiveServer) -> None:
    speech = np.concatenate([np.zeros(RATE, np.int16), voice(1)])

    async def speak(viewer: Viewer) -> None:
        await viewer.send(type="listen", on=True)
        await until_idle(viewer)

    viewer = talked(server, speak, Playback(speech))
    assert turns(viewer)[:1] == [("user", "How are you?")]
    assert ("avatar", "How are you?") in turns(viewer)
    does = [event["does"] for event in viewer.told("talk")]
    assert "listens" in does
    assert all(event["follows"] is None for event in viewer.told("status"))


def test_a_recording_is_heard_too(server: LiveServer) -> None:
    async def play(viewer: Viewer) -> None:
        await viewer.socket.send(np.zeros(RATE, np.int16).tobytes() + voice(1).tobytes())
        await viewer.send(type="flush")
        await until_idle(viewer)
        await viewer.socket.send(bytes(2 * 31 * RATE)[: 1 << 20])
        await viewer.socket.send(bytes(2 * 31 * RATE)[: 1 << 20])
        await viewer.socket.send(bytes(2 * 31 * RATE)[: 1 << 20])
        await viewer.until(lambda v: v.told("error"))
        await viewer.send(type="interrupt")  # what waits is forgotten

    viewer = talked(server, play)
    assert turns(viewer)[:2] == [("user", "How are you?"), ("avatar", "You said this.")]
    assert "sound wait already" in viewer.told("error")[0]["what"]


def test_it_obeys_and_goes_on_after_trouble(server: LiveServer) -> None:
    async def interrupt(viewer: Viewer) -> None:
        await viewer.send(type="set", controls={"pose_offset": [10, 0, 0]})
        await viewer.send(type="set", controls={"blinks": 61})
        await viewer.until(lambda v: len(v.told("error")) == 1)
        await viewer.send(type="say", text="Something long.")
        await viewer.until(lambda v: [e for e in v.told("state") if e["state"] == "speaking"])
        await viewer.until(lambda v: ("avatar", "word " * 80) in turns(v))
        await viewer.send(type="interrupt")
        await viewer.until(lambda v: v.told("interrupted"))
        await until_idle(viewer)
        await viewer.send(type="say", text="Make trouble.")
        await viewer.until(lambda v: len(v.told("error")) == 2)
        await viewer.send(type="say", text="Find a fault.")
        await viewer.until(lambda v: len(v.told("error")) == 3)
        await viewer.send(type="say", text="Go on.")
        await viewer.until(lambda v: ("avatar", "Go on.") in turns(v))

    viewer = talked(server, interrupt)
    assert 0 < viewer.told("interrupted")[0]["seconds"] < 8
    assert [e["what"] for e in viewer.told("error")][1] == "the language model is gone"


def test_the_end_of_sound_is_heard_however_much_waits() -> None:
    class Listener:
        seconds, ended, told = 0.0, 0, 0

        def push_audio(self, samples: np.ndarray, rate: int) -> None:
            self.seconds += len(samples) / rate
            if len(samples) == 1:
                raise ValueError

        def end_audio(self) -> None:
            self.ended += 1

    heard = Listener()

    async def hear() -> None:
        async def tell_error(error: BaseException) -> None:
            heard.told += isinstance(error, ValueError)

        hearing = Hearing(heard)  # type: ignore[arg-type]
        hearing.hear(np.zeros(RATE, np.int16), RATE, Fraction(0))  # it is off
        hearing.listen(True)
        for second in range(40):
            hearing.hear(np.zeros(RATE, np.int16), RATE, Fraction(second))
        hearing.listen(False)
        hearing.put(np.zeros(1, np.int16), RATE)
        work = asyncio.create_task(hearing.run(tell_error))
        while hearing.queued:
            await asyncio.sleep(0.01)
        hearing.put(np.zeros(RATE, np.int16), RATE)
        hearing.forget()
        assert hearing.queued == 0
        while heard.ended < 2:
            await asyncio.sleep(0.01)
        work.cancel()

    asyncio.run(hear())
    assert (round(heard.seconds), heard.ended, heard.told) == (30, 2, 1)


def test_the_page_shows_the_talk(server: LiveServer, browser_page: Any) -> None:
    page = browser_page
    page.goto(server.url)
    page.locator("#talk").wait_for()
    assert "answers" in page.locator("#cover-text").inner_text()
    page.get_by_role("button", name="Start").click()
    page.locator("body[data-phase=live]").wait_for()
    assert not page.get_by_label("I wear headphones").is_visible()  # it is heard all the time
    assert asked_for[-1] == SLOW_BLINKS  # the page's own say nothing until they are moved
    page.get_by_label("What you say to it").fill("Hello!")
    page.keyboard.press("Enter")
    page.locator("#turns li", has_text="You said this. Hello!").wait_for()
    assert page.locator("#turns li").all_inner_texts() == [
        "You Hello!",
        "Ada You said this. Hello!",
    ]
    assert page.get_by_label("What you say to it").input_value() == ""
    page.get_by_label("What you say to it").fill("Tell me a long story.")
    page.keyboard.press("Enter")
    page.locator("#turns li", has_text="word word").wait_for()
    page.locator("#state", has_text="Speaking").wait_for()
    page.keyboard.press("Escape")
    page.locator("#turns li[data-cut]", has_text="word word").wait_for()
    page.get_by_role("button", name="Microphone").click()
    page.locator("#turns li", has_text="How are you?").first.wait_for()
    assert not page.locator("#face").evaluate("face => face.muted")  # or it could not interrupt
    assert not serious_findings(page)
    page.get_by_role("button", name="End", exact=True).click()
