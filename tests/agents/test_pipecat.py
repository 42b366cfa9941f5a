"""A face in a pipecat pipeline: its own classes, its own output transport, and a clock that runs."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    MetricsFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    ServiceUpdateSettingsFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.metrics.metrics import TTFBMetricsData
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from recordings import Recording, speech
from talkers import Avatar, Controls
from talkers.agents.pipecat import TalkersVideoService
from talkers.errors import MissingComponent, TalkersError

RATE = 24_000


class Screen(BaseOutputTransport):
    """pipecat's output transport, which plays to nobody; what it plays is kept."""

    def __init__(self) -> None:
        super().__init__(
            TransportParams(
                audio_out_enabled=True,
                video_out_enabled=True,
                video_out_is_live=True,
                video_out_width=256,
                video_out_height=256,
                video_out_framerate=25,
                audio_out_end_silence_secs=0,
            )
        )
        self.played = Recording(RATE)
        self._until = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = time.monotonic()
        self._until = max(now, self._until)
        self.played.sound(self._until, frame.audio)
        self._until += len(frame.audio) / 2 / RATE
        await asyncio.sleep(self._until - now)
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.played.picture(time.monotonic(), frame.image, frame.size)
        return True


class Watch(FrameProcessor):
    """Keeps what passes, with the time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, Frame]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.seen.append((time.monotonic(), frame))
        await self.push_frame(frame, direction)

    def kinds(self, *kinds: type[Frame]) -> list[str]:
        """Names of frames of these kinds, in order; of several of a kind in a row the first."""
        names = [type(f).__name__ for _, f in self.seen if isinstance(f, kinds)]
        return [n for k, n in enumerate(names) if not k or names[k - 1] != n]

    @property
    def sounds(self) -> int:
        """Blocks of speech that passed."""
        return sum(isinstance(f, TTSAudioRawFrame) for _, f in self.seen)

    def recording(self) -> Recording:
        made = Recording(RATE)
        for when, frame in self.seen:
            if isinstance(frame, OutputImageRawFrame):
                made.picture(when, frame.image, frame.size)
            elif isinstance(frame, TTSAudioRawFrame):
                made.sound(when, frame.audio)
        return made


class Stage:
    """A pipeline of a face and what watches it."""

    def __init__(self, avatar: Avatar, screen: bool = False, **options: Any):
        self.face = TalkersVideoService(avatar, **options)
        self.watch, self.screen = Watch(), Screen()
        after = [self.watch, self.screen] if screen else [self.watch]
        self.worker = PipelineWorker(
            Pipeline([self.face, *after]),
            params=PipelineParams(enable_metrics=True, audio_out_sample_rate=RATE),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )

    def run(self, feed: Coroutine[Any, Any, None]) -> None:
        """Run the pipeline until it ends; nothing of it is left then."""

        async def both() -> None:
            runner = WorkerRunner(handle_sigint=False)
            await runner.add_workers(self.worker)
            await asyncio.wait_for(asyncio.gather(runner.run(), feed), 120)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left

        before = set(threading.enumerate())
        asyncio.run(both())
        for thread in set(threading.enumerate()) - before:  # one may be painting its last frame
            thread.join(60)
            assert not thread.is_alive()

    async def say(self, samples: np.ndarray, rate: int = 16_000, whole: bool = True) -> None:
        """As a TTS service does it: all of the sound at once, in blocks."""
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        await self.worker.queue_frame(TTSStartedFrame())
        for k in range(0, len(samples), rate // 10):
            block = samples[k : k + rate // 10].tobytes()
            await self.worker.queue_frame(TTSAudioRawFrame(block, rate, channels))
        if whole:
            await self.worker.queue_frame(TTSTextFrame("said", "sentence"))
            await self.worker.queue_frame(TTSStoppedFrame())


@pytest.fixture(scope="module")
def mock() -> Avatar:
    return Avatar.load("mock")


def test_sound_and_picture_are_in_step_and_whole(mock: Avatar) -> None:
    """To pipecat's own transport, twice; what comes after sound stays after it."""
    stage = Stage(mock, screen=True)

    async def feed() -> None:
        await stage.say(speech(1.2, 48_000, 2), 48_000)
        await stage.say(speech(0.6))
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    made, played = stage.watch.recording(), stage.screen.played
    assert made.seconds == pytest.approx(1.8, abs=0.002)
    assert made.pictures
    assert abs(made.apart()) <= 0.04
    assert played.seconds == pytest.approx(1.8, abs=0.08)  # it fills up its last block
    by_the_clock = played.apart_by_the_clock()
    assert by_the_clock is None or abs(by_the_clock) <= 0.1
    # sound, what was said, its end: twice
    one = ["TTSStartedFrame", "TTSAudioRawFrame", "TTSTextFrame", "TTSStoppedFrame"]
    assert (
        stage.watch.kinds(TTSStartedFrame, TTSAudioRawFrame, TTSTextFrame, TTSStoppedFrame)
        == 2 * one
    )
    frames = [f for _, f in stage.watch.seen]
    end = next(k for k, f in enumerate(frames) if isinstance(f, TTSStoppedFrame))
    first = b"".join(f.audio for f in frames[:end] if isinstance(f, TTSAudioRawFrame))
    # a busy machine gives the beginning of the next answer with the end of the first
    assert 1.198 <= len(first) / 2 / RATE < 1.6
    # from the transport, which knows what is played
    assert stage.watch.kinds(BotStartedSpeakingFrame, BotStoppedSpeakingFrame) == 2 * [
        "BotStartedSpeakingFrame",
        "BotStoppedSpeakingFrame",
    ]
    latency = [
        data.value
        for _, frame in stage.watch.seen
        if isinstance(frame, MetricsFrame)
        for data in frame.data
        if isinstance(data, TTFBMetricsData) and data.model is not None
    ]
    assert latency
    assert 0 < latency[0] < 20


