"""How far a piece of work is, for whoever shows it."""

from __future__ import annotations

import re
from collections.abc import Callable

from talkers.errors import UsageError

Report = Callable[[str, int, int], None]  # stage, done, total


def quiet(stage: str, done: int, total: int) -> None:
    """Reports nothing."""


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
