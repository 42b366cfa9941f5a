"""A live session's pictures and sound as the tracks of a WebRTC connection.

Both are stamped with the session's own time, so that the browser plays them in step.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from aiortc.mediastreams import VIDEO_CLOCK_RATE, VIDEO_TIME_BASE, MediaStreamError
from aiortc.mediastreams import MediaStreamTrack as Track
from av import AudioFrame, VideoFrame

from talkers.runtime.live_session import LiveFrame
from talkers.runtime.utterance import Samples
from talkers.server.sign import Sign

PACKET_RATE = 50  # packets of sound a second
MAX_BACKLOG = 5 * PACKET_RATE  # packets of sound; nobody takes them


class Stalled(Exception):
    """The connection takes nothing any more."""


class PictureTrack(Track):
    """Pictures. Where they come faster than they are sent, the newest is sent.

    Args:
        size: side of the pictures, pixels.
        sent: called when a frame's picture has gone out.
    """

    kind = "video"

    def __init__(self, size: int, sent: Callable[[LiveFrame], None]):
        super().__init__()
        self._sign, self._sent = Sign(size), sent
        self._frame: LiveFrame | None = None
        self._going: LiveFrame | None = None
        self._came = asyncio.Event()

    def show(self, frame: LiveFrame) -> None:
        """Send this next."""
        self._frame = frame
        self._came.set()

    async def recv(self) -> VideoFrame:
        """The next picture. Its asking for one more tells that the last one has gone out."""
        if self._going is not None:
            self._sent(self._going)
            self._going = None
        await self._came.wait()
        if self.readyState != "live" or self._frame is None:
            raise MediaStreamError
        self._came.clear()
        self._going = frame = self._frame
        picture = VideoFrame.from_ndarray(self._sign.put(frame.picture), format="rgb24")
        picture.pts, picture.time_base = round(frame.pts * VIDEO_CLOCK_RATE), VIDEO_TIME_BASE
        return picture

    def stop(self) -> None:
        """End."""
        super().stop()
        self._came.set()


class SoundTrack(Track):
    """Sound, without a gap, each packet not before it is due.

    Args:
        rate: Hz of the session's sound.
    """

    kind = "audio"

    def __init__(self, rate: int):
        super().__init__()
        self._rate, self._size = rate, rate // PACKET_RATE
        self._rest: Samples = np.zeros(0, np.float32)
        self._packets: deque[Samples] = deque()
        self._came = asyncio.Event()
        self._next = 0  # sample
        self._origin: float | None = None  # the clock's time of sample 0

    def play(self, frame: LiveFrame) -> None:
        """Send this after what came before; call it when the frame is due.

        Raises:
            Stalled: seconds of sound were not taken.
        """
        if self._origin is None:
            self._origin = time.monotonic() - float(frame.pts)
        sound = np.concatenate([self._rest, frame.sound])
        whole = len(sound) // self._size * self._size
        self._packets.extend(sound[:whole].reshape(-1, self._size))
        self._rest = sound[whole:]
        if len(self._packets) > MAX_BACKLOG:
            raise Stalled
        self._came.set()

    async def recv(self) -> AudioFrame:
        """The next 20 ms."""
        while not self._packets and self.readyState == "live":
            self._came.clear()
            await self._came.wait()
        if self.readyState != "live":
            raise MediaStreamError
        assert self._origin is not None
        early = self._origin + self._next / self._rate - time.monotonic()
        if early > 0:  # its time of sending tells the browser which picture belongs to it
            await asyncio.sleep(early)
        values = (np.clip(self._packets.popleft(), -1, 1) * 32_767).round().astype(np.int16)
        packet = AudioFrame.from_ndarray(values[None], format="s16", layout="mono")
        packet.sample_rate, packet.time_base = self._rate, Fraction(1, self._rate)
        packet.pts = self._next
        self._next += self._size
        return packet

    def stop(self) -> None:
        """End."""
        super().stop()
        self._came.set()
