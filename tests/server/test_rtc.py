"""A live face over WebRTC, seen by a client without a browser: in step, obedient, declared, and gone without a trace."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from aioice import ice
from numpy.typing import NDArray
from PIL import Image
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from rtc_client import RATE, Playback, Viewer, viewing, voice
from served import wait_for
from shown import LiveServer
from talkers.media import watermark
from talkers.media.manifest import SOURCE
from talkers.runtime.avatar import Avatar
from talkers.runtime.live_session import LiveSession
from talkers.server.limits import Limits
from talkers.server.rtc_peer import Peer, use_address
from talkers.server.saying import Voices
from talkers.speech.voices import Said

LIMITS = Limits(sessions=1, characters=100)


@pytest.fixture(scope="module")
def server(drawn: Avatar) -> Iterator[LiveServer]:
    """One server for all of these; after each test nothing of its session is left."""
    own = ice.get_host_addresses
    use_address("127.0.0.1")
    with LiveServer({"ann": drawn, "bob": drawn}, LIMITS) as server:
        yield server
    ice.get_host_addresses = own


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        running: LiveServer = request.getfixturevalue("server")
        wait_for(lambda: running.service.sessions == 0)
        wait_for(lambda: not [t for t in threading.enumerate() if "decoder" in t.name])


def watched(
    server: LiveServer, do: Callable[[Viewer], Awaitable[None]], *given: Any, **wanted: Any
) -> Viewer:
    """What a viewer saw who did something."""

    async def view() -> Viewer:
        async with viewing(server.url, *given, **wanted) as viewer:
            await do(viewer)
        return viewer

    return asyncio.run(view())


async def spoken(viewer: Viewer, seconds: float = 2.0) -> None:
    """Send sound, and wait until it was said."""
    await viewer.until(lambda v: len(v.pictures) > 3)
    await viewer.socket.send(voice(seconds).tobytes())
    await viewer.send(type="flush")
    await until_idle(viewer)


async def until_idle(viewer: Viewer) -> None:
    """Wait until it has spoken, and what was heard and seen since then has come."""
    await viewer.until(lambda v: [e["state"] for e in v.told("state")][-2:] == ["speaking", "idle"])
    idle = viewer.told("state")[-1]["pts"]
    await viewer.until(lambda v: min(v.sounds[-1][0], v.pictures[-1][0]) > idle + 0.3)


def loudness(viewer: Viewer) -> NDArray[np.float64]:
    """Of each of the session's frames: [T]."""
    samples = np.concatenate([s for _, s in viewer.sounds]).astype(float)
    return np.abs(samples[: len(samples) // 1920 * 1920].reshape(-1, 1920)).mean(1)


def mouths(viewer: Viewer) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which frames were seen, and how far the mouth was open in each: dark pixels in its place."""
    dark = [(p[140:220, 80:176].max(-1) < 90).sum() for _, p in viewer.pictures]
    return np.array([round(at * 25) for at, _ in viewer.pictures]), np.array(dark, float)


def test_picture_and_sound_are_in_step_and_say_that_they_are_synthetic(server: LiveServer) -> None:
    viewer = watched(server, spoken, avatar="bob")
    assert (viewer.hello["synthetic"], viewer.hello["avatar"]) == (True, "bob")
    assert viewer.hello["digital_source_type"] == SOURCE
    assert f"a=digital-source-type:{SOURCE}" in viewer.hello["answer"].splitlines()
    assert "127.0.0.1" in viewer.hello["answer"]
    heard, (frames, opened) = loudness(viewer), mouths(viewer)
    times = np.array([at for at, _ in viewer.sounds])
    assert np.allclose(np.diff(times), 0.02)  # without a gap
    said = np.flatnonzero(heard > 100)
    first, last = said[0], said[-1]
    assert len(said) == last - first + 1 == pytest.approx(50, abs=2)
    within, outside = (
        (frames > first + 3) & (frames < last - 3),
        (frames < first - 2) | (frames > last + 5),
    )
    assert within.sum() > 1
    assert outside.sum() > 1
    assert opened[within].min() > opened[outside].max() + 30
    assert watermark.find(p for _, p in viewer.pictures).there
    corner = viewer.pictures[-1][1][-14:, :60].astype(int)
    assert (corner.min(-1) > 200).sum() > 40  # white letters
    report = viewer.told("status")[-1]
    assert 0 < report["begins"] < 20
    assert report["pictures"] > 1


def test_the_face_says_what_the_microphone_hears(server: LiveServer) -> None:
    async def listen(viewer: Viewer) -> None:
        await viewer.until(lambda v: len(v.pictures) > 3)
        await viewer.send(type="listen", on=True)
        await viewer.until(lambda v: [e for e in v.told("status") if e["follows"]])
        await viewer.until(lambda v: v.told("state")[-1]["state"] == "idle")
        await viewer.send(type="listen", on=False)

    speech = np.concatenate([np.zeros(RATE, np.int16), voice(1.5)])
    viewer = watched(server, listen, Playback(speech))
    (follows,) = [e["follows"] for e in viewer.told("status") if e["follows"]][:1]
    assert 0.2 < follows < 20
    assert loudness(viewer).max() > 1_000
    assert "talkers_live_delay_seconds_count" in server.get("/metrics")


def test_it_obeys(server: LiveServer) -> None:
    async def interrupt(viewer: Viewer) -> None:
        await viewer.socket.send(voice(5).tobytes())
        await viewer.until(lambda v: [e for e in v.told("state") if e["state"] == "speaking"])
        await viewer.until(lambda v: len(v.sounds) and np.abs(v.sounds[-1][1]).max() > 500)
        await viewer.send(type="set", controls={"pose_offset": [10, 0, 0]})
        await viewer.send(type="set", controls={"blinks": 61})
        await viewer.until(lambda v: v.told("error"))  # and it goes on
        await viewer.send(type="interrupt")
        await viewer.until(lambda v: v.told("interrupted"))
        await until_idle(viewer)

    viewer = watched(server, interrupt)
    assert 0 < viewer.told("interrupted")[0]["seconds"] < 5
    idle = viewer.told("state")[-1]["pts"]
    after = [s for at, s in viewer.sounds if at > idle + 0.06]
    assert len(after) > 2
    assert np.abs(np.concatenate(after)).max() < 200
    closed = [p for at, p in viewer.pictures if at >= idle + 0.08]
    assert all((p[140:220, 80:176].max(-1) < 90).sum() < 60 for p in closed)
    assert "61.0 blinks" in viewer.told("error")[0]["what"]


def test_a_text_is_said(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tone:
        rate, language = 16_000, "en-us"

        def say(self, text: str, speed: float = 1.0) -> Said:
            return Said(0.3 * np.sin(np.arange(4_000, dtype=np.float32) * 0.2))

    monkeypatch.setattr(Voices, "get", lambda self, name: Tone())
    monkeypatch.setattr("talkers.server.saying.require", lambda *_: None)

    async def say(viewer: Viewer) -> None:
        await viewer.send(type="say", text="One. Two.")
        await until_idle(viewer)
        for text in ("", "a" * 101, "..."):
            await viewer.send(type="say", text=text)
        await viewer.send(type="say", text="hello", voice="eve")
        await viewer.until(lambda v: len(v.told("error")) == 4)

    viewer = watched(server, say)
    assert np.count_nonzero(loudness(viewer) > 1_000) == pytest.approx(0.5 * 25, abs=2)
    assert sorted(e["what"] for e in viewer.told("error")) == [
        "a text of 0 characters was given",
        "a text of 101 characters was given",
        "there is no voice 'eve'",
        "there is nothing in this text that can be said",
    ]


def test_without_a_voice_it_says_what_to_install(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    async def say(viewer: Viewer) -> None:
        await viewer.send(type="say", text="hello")
        await viewer.until(lambda v: v.told("error"))

    assert "talkers[say]" in watched(server, say).told("error")[0]["todo"]
    assert not json.loads(server.get("/rtc/about"))["says"]


def test_the_page_says_what_it_shows_and_loads_nothing_from_elsewhere(server: LiveServer) -> None:
    with urllib.request.urlopen(server.url) as page:
        text, headers = page.read().decode(), page.headers
    assert headers["Digital-Source-Type"] == SOURCE
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert f'content="{SOURCE}"' in text
    assert "TrainedAlgorithmicMediaDigitalSource" in text
    files = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(files) >= 4
    for name in files:
        with urllib.request.urlopen(f"{server.url}/{name}") as file:
            content = file.read()
            assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(rb"""(from|import|url)\s*\(?["']?(https?:)?//""", content), name
    about = json.loads(server.get("/rtc/about"))
    assert (about["synthetic"], about["digital_source_type"]) == (True, SOURCE)
    assert (about["avatars"], about["max_sessions"]) == (["ann", "bob"], 1)
    with urllib.request.urlopen(f"{server.url}/rtc/preview/bob") as preview:
        with Image.open(io.BytesIO(preview.read())) as picture:
            assert (picture.size, picture.format) == ((256, 256), "JPEG")
            assert b"AI-generated" in picture.info["comment"]
            corner = np.asarray(picture)[-14:, :60]
        assert preview.headers["Digital-Source-Type"] == SOURCE
    assert (corner.min(-1) > 180).sum() > 40
    for path, status in (("web/page.py", 404), ("web/..%2Fpage.py", 404), ("rtc/preview/eve", 422)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/{path}")
        assert refused.value.code == status


async def _closed(server: LiveServer, *messages: str | bytes) -> tuple[int, list[dict[str, Any]]]:
    """With which code a client is turned away that sends this, and what it is told."""
    told = []
    async with connect(server.url.replace("http", "ws") + "/rtc") as socket:
        with suppress(ConnectionClosed):
            for message in messages:
                await socket.send(message)
        with suppress(ConnectionClosed):
            async for event in socket:
                told.append(json.loads(event))
        return socket.close_code or 0, told


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[" * 100_000,
        b"\0\0",
        "{}",
        '{"offer": "v=0"}',
        '{"offer": "v=0\\r\\nm=audio x y z\\r\\n"}',
        '{"offer": "x", "avatar": "/etc/passwd"}',
        '{"offer": "x", "controls": {"amplitude": NaN}}',
        '{"offer": "' + "x" * 70_000 + '"}',
    ],
    ids=lambda message: str(message)[:24],
)
def test_garbage_is_refused(server: LiveServer, message: str | bytes) -> None:
    code, told = asyncio.run(_closed(server, message))
    assert code == 1008
    assert [set(event) for event in told] == [{"type", "what", "where", "why", "todo"}]


def test_a_message_of_10_mb_ends_the_session_alone(server: LiveServer) -> None:
    async def say(viewer: Viewer) -> None:
        with suppress(ConnectionClosed):
            await viewer.send(type="say", text="a" * 10_000_000)
        await viewer.socket.wait_closed()

    assert watched(server, say).socket.close_code == 1009
    wait_for(lambda: server.service.sessions == 0)
    watched(server, lambda viewer: viewer.until(lambda v: v.pictures))


def test_one_more_viewer_than_places_is_refused(server: LiveServer) -> None:
    async def view(viewer: Viewer) -> None:
        code, told = await _closed(server, "{}")
        assert code == 1013
        assert told[0]["what"] == "this server has no place for another live session"
        seen = len(viewer.pictures)
        await viewer.until(lambda v: len(v.pictures) > seen + 2)  # the first one goes on

    watched(server, view)


def test_a_client_may_vanish_in_the_middle_of_a_sentence(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []
    own = Peer.close

    async def close(peer: Peer) -> None:
        await own(peer)
        states.append(peer._connection.connectionState)

    monkeypatch.setattr(Peer, "close", close)

    async def vanish(viewer: Viewer) -> None:
        await viewer.socket.send(voice(5).tobytes())
        await viewer.until(lambda v: [e for e in v.told("state") if e["state"] == "speaking"])
        viewer.socket.transport.abort()

    watched(server, vanish)
    wait_for(lambda: states == ["closed"])


def test_a_client_whose_network_is_gone_is_given_up(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 1)

    async def cut(viewer: Viewer) -> None:
        await viewer.until(lambda v: v.pictures)
        for transceiver in viewer.peer.getTransceivers():
            for way in transceiver.receiver.transport.transport._connection._protocols:
                way.transport.abort()
        await viewer.until(lambda v: v.told("ended"))

    assert watched(server, cut).socket.close_code in (1000, None)


def test_a_fault_is_told(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(_: LiveSession) -> None:
        raise ZeroDivisionError("/home/x")

    monkeypatch.setattr(LiveSession, "_make", fault)
    viewer = watched(server, lambda viewer: viewer.until(lambda v: v.told("error")))
    assert "internal fault" in viewer.told("error")[0]["what"]