def test_ten_interruptions_in_a_row(mock: Avatar) -> None:
    stage = Stage(mock, screen=True)
    cut: list[float] = []

    async def feed() -> None:
        for _ in range(10):
            await stage.say(speech(3))
            before = stage.watch.sounds
            while stage.watch.sounds < before + 5:
                await asyncio.sleep(0.02)
            cut.append(time.monotonic())
            await stage.worker.queue_frame(InterruptionFrame())
            await asyncio.sleep(0.3)
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    made, played = stage.watch.recording(), stage.screen.played
    begun = [t for t, f in stage.watch.seen if isinstance(f, TTSStartedFrame)]
    assert len(cut) == 10
    for at, again in zip(cut, [*begun[1:], np.inf], strict=True):
        told = next(t for t, f in stage.watch.seen if isinstance(f, InterruptionFrame) and t >= at)
        assert not [t for t, _ in made.sounds if told < t < again]
        assert not [t for t, _ in played.sounds if told + 0.05 < t < again]
        # 80 ms, and what a busy machine is late
        assert not [m for t, m in made.pictures if told + 0.2 < t < again and m > 0.001]
    assert max(m for _, m in made.pictures) > 0.002
    # what was never said is in no conversation
    assert not stage.watch.kinds(TTSTextFrame, TTSStoppedFrame)
    assert len([f for _, f in stage.watch.seen if isinstance(f, BotStoppedSpeakingFrame)]) == 10


def test_an_end_in_mid_sentence_is_said_and_a_cancellation_is_not(mock: Avatar) -> None:
    ended, cancelled = Stage(mock), Stage(mock)

    async def end() -> None:
        await ended.say(speech(0.7), whole=False)
        await ended.worker.queue_frame(EndFrame())

    async def cancel() -> None:
        await cancelled.say(speech(5), whole=False)
        await asyncio.sleep(0.4)
        await cancelled.worker.queue_frame(CancelFrame())

    ended.run(end())
    assert ended.watch.recording().seconds == pytest.approx(0.7, abs=0.002)
    cancelled.run(cancel())
    assert cancelled.watch.recording().seconds < 4


