"""The parts of a live face in a browser: time stamps, delays, the microphone's gate, the sign, and names of servers."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aioice import ice

from talkers.errors import UsageError
from talkers.media.manifest import SOURCE
from talkers.runtime.live_session import LiveFrame
from talkers.server.delay import DelayMeter
from talkers.server.microphone import BEFORE, HOLD, Microphone
from talkers.server.rtc_peer import declared, ice_server_of, use_address
from talkers.server.rtc_tracks import MAX_BACKLOG, PictureTrack, SoundTrack, Stalled
from talkers.server.run import Certificate
from talkers.server.sign import Sign

RATE = 48_000


def frame(number: int, skipped: int = 0, **other: Any) -> LiveFrame:
    """A frame at 25 a second; its sound counts the session's samples."""
    first = number - skipped
    sound = np.arange(first * 1_920, (number + 1) * 1_920, dtype=np.float32) / 2**20
    given = {"state": "speaking", "source_pts": None} | other
    picture = np.full((64, 64, 3), number % 256, np.uint8)
    at = Fraction(number, 25), Fraction(first, 25)
    return LiveFrame(picture, at[0], sound, at[1], skipped=skipped, **given)


def test_tracks_carry_the_session_time() -> None:
    async def play() -> tuple[list[Any], list[Any]]:
        sent: list[LiveFrame] = []
        pictures, sounds = PictureTrack(64, sent.append), SoundTrack(RATE)
        seen, heard = [], []
        for one in (frame(0), frame(3, skipped=2), frame(4)):
            pictures.show(one)
            sounds.play(one)
            seen.append(await pictures.recv())
        assert len(sent) == 2  # the third is still on its way
        for _ in range(10):
            heard.append(await sounds.recv())
        return seen, heard

    seen, heard = asyncio.run(play())
    assert [float(p.pts * p.time_base) for p in seen] == [0, 3 / 25, 4 / 25]
    assert [p.pts for p in heard] == [960 * k for k in range(10)]
    samples = np.concatenate([p.to_ndarray()[0] for p in heard])
    assert np.abs(samples / 32_767 - np.arange(9_600) / 2**20).max() < 1e-4  # in order, no gap


def test_sound_goes_out_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> float:
        loop, sounds = asyncio.get_running_loop(), SoundTrack(RATE)
        sounds.play(frame(0))
        begun = loop.time()
        for _ in range(2):
            await sounds.recv()
        return loop.time() - begun

    assert asyncio.run(play()) > 0.015


def test_a_connection_that_takes_nothing_is_given_up() -> None:
    async def play() -> None:
        sounds = SoundTrack(RATE)
        for k in range(MAX_BACKLOG):
            sounds.play(frame(k))

    with pytest.raises(Stalled):
        asyncio.run(play())


def test_delays_are_those_of_the_sound_that_a_picture_says() -> None:
    now = 0.0
    meter = DelayMeter(Fraction(25), lambda: now)
    for k in range(100):  # 20 ms each, which came 80 ms before they are noted
        now = k / 50 + 0.08
        meter.received(Fraction(k + 1, 50), 0.08)
    for k in range(10):  # the middle of frame k is in block 2 k, or at its edge
        now = 2.0 + k / 25
        meter.sent(frame(k, source_pts=Fraction(k, 25)))
    assert meter.report().follows == pytest.approx(2.0, abs=0.021)
    assert meter.report().follows is None  # it was told
    meter.deaf()
    meter.sent(frame(11, state="idle"))
    meter.pushed()
    now += 0.3
    meter.sent(frame(12, skipped=3, source_pts=Fraction(0)))
    now += 1
    meter.pushed()  # more of the same
    meter.sent(frame(13))
    report = meter.report()
    assert (report.follows, report.begins) == (None, pytest.approx(0.3))
    assert report.skipped == pytest.approx(3 / 16)


def test_what_is_asked_is_timed_to_its_answer() -> None:
    now = 10.0
    meter = DelayMeter(Fraction(25), lambda: now)
    meter.wait_for_answer()  # it fails, and nothing answers it
    meter.sent(frame(0))
    now = 20.0
    meter.wait_for_answer(before=1.5)  # while the reply before is still being said
    meter.sent(frame(1))
    meter.sent(frame(2, state="idle"))
    now = 21.0
    meter.sent(frame(3))
    assert meter.report().begins == pytest.approx(2.5)


