"""How far a piece of work is, for whoever shows it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from talkers.errors import UsageError

Report = Callable[[str, int, int], None]  # stage, done, total


def quiet(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


class ProgressLines:
    """Tells how far a piece of work is where no bar can be drawn: a line now and then.

    Args:
        write: takes a line.
        every: seconds between two lines; work that is done sooner is not told of.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        every: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._write, self._every, self._clock = write, every, clock
        self._last = clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """A `Report`."""
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._write(f"{stage}: {done} of {total}")


def parse_duration(text: str) -> float:
    """'90s', '30m', '1.5h', '1h30m' -> seconds.

    Raises:
        UsageError: anything else.
    """
    parts = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip()
    )
    if not parts or not any(parts.groups()):
        raise UsageError(f"'{text}' is not a length of time", todo="Write it as 90s, 30m or 1h30m")
    hours, minutes, seconds = (float(p or 0) for p in parts.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not total:
        raise UsageError("a budget of no time was given", todo="Write it as 90s, 30m or 1h30m")
    return total
