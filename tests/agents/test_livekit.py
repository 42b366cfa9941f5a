"""A face for LiveKit agents: LiveKit's own classes and media sources; only the room is not real."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.avatar import AvatarRunner
from livekit.agents.voice.io import PlaybackFinishedEvent

from recordings import Recording, speech
from talkers import Avatar
from talkers.agents.answers import NO_SOUND, Answers, Moment
from talkers.agents.livekit import SOUND_RATE, AvatarSession, TalkersAudio, TalkersVideo
from talkers.errors import MissingComponent


class Room(rtc.EventEmitter[str]):
    """A room to which tracks can be published, and where nobody is."""

    name = "test"

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, Any] = {}
        self.local_participant = SimpleNamespace(
            identity="agent",
            kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT,
            track_publications={},
            publish_track=self._publish,
        )
        self.published: list[str] = []

    def isconnected(self) -> bool:
        return True

    async def _publish(self, track: rtc.Track, options: rtc.TrackPublishOptions) -> Any:
        self.published.append(track.name)

        async def subscribed() -> None:
            pass

        return SimpleNamespace(wait_for_subscription=subscribed)


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """What LiveKit was given, in order; it goes on to LiveKit's own media sources."""
    recording, push = Recording(SOUND_RATE), rtc.AVSynchronizer.push

    async def pushed(sync: rtc.AVSynchronizer, frame: Any, timestamp: float | None = None) -> None:
        if isinstance(frame, rtc.AudioFrame):
            recording.sound(time.monotonic(), bytes(frame.data))
        else:
            recording.picture(time.monotonic(), bytes(frame.data), (frame.width, frame.height))
        await push(sync, frame, timestamp)

    monkeypatch.setattr(rtc.AVSynchronizer, "push", pushed)
    return recording