class Taken:
    """A session that notes what it is told."""

    def __init__(self) -> None:
        self.pushed: list[tuple[int, Fraction]] = []
        self.flushed = 0

    def push_audio(self, samples: Any, rate: int, pts: Fraction) -> None:
        if rate == 1:
            raise UsageError("no")
        self.pushed.append((int(np.abs(samples).max()), pts))

    def flush(self) -> None:
        self.flushed += 1


def test_a_microphone_is_heard_while_somebody_speaks() -> None:
    session: Any = Taken()
    microphone, at = Microphone(session), 0

    def hear(level: int, seconds: float) -> None:
        nonlocal at
        for _ in range(round(seconds * 50)):
            block = (level * np.sin(np.arange(960) * 0.1)).astype(np.int16)
            microphone.hear(np.stack([block, block], 1), RATE, Fraction(at, 50))
            at += 1

    hear(8_000, 0.1)
    assert not session.pushed  # it is off
    microphone.listen(True)
    hear(20, 1.0)
    assert not session.pushed  # the room's noise
    hear(8_000, 0.4)
    times = [pts for _, pts in session.pushed]
    assert float(times[0]) == pytest.approx(1.1 - BEFORE + 0.02, abs=0.021)  # from before it began
    assert np.allclose(np.diff([float(t) for t in times]), 0.02)
    hear(20, HOLD / 2)
    hear(8_000, 0.1)  # a pause within speech
    assert session.flushed == 0
    count = len(session.pushed)
    hear(20, 2.0)
    assert session.flushed == 1
    assert len(session.pushed) - count == pytest.approx(HOLD * 50, abs=1)
    hear(8_000, 0.1)
    microphone.listen(False)
    assert session.flushed == 2
    microphone.listen(True)
    microphone.hear(np.full((960, 2), 9_000, np.int16), 1, Fraction(99))  # refused: begun anew
    assert session.flushed == 3


@pytest.mark.parametrize("size", [32, 256, 512])
def test_the_sign_is_seen_on_any_ground(size: int) -> None:
    sign = Sign(size)
    for ground in (0, 255):
        picture = np.full((size, size, 3), ground, np.uint8)
        signed = sign.put(picture)
        assert (picture == ground).all()
        corner = signed[-sign.height :, : sign.width]
        assert corner.max() > 200
        assert corner.min() < 110
        assert sign.width <= size / 2 or size == 32
        assert (signed[: size // 2] == ground).all()


def test_an_answer_declares_what_comes() -> None:
    lines = declared("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n")
    assert lines.split("\r\n")[2:6] == [
        "s=synthetic",
        "i=AI-generated by talkers",
        "t=0 0",
        f"a=digital-source-type:{SOURCE}",
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("stun:stun.example.org:3478", ("stun:stun.example.org:3478", None, None)),
        (
            "turn:ann:p:a@s@turn.example.org?transport=tcp",
            ("turn:turn.example.org?transport=tcp", "ann", "p:a@s"),
        ),
        ("turns:u:p@[::1]:5349", ("turns:[::1]:5349", "u", "p")),
    ],
)
def test_servers_that_help(text: str, parts: tuple[str, str | None, str | None]) -> None:
    server = ice_server_of(text)
    assert (server.urls, server.username, server.credential) == parts


@pytest.mark.parametrize("text", ["", "turn:host", "stun:u:p@host", "http://host", "stun:a b"])
def test_what_is_no_such_server(text: str) -> None:
    with pytest.raises(UsageError, match="no STUN or TURN server"):
        ice_server_of(text)


def test_media_use_the_page_address(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ice.get_host_addresses
    monkeypatch.setattr(ice, "get_host_addresses", own)
    use_address("0.0.0.0")
    assert ice.get_host_addresses is own
    use_address("127.0.0.1")
    assert ice.get_host_addresses(True, True) == ["127.0.0.1"]


def test_a_certificate_is_checked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Certificate(tmp_path / "a.pem", tmp_path / "b.pem").check()
    for name in ("a.pem", "b.pem"):
        (tmp_path / name).write_text("no PEM")
    with pytest.raises(UsageError, match="no certificate with its key"):
        Certificate(tmp_path / "a.pem", tmp_path / "b.pem").check()
