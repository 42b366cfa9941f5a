"""A viewer without a browser: speaks the protocol of the live page, and keeps what it sees and hears."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

RATE = 48_000


def voice(seconds: float) -> NDArray[np.int16]:
    """A voice at 48 kHz, as loud all the time."""
    at = np.arange(round(seconds * RATE)) / RATE
    waves = sum(np.sin(2 * np.pi * 140 * k * at) / k for k in range(1, 10))
    return np.asarray(6_000 * waves, np.int16)


class Playback(MediaStreamTrack):
    """Sound as a microphone gives it: 20 ms at a time, then silence.

    Args:
        samples: int16 [n] at 48 kHz.
    """

    kind = "audio"

    def __init__(self, samples: NDArray[np.int16]):
        super().__init__()
        self._samples, self._at, self._begun = samples, 0, time.monotonic()

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._begun + self._at / RATE - time.monotonic()))
        block = self._samples[self._at : self._at + 960]
        block = np.pad(block, (0, 960 - len(block)))
        frame = AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        self._at += 960
        return frame


class Viewer:
    """One viewer.

    Attributes:
        hello: what the server said first.
        events: all that it said, in order.
        pictures: (seconds, uint8 [H, W, 3]) by the session's time.
        sounds: (seconds, int16 [n]) by the same.
    """

    def __init__(self, socket: ClientConnection, peer: RTCPeerConnection):
        self.socket, self.peer = socket, peer
        self.hello: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.pictures: list[tuple[float, NDArray[np.uint8]]] = []
        self.sounds: list[tuple[float, NDArray[np.int16]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, microphone: MediaStreamTrack | None, **wanted: Any) -> None:
        """Ask for a face and take what comes."""
        if microphone is None:
            self.peer.addTransceiver("audio", direction="recvonly")
        else:
            self.peer.addTrack(microphone)
        self.peer.addTransceiver("video", direction="recvonly")
        self.peer.on("track", lambda track: self._begin(self._take(track)))
        await self.peer.setLocalDescription(await self.peer.createOffer())
        with suppress(ConnectionClosed):  # it is refused already, and told why
            await self.send(offer=self.peer.localDescription.sdp, **wanted)
        self.hello = await self.event()
        if self.hello["type"] == "hello":
            answer = RTCSessionDescription(self.hello["answer"], "answer")
            await self.peer.setRemoteDescription(answer)
            self._begin(self._listen())

    async def send(self, **command: Any) -> None:
        await self.socket.send(json.dumps(command))

    async def event(self) -> dict[str, Any]:
        """What the server says next; before `begin` has ended."""
        event: dict[str, Any] = json.loads(await self.socket.recv())
        self.events.append(event)
        return event

    async def until(self, condition: Callable[[Viewer], Any], seconds: float = 60.0) -> Any:
        """Wait until something is so; what it is."""
        ends = time.monotonic() + seconds
        while not (found := condition(self)):
            assert time.monotonic() < ends, self.events
            await asyncio.sleep(0.02)
        return found

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return [event for event in self.events if event["type"] == kind]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peer.close()

    def _begin(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _listen(self) -> None:
        async for message in self.socket:
            self.events.append(json.loads(message))

    async def _take(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            at = float(frame.pts * frame.time_base)
            if track.kind == "video":
                self.pictures.append((at, frame.to_ndarray(format="rgb24")))
            else:
                self.sounds.append((at, frame.to_ndarray().reshape(-1, 2)[:, 0]))


@asynccontextmanager
async def viewing(
    url: str, microphone: MediaStreamTrack | None = None, **wanted: Any
) -> AsyncIterator[Viewer]:
    """A viewer of a server's page.

    Args:
        url: http://...
        microphone: what it speaks.
        wanted: of the first message.
    """
    async with connect(url.replace("http", "ws") + "/rtc", open_timeout=60) as socket:
        viewer = Viewer(socket, RTCPeerConnection(RTCConfiguration(iceServers=[])))
        try:
            await viewer.begin(microphone, **wanted)
            yield viewer
        finally:
            await viewer.end()
