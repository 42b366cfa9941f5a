"""How long a live face takes: from the sound that arrives to the picture that has gone out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from talkers.runtime.live_session import LiveFrame

RECENT = 50  # frames of which the mean is told
REMEMBERED = 1_000  # blocks of sound


class Report(NamedTuple):
    """What is told of the last moments.

    Attributes:
        follows: mean seconds from the sound in a frame's middle, as it came from the microphone,
            to the picture; None where nothing was heard.
        begins: seconds from the first sound of what was sent last (a file or a text), or from the
            end of what was asked, to the first picture that says it, or the answer; None where
            there was none.
        pictures: a second.
        skipped: share of the pictures that were left out.
    """

    follows: float | None
    begins: float | None
    pictures: float
    skipped: float


class DelayMeter:
    """Notes when sound comes and when pictures go.

    Args:
        frame_rate: of the session.
        clock: seconds that never fall.
    """

    def __init__(self, frame_rate: Fraction, clock: Callable[[], float] = time.monotonic):
        self._half, self._clock = 1 / (2 * frame_rate), clock
        self._arrivals: deque[tuple[Fraction, float]] = deque(maxlen=REMEMBERED)
        self._delays: deque[float] = deque(maxlen=RECENT)
        self._sent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._pushed: float | None = None
        self._begins: float | None = None
        self._speaks, self._quiet = False, True  # whether it was silent since what was pushed

    def received(self, end: Fraction, before: float = 0.0) -> None:
        """Sound of the microphone has come.

        Args:
            end: seconds by its clock.
            before: seconds since it came.
        """
        self._arrivals.append((end, self._clock() - before))

    def pushed(self) -> None:
        """Sound of a file or a text has come."""
        if self._pushed is None and not self._speaks:
            self._pushed, self._quiet = self._clock(), True

    def wait_for_answer(self, before: float = 0.0) -> None:
        """Something was asked that is to be answered.

        Args:
            before: seconds since then.
        """
        self._pushed, self._quiet = self._clock() - before, not self._speaks

    def deaf(self) -> None:
        """The microphone is off."""
        self._arrivals.clear()

    def sent(self, frame: LiveFrame) -> None:
        """A frame's picture has gone out."""
        now = self._clock()
        self._sent.append((now, frame.skipped))
        self._speaks = frame.state == "speaking"
        if not self._speaks:
            self._quiet = True
            return
        if self._pushed is not None and self._quiet:
            self._begins, self._pushed = now - self._pushed, None
        if frame.source_pts is None or not self._arrivals:
            return
        middle = frame.source_pts + self._half
        while len(self._arrivals) > 1 and self._arrivals[0][0] < middle:
            self._arrivals.popleft()
        end, came = self._arrivals[0]
        if end >= middle and end - middle < 1:  # it is sound of the microphone
            self._delays.append(now - came)

    def report(self) -> Report:
        """Of the last moments; what was followed is forgotten."""
        follows = sum(self._delays) / len(self._delays) if self._delays else None
        self._delays.clear()
        skipped = sum(count for _, count in self._sent)
        shown = len(self._sent)
        spent = self._sent[-1][0] - self._sent[0][0] if shown > 1 else 0.0
        return Report(
            follows,
            self._begins,
            (shown - 1) / spent if spent else 0.0,
            skipped / (skipped + shown) if shown else 0.0,
        )