def run(use: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do it; nothing is left then."""

    async def whole() -> None:
        task = asyncio.create_task(use())
        done, _ = await asyncio.wait({task}, timeout=120)
        if not done:  # say where each waits
            for waits in asyncio.all_tasks():
                waits.print_stack()
            task.cancel()
        await task
        await asyncio.sleep(0.05)
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    before = set(threading.enumerate())
    asyncio.run(whole())
    left = set(threading.enumerate()) - before
    for thread in left:  # one may be painting its last frame
        if "talkers" in thread.name:
            thread.join(60)
    left = {thread for thread in left if thread.is_alive()}
    assert not [t for t in left if "asyncio" in t.name or "talkers" in t.name]


async def blocks(samples: np.ndarray, rate: int = 16_000) -> AsyncIterator[rtc.AudioFrame]:
    """As a TTS plug-in gives sound: all at once, in blocks of 0.1 s."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    for k in range(0, len(samples), rate // 10):
        block = samples[k : k + rate // 10]
        yield rtc.AudioFrame(block.tobytes(), rate, channels, len(block))


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.01)


@asynccontextmanager
async def speaking(
    mock: Avatar, ended: list[PlaybackFinishedEvent]
) -> AsyncIterator[tuple[TalkersVideo, TalkersAudio, AvatarRunner]]:
    """A face in a room with LiveKit's `AvatarRunner` alone; `ended` gets the ends of answers."""
    video = TalkersVideo(mock)
    audio = TalkersAudio(video)
    audio.on("playback_finished", ended.append)
    runner = AvatarRunner(Room(), audio_recv=audio, video_gen=video, options=video.options)  # type: ignore[arg-type]
    await runner.start()
    yield video, audio, runner
    await runner.aclose()
    video.close()


def test_an_agent_speaks_with_a_face(mock: Avatar, made: Recording) -> None:
    """A real `AgentSession`: said in full, in step, told when it has ended, then interrupted."""
    room, ended = Room(), list[PlaybackFinishedEvent]()

    async def use() -> None:
        session: AgentSession[None] = AgentSession()
        face = AvatarSession(mock)
        await face.start(session, room)  # type: ignore[arg-type]
        await session.start(agent=Agent(instructions=""))
        output = session.output.audio
        assert output is not None
        assert output.can_pause
        assert face.avatar_identity == "agent"
        output.on("playback_finished", ended.append)
        begun = time.monotonic()
        await session.say("It is said.", audio=blocks(speech(1.2, 24_000, 2), 24_000))
        assert time.monotonic() - begun >= 1.2
        assert made.seconds == pytest.approx(1.2, abs=0.002)
        second = session.say("It is cut.", audio=blocks(speech(4)))
        await until(lambda: made.seconds > 1.6)
        await second.interrupt()
        heard = made.seconds - 1.2
        await asyncio.sleep(0.3)
        assert made.seconds - 1.2 == heard
        said, cut = [item for item in session.history.items if item.type == "message"]
        assert (said.interrupted, cut.interrupted) == (False, True)
        assert 0 < said.metrics["playback_latency"] < 20  # LiveKit's figure for an avatar
        await session.aclose()
        await face.aclose()
        assert ended[1].playback_position == pytest.approx(heard, abs=0.12)
        assert ended[1].playback_position <= heard

    run(use)
    assert sorted(room.published) == ["avatar_audio", "avatar_video"]
    assert [(e.interrupted, round(e.playback_position, 2)) for e in ended[:1]] == [(False, 1.2)]
    assert abs(made.apart()) <= 0.04


def test_ten_interruptions_in_a_row(mock: Avatar, made: Recording) -> None:
    """With LiveKit's `AvatarRunner` alone, as in the issue."""
    ended = list[PlaybackFinishedEvent]()
    cut: list[tuple[float, float, float]] = []  # when, and sound before and after

    async def use() -> None:
        async with speaking(mock, ended) as (_, audio, _):
            for count in range(10):
                before = made.seconds
                async for block in blocks(speech(3)):
                    await audio.capture_frame(block)
                if count % 2:
                    audio.flush()
                await until(lambda before=before: made.seconds > before + 0.15)
                for _ in range(1 + count // 5):  # agents do it twice sometimes
                    audio.clear_buffer()
                at = time.monotonic()
                if not count % 2:
                    audio.flush()
                await until(lambda count=count: len(ended) > count)
                cut.append((at, before, made.seconds))
                await asyncio.sleep(0.3)
                assert made.seconds == cut[-1][2]
            await audio.capture_frame(rtc.AudioFrame(speech(0.3).tobytes(), 16_000, 1, 4_800))
            audio.flush()
            await until(lambda: len(ended) > 10)

    run(use)
    assert [e.interrupted for e in ended] == [True] * 10 + [False]
    for event, (at, before, after) in zip(ended, cut, strict=False):
        assert event.playback_position == pytest.approx(after - before, abs=0.001)
        # 80 ms, and what a busy machine is late
        assert not [m for t, m in made.pictures if at + 0.2 < t < at + 0.3 and m > 0.001]
    assert ended[-1].playback_position == pytest.approx(0.3, abs=0.002)
    assert max(m for _, m in made.pictures) > 0.002


def test_an_answer_that_is_interrupted_before_it_begins_ends_too(
    mock: Avatar, made: Recording
) -> None:
    """Or the agent waits for its end for ever; and its late end is not that of the next answer."""
    ended = list[PlaybackFinishedEvent]()

    async def use() -> None:
        async with speaking(mock, ended) as (video, audio, _):
            await until(lambda: bool(made.pictures))
            for _ in range(2):
                await audio.capture_frame(rtc.AudioFrame(speech(0.2).tobytes(), 16_000, 1, 3_200))
                audio.flush()
            audio.clear_buffer()
            assert len(ended) == 2
            await audio.capture_frame(rtc.AudioFrame(speech(0.2).tobytes(), 16_000, 1, 3_200))
            await until(lambda: video.speaking)
            audio.clear_buffer()
            await until(lambda: len(ended) == 3)
            audio.flush()
            async for block in blocks(speech(0.3)):
                await audio.capture_frame(block)
                await asyncio.sleep(0.05)
            audio.flush()
            await until(lambda: len(ended) == 4)

    run(use)
    assert [e.interrupted for e in ended] == [True, True, True, False]
    assert [e.playback_position for e in ended[:2]] == [0, 0]
    assert ended[3].playback_position == pytest.approx(0.3, abs=0.1)


def test_a_pause_keeps_what_is_left(mock: Avatar, made: Recording) -> None:
    ended = list[PlaybackFinishedEvent]()

    async def use() -> None:
        async with speaking(mock, ended) as (_, audio, _):
            async for block in blocks(speech(0.8)):
                await audio.capture_frame(block)
            audio.flush()
            await until(lambda: made.seconds > 0.2)
            audio.pause()
            await asyncio.sleep(0.1)
            there = made.seconds
            await asyncio.sleep(0.4)
            assert made.seconds == there
            assert not ended
            audio.resume()
            await until(lambda: bool(ended))

    run(use)
    assert made.seconds == pytest.approx(0.8, abs=0.002)
    assert not ended[0].interrupted
    assert ended[0].playback_position == pytest.approx(0.8, abs=0.002)


def test_the_bundled_avatar_says_all_of_it(made: Recording) -> None:
    async def use() -> None:
        session: AgentSession[None] = AgentSession()
        face = AvatarSession(latency="low")
        await face.start(session, Room())  # type: ignore[arg-type]
        await session.start(agent=Agent(instructions=""))
        await session.say("It is said.", audio=blocks(speech(0.6)))
        await session.aclose()
        await face.aclose()

    run(use)
    assert made.seconds == pytest.approx(0.6, abs=0.1)
    assert len(made.pictures) > 2


def test_skipped_pictures_stop_nothing(
    mock: Avatar, made: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit's synchronizer may be waiting for the time of one while the next comes."""
    picture = np.zeros((256, 256, 3), np.uint8)

    async def moments(answers: Answers) -> AsyncIterator[Moment]:
        for k in range(20):
            yield Moment(picture, Fraction(k, 25), NO_SOUND, Fraction(0), skipped=k % 2)
            await asyncio.sleep(0.01)

    monkeypatch.setattr(Answers, "moments", moments)

    async def use() -> None:
        async with speaking(mock, []) as (video, _, runner):
            video.runner = runner
            await until(lambda: len(made.pictures) == 21)  # the first comes alone
            await asyncio.wait_for(runner.av_sync.wait_for_playout(), 60)

    run(use)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "talkers.agents.livekit")
    monkeypatch.setitem(sys.modules, "livekit.agents", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingComponent, match=r"pip install 'talkers\[livekit\]'"):
        __import__("talkers.agents.livekit")
