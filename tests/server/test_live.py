"""Live faces over a WebSocket: pictures and sound come, commands are obeyed, and nobody leaves anything behind."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from served import service, wait_for
from talkers.controls.request import Controls
from talkers.runtime.live_session import LiveSession

URL = "ws://127.0.0.1/live"
TONE = (9_000 * np.sin(np.arange(16_000) * 0.2)).astype("<i2").tobytes()  # a second
Received = tuple[int, float, bytes] | dict[str, Any]


def received(socket: WebSocketTestSession) -> Received:
    """The next message: kind, time and content, or an event."""
    message = socket.receive()
    if message["type"] == "websocket.close":
        raise WebSocketDisconnect(message["code"])
    if (data := message.get("bytes")) is not None:
        kind, zeros, length, pts = struct.unpack("<B3sId", data[:16])
        assert (zeros, length) == (b"\0\0\0", len(data) - 16)
        return kind, pts, data[16:]
    event: dict[str, Any] = json.loads(message["text"])
    return event


def until(socket: WebSocketTestSession, wanted: str) -> dict[str, Any]:
    """The next event of a type."""
    while True:
        message = received(socket)
        if isinstance(message, dict) and message["type"] == wanted:
            return message


def code(socket: WebSocketTestSession) -> int:
    """That with which the server closes."""
    while True:
        try:
            received(socket)
        except WebSocketDisconnect as closed:
            return int(closed.code)


def nothing_is_left(client: TestClient) -> bool:
    """Whether all sessions end soon."""
    wait_for(lambda: service(client).sessions == 0)
    return True


def test_a_live_face(client: TestClient) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_json({"avatar": "bob", "rate": 16_000, "sound_rate": 24_000})
        hello = received(socket)
        assert isinstance(hello, dict)
        assert (hello["synthetic"], hello["avatar"], hello["sound_rate"]) == (True, "bob", 24_000)
        socket.send_bytes(TONE[:16_000])  # half a second
        socket.send_json({"type": "finish"})
        states, pictures, sounds = [], [], []
        while (message := received(socket)) != {"type": "ended"}:
            if isinstance(message, dict):
                states.append(message["state"])
            elif message[0] == 1:
                pictures.append(message[1:])
            else:
                sounds.append(message[1:])
        assert code(socket) == 1000
    assert "speaking" in states
    with Image.open(io.BytesIO(pictures[0][1])) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (hello["size"], hello["size"])
        assert b"AI-generated" in picture.info["comment"]
    heard = 0
    for pts, sound in sounds:  # without a gap
        assert pts == pytest.approx(heard / 24_000)
        heard += len(sound) // 2
    samples = np.frombuffer(b"".join(sound for _, sound in sounds), "<i2")
    assert 8_500 < np.abs(samples).max() < 10_000  # as loud as it was sent
    assert np.count_nonzero(samples) == pytest.approx(12_000, rel=0.02)  # and all of it
    assert nothing_is_left(client)
    assert "talkers_sessions_total 1.0" in client.get("/metrics").text


def test_commands_are_obeyed(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Controls] = []
    own: Callable[..., None] = LiveSession.set

    def noted(self: LiveSession, controls: Controls) -> None:
        own(self, controls)
        given.append(controls)

    monkeypatch.setattr(LiveSession, "set", noted)
    with client.websocket_connect(URL) as socket:
        socket.send_json({})
        assert until(socket, "hello")["avatar"] == "ann"
        socket.send_bytes(20 * TONE)
        while until(socket, "state")["state"] != "speaking":
            pass
        socket.send_json({"type": "pause"})
        assert until(socket, "state")["state"] == "paused"
        socket.send_json({"type": "resume"})
        assert until(socket, "state")["state"] == "speaking"
        socket.send_json({"type": "interrupt"})
        assert 0 < until(socket, "interrupted")["seconds"] < 20
        assert until(socket, "state")["state"] == "idle"
        socket.send_json({"type": "set", "controls": {"blinks": 3}})
        socket.send_json({"type": "set", "controls": {"blinks": 61}})
        assert "61.0 blinks" in until(socket, "error")["what"]  # and it goes on
        assert [c.blinks for c in given] == [3]
        socket.send_bytes(TONE)
        assert until(socket, "state")["state"] == "speaking"
    assert nothing_is_left(client)


def test_sound_beyond_what_waits_is_refused_and_the_session_goes_on(client: TestClient) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_json({"rate": 2_000})
        for _ in range(3):
            socket.send_bytes(bytes(2 * 2_000 * 50))
        assert "wait to be played already" in until(socket, "error")["what"]
        while isinstance(received(socket), dict):  # pictures and sound come
            pass


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[1]",
        '{"type": "sing"}',
        '{"type": "set", "controls": {"blinks": NaN}}',
        '{"type": "set", "controls": {"pose": "/etc/passwd"}}',
        "[" * 100_000,
        b"odd",
    ],
    ids=lambda message: str(message)[:20],
)
def test_what_is_no_message_ends_the_session(client: TestClient, message: str | bytes) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_json({})
        until(socket, "hello")
        if isinstance(message, bytes):
            socket.send_bytes(message)
        else:
            socket.send_text(message)
        assert until(socket, "error")["what"]
        assert code(socket) == 1008
    assert nothing_is_left(client)


@pytest.mark.parametrize(
    "hello",
    [
        "",
        '{"avatar": "eve"}',
        '{"avatar": "/etc"}',
        '{"rate": 1e400}',
        '{"sound_rate": 1}',
        '{"latency": "none"}',
        '{"controls": {"motion": "none"}}',
        b"\0\0",
    ],
    ids=str,
)
def test_a_bad_beginning_is_refused(client: TestClient, hello: str | bytes) -> None:
    with client.websocket_connect(URL) as socket:
        if isinstance(hello, bytes):
            socket.send_bytes(hello)
        else:
            socket.send_text(hello)
        assert set(until(socket, "error")) == {"type", "what", "where", "why", "todo"}
        assert code(socket) == 1008
    assert nothing_is_left(client)


def test_a_client_that_says_nothing_is_not_waited_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkers.server.live.HELLO_SECONDS", 0.05)
    with client.websocket_connect(URL) as socket:
        assert "nothing came" in until(socket, "error")["what"]
        assert code(socket) == 1008


def test_there_are_no_more_sessions_than_places(client: TestClient) -> None:
    with client.websocket_connect(URL) as socket:
        socket.send_json({})
        until(socket, "hello")
        assert client.get("/health").json()["sessions"] == 1
        with client.websocket_connect(URL) as other:
            assert "no place" in until(other, "error")["what"]
            assert code(other) == 1013
        until(socket, "state")  # the first one goes on
    assert nothing_is_left(client)
    with client.websocket_connect(URL) as socket:  # and its place is free again
        socket.send_json({})
        until(socket, "hello")


def test_a_client_may_go_in_the_middle_of_a_sentence(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[LiveSession] = []
    own: Callable[[LiveSession], None] = LiveSession.close
    monkeypatch.setattr(LiveSession, "close", lambda self: (ended.append(self), own(self))[1])
    with client.websocket_connect(URL) as socket:
        socket.send_json({})
        socket.send_bytes(TONE)
        while until(socket, "state")["state"] != "speaking":
            pass
        socket.close(1001)
    assert nothing_is_left(client)
    assert ended


def test_a_fault_is_told_and_the_server_goes_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> None:
        raise ZeroDivisionError("/home/x")

    with monkeypatch.context() as patched:
        patched.setattr(LiveSession, "_make", fault)
        with client.websocket_connect(URL) as socket:
            socket.send_json({})
            assert "internal fault" in until(socket, "error")["what"]
            assert code(socket) == 1011
    with client.websocket_connect(URL) as socket:
        socket.send_json({})
        until(socket, "state")


def test_pages_of_other_sites_open_no_session(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(URL, headers={"Origin": "https://example.com"}),
    ):
        pass
