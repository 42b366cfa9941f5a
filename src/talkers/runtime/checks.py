"""Numbers that users give, checked: a sentence in place of an error of the inside."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Rational
from typing import Any

from talkers.errors import UsageError

MAX_RATE = 240  # frames a second of a video
MIN_SIDE, MAX_SIDE = 32, 4096  # of a video, pixels
MAX_SEED = 2**32 - 1
MAX_STEPS = 1000


def whole(value: Any, what: str) -> int:
    """A whole number of any kind (Python's, numpy's, torch's).

    Raises:
        UsageError: it is none.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return int(value.__index__())
    except (AttributeError, TypeError) as error:
        raise UsageError(
            f"{value!r:.60} was given for {what}", todo="Give a whole number"
        ) from error


def checked_seed(seed: Any) -> int:
    """A seed as a Python number.

    Raises:
        UsageError: it is no whole number, or out of range.
    """
    number = whole(seed, "the seed")
    if not 0 <= number <= MAX_SEED:
        raise UsageError(f"the seed {number} was given", todo=f"Use 0 to {MAX_SEED}")
    return number


def checked_steps(steps: Any) -> int:
    """A number of network passes a frame as a Python number.

    Raises:
        UsageError: it is no whole number, or out of range.
    """
    number = whole(steps, "network passes a frame")
    if not 1 <= number <= MAX_STEPS:
        raise UsageError(
            f"{number} network passes a frame were asked for", todo=f"Use 1 to {MAX_STEPS}"
        )
    return number


def checked_rate(rate: Any) -> Fraction:
    """A frame rate as a fraction.

    Raises:
        UsageError: it is no number, or out of range.
    """
    try:
        number = rate if isinstance(rate, str | Rational) else float(rate)
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError
        fraction = Fraction(number).limit_denominator(1001)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UsageError(
            f"{rate!r:.40} frames a second were asked for", todo=f"Use 1 to {MAX_RATE}"
        ) from error
    if not 1 <= fraction <= MAX_RATE:
        raise UsageError(
            f"{float(fraction):g} frames a second were asked for", todo=f"Use 1 to {MAX_RATE}"
        )
    return fraction


def checked_side(size: Any) -> int:
    """The side of a video's frames.

    Raises:
        UsageError: it is no even number, or out of range.
    """
    side = whole(size, "the side of the frames")
    if side % 2 or not MIN_SIDE <= side <= MAX_SIDE:
        raise UsageError(
            f"a side of {side} pixels was asked for",
            todo=f"Use an even number from {MIN_SIDE} to {MAX_SIDE}",
        )
    return side
