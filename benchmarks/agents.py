"""How soon does a face follow a voice agent, and how soon does it stop?

    python benchmarks/agents.py [--avatar mock default] [--answers 10] [--latency balanced]
    [-o agents.json]

Answers of three seconds are pushed at once, as text-to-speech gives them, through pipecat's service
and through LiveKit's `AvatarRunner`. Milliseconds, mean and most over the answers:
`first`: from an answer's first sound to the first sound that comes out with its picture.
`pictures`: how many of 25 a second come out while it speaks.
`stopped`: from an interruption to the last sound that comes out after it; 0 where none does.
`whole`: how much longer or shorter the sound of an answer is that nobody interrupts.
Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import talkers
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, read_audio

HELLO = Path(talkers.__file__).parent / "avatars" / "hello.flac"
SECONDS = 3.0  # of an answer
WHOLE = 0.5  # seconds after an answer in which its last sound has come
SOCKETS = "pipecat", "livekit"


class Probe:
    """Notes when sound and pictures come, and how much."""

    def __init__(self) -> None:
        self.sounds: list[tuple[float, float]] = []  # when, seconds
        self.pictures: list[float] = []

    def sound(self, seconds: float) -> None:
        self.sounds.append((time.monotonic(), seconds))

    def picture(self) -> None:
        self.pictures.append(time.monotonic())

    def after(self, when: float) -> list[tuple[float, float]]:
        return [s for s in self.sounds if s[0] > when]


async def pipecat_face(avatar: Any, latency: Any, probe: Probe, measure: Any) -> None:
    from loguru import logger
    from pipecat.frames.frames import (
        EndFrame,
        InterruptionFrame,
        OutputImageRawFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.frame_processor import FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    from talkers.agents.pipecat import TalkersVideoService

    logger.remove()

    class Sink(FrameProcessor):
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSAudioRawFrame):
                probe.sound(len(frame.audio) / 2 / frame.sample_rate)
            elif isinstance(frame, OutputImageRawFrame):
                probe.picture()
            await self.push_frame(frame, direction)

    face = TalkersVideoService(avatar, latency=latency)
    worker = PipelineWorker(Pipeline([face, Sink()]), enable_rtvi=False)

    async def say(sound: np.ndarray) -> None:
        frames = [TTSAudioRawFrame(b.tobytes(), AUDIO_RATE, 1) for b in np.array_split(sound, 10)]
        await worker.queue_frames([*frames, TTSStoppedFrame()])

    async def interrupt() -> None:
        await worker.queue_frame(InterruptionFrame())

    async def use() -> None:
        await say(np.zeros(AUDIO_RATE // 2, np.int16))  # its pictures begin
        while not probe.sounds:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        await measure(say, interrupt)
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), use())


async def livekit_face(avatar: Any, latency: Any, probe: Probe, measure: Any) -> None:
    from types import SimpleNamespace

    from livekit import rtc
    from livekit.agents.voice.avatar import AvatarRunner

    from talkers.agents.livekit import SOUND_RATE, TalkersAudio, TalkersVideo

    class Room(rtc.EventEmitter[str]):
        def isconnected(self) -> bool:
            return True

        @property
        def local_participant(self) -> Any:
            return SimpleNamespace(publish_track=self._publish)

        async def _publish(self, *_: Any) -> Any:
            return SimpleNamespace(wait_for_subscription=lambda: asyncio.sleep(0))

    class Sync(rtc.AVSynchronizer):
        async def push(self, frame: Any, timestamp: float | None = None) -> None:
            if isinstance(frame, rtc.AudioFrame):
                probe.sound(frame.samples_per_channel / SOUND_RATE)
            else:
                probe.picture()
            await super().push(frame, timestamp)

    plain, rtc.AVSynchronizer = rtc.AVSynchronizer, Sync  # type: ignore[misc]
    video = TalkersVideo(avatar, latency=latency)
    audio = TalkersAudio(video)
    room: Any = Room()
    runner = AvatarRunner(room, audio_recv=audio, video_gen=video, options=video.options)
    rtc.AVSynchronizer = plain  # type: ignore[misc]
    video.runner = runner
    await runner.start()

    async def say(sound: np.ndarray) -> None:
        for block in np.array_split(sound, 10):
            await audio.capture_frame(rtc.AudioFrame(block.tobytes(), AUDIO_RATE, 1, len(block)))
        audio.flush()

    async def interrupt() -> None:
        audio.clear_buffer()

    await asyncio.sleep(1)
    await measure(say, interrupt)
    await runner.aclose()
    video.close()


def figures(values: list[float]) -> dict[str, float]:
    return {"mean": round(mean(values), 1), "most": round(max(values, key=abs), 1)}


def run(socket: str, avatar: Any, latency: Any, answers: int) -> dict[str, Any]:
    """All figures of one socket and avatar."""
    probe = Probe()
    samples = (read_audio(HELLO)[: round(SECONDS * AUDIO_RATE)] * 32_767).astype(np.int16)
    first: list[float] = []
    stopped: list[float] = []
    whole: list[float] = []
    pictures: list[float] = []

    async def measure(say: Any, interrupt: Any) -> None:
        for count in range(2 * answers):
            begun = time.monotonic()
            await say(samples)
            while not probe.after(begun):
                await asyncio.sleep(0.005)
            first.append(1_000 * (probe.after(begun)[0][0] - begun))
            if count % 2:
                await asyncio.sleep(1)
                cut = time.monotonic()
                await interrupt()
                await asyncio.sleep(WHOLE)
                stopped.append(1_000 * (max([cut, *(t for t, _ in probe.after(cut))]) - cut))
            else:
                await asyncio.sleep(SECONDS + WHOLE)
                heard = probe.after(begun)
                whole.append(1_000 * (sum(s for _, s in heard) - SECONDS))
                shown = [t for t in probe.pictures if heard[0][0] <= t <= heard[-1][0]]
                pictures.append(len(shown) / SECONDS)

    face = {"pipecat": pipecat_face, "livekit": livekit_face}[socket]
    asyncio.run(face(avatar, latency, probe, measure))
    return {
        "first": figures(first),
        "stopped": figures(stopped),
        "whole": figures(whole),
        "pictures": round(mean(pictures), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--avatar", nargs="+", default=["mock", "default"])
    parser.add_argument("--answers", type=int, default=10)
    parser.add_argument("--latency", default="balanced", choices=["low", "balanced", "quality"])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine()}
    print("| avatar | socket | first / ms | stopped / ms | longer / ms | pictures a second |")
    print("|---|---|---|---|---|---|")
    for name in options.avatar:
        avatar = talkers.Avatar.load(name)
        for socket in SOCKETS:
            got = run(socket, avatar, options.latency, options.answers)
            results[f"{name} {socket}"] = got
            cells = (f"{got[k]['mean']} / {got[k]['most']}" for k in ("first", "stopped", "whole"))
            print(f"| {name} | {socket} | {' | '.join(cells)} | {got['pictures']} |", flush=True)
    print(results["machine"])
    if options.output:
        options.output.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
