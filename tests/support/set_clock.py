"""A clock of live sessions that tests set."""

from __future__ import annotations

import asyncio
import threading


class SetClock:
    """A clock that goes on only when somebody waits, or works."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float, wake: threading.Event) -> None:
        if not wake.is_set():
            self.time += max(0.0, seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += max(0.0, seconds)
