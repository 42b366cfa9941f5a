"""Time in a live session: the clock on the wall, and which sound belongs to which frame."""

from __future__ import annotations

import asyncio
import threading
import time
from fractions import Fraction
from typing import NamedTuple, Protocol


class Clock(Protocol):
    """What a live session asks for the time. Tests bring one that they set."""

    def now(self) -> float:
        """Seconds, from anywhere; they never fall."""
        ...

    def sleep(self, seconds: float, wake: threading.Event) -> None:
        """Wait so long, or until the event is set."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Wait so long, and let other tasks of the loop go on."""
        ...


class SystemClock:
    """The machine's own clock; see `Clock`."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.monotonic()

    def sleep(self, seconds: float, wake: threading.Event) -> None:
        """See `Clock.sleep`."""
        if seconds > 0:
            wake.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """See `Clock.sleep_async`."""
        await asyncio.sleep(max(0.0, seconds))


class MediaTime(NamedTuple):
    """Frames and samples of one video, counted exactly: they are in step however long it lasts.

    Attributes:
        frame_rate: frames a second.
        sound_rate: samples a second.
    """

    frame_rate: Fraction
    sound_rate: int

    def pts(self, frame: int) -> Fraction:
        """Seconds at which a frame is due."""
        return frame / self.frame_rate

    def sample(self, frame: int) -> int:
        """The first sample that sounds while a frame is shown."""
        return frame * self.sound_rate * self.frame_rate.denominator // self.frame_rate.numerator