def test_frames_that_may_not_be_interrupted_are_not(mock: Avatar) -> None:
    stage = Stage(mock)
    kept = ServiceUpdateSettingsFrame()
    assert not kept.interruptible

    async def feed() -> None:
        await stage.say(speech(3), whole=False)
        await stage.worker.queue_frame(kept)
        while not stage.watch.sounds:
            await asyncio.sleep(0.02)
        await stage.worker.queue_frame(InterruptionFrame())
        sound = TTSAudioRawFrame(speech(0.4).tobytes(), 16_000, 1)
        sound.interruptible = False
        await stage.worker.queue_frame(sound)
        await asyncio.sleep(0.2)
        await stage.worker.queue_frame(InterruptionFrame())
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    assert kept in [f for _, f in stage.watch.seen]
    last = next(t for t, f in stage.watch.seen if isinstance(f, InterruptionFrame))
    after = [f for t, f in stage.watch.seen if isinstance(f, TTSAudioRawFrame) and t > last]
    assert sum(len(f.audio) for f in after) / 2 / RATE == pytest.approx(0.4, abs=0.01)


def test_what_cannot_be_is_told_at_once(mock: Avatar) -> None:
    wrong = TalkersVideoService.Settings(controls=Controls(motion="absent"))
    with pytest.raises(TalkersError, match="absent"):
        TalkersVideoService(mock, settings=wrong)
    with pytest.raises(TalkersError, match="soon"):
        TalkersVideoService(mock, latency="soon")  # type: ignore[arg-type]
    with pytest.raises(TalkersError, match="nobody"):
        TalkersVideoService("nobody")


def test_bad_sound_and_bad_controls_are_told_and_the_face_goes_on(mock: Avatar) -> None:
    stage = Stage(mock, settings=TalkersVideoService.Settings(controls=Controls(blinks=12)))
    told: list[str] = []

    @stage.face.event_handler("on_error")
    async def on_error(face: TalkersVideoService, frame: Any) -> None:
        told.append(frame.error)

    async def feed() -> None:
        await stage.worker.queue_frame(TTSAudioRawFrame(b"odd", 16_000, 1))
        wrong = TalkersVideoService.Settings(controls=Controls(motion="absent"))
        await stage.worker.queue_frame(ServiceUpdateSettingsFrame(delta=wrong))
        right = TalkersVideoService.Settings(controls=Controls(blinks=0))
        await stage.worker.queue_frame(ServiceUpdateSettingsFrame(delta=right))
        await stage.say(speech(0.3))
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    assert "no whole number of 16-bit samples" in told[0]
    assert "absent" in told[1]
    assert len(told) == 2
    assert stage.face.settings.controls == Controls(blinks=0)
    assert stage.watch.recording().seconds == pytest.approx(0.3, abs=0.002)


def test_a_face_that_fails_leaves_the_voice(mock: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(mock)

    async def feed() -> None:
        await stage.say(speech(0.2))
        while not stage.watch.kinds(TTSStoppedFrame):
            await asyncio.sleep(0.02)

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("no pictures any more")

        monkeypatch.setattr(mock.engine, "decode", fail)
        await asyncio.sleep(0.2)
        monkeypatch.undo()
        await stage.say(speech(0.4))
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    assert not stage.face.is_usable
    sound = [f for _, f in stage.watch.seen if isinstance(f, TTSAudioRawFrame)]
    assert sum(len(f.audio) / 2 / f.sample_rate for f in sound) == pytest.approx(0.6, abs=0.002)


def test_the_bundled_avatar_says_all_of_it() -> None:
    stage = Stage(Avatar.load(), latency="low")

    async def feed() -> None:
        await stage.say(speech(0.6))
        await stage.worker.queue_frame(EndFrame())

    stage.run(feed())
    made = stage.watch.recording()
    assert made.seconds == pytest.approx(0.6, abs=0.1)
    assert len(made.pictures) > 2


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "talkers.agents.pipecat")
    monkeypatch.setitem(sys.modules, "pipecat.frames.frames", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingComponent, match=r"pip install 'talkers\[pipecat\]'"):
        __import__("talkers.agents.pipecat")
