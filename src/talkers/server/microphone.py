"""What a microphone hears goes to a live session while somebody speaks.

In between the face idles. Where speech ends, sound that came late is forgotten as well: the delay
does not grow.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkers.errors import UsageError
from talkers.runtime.live_session import LiveSession
from talkers.speech.activity import ABOVE_NOISE_DB, FLOOR_DB, SILENCE_DB

BEFORE = 0.1  # seconds of sound before speech that go with it
HOLD = 0.5  # seconds of silence that end an utterance
MEMORY = 10.0  # seconds of sound that tell how loud the room is
LOUDEST_FLOOR_DB = -38.0  # noise above this is taken for speech
QUIET_SHARE = 10  # percent of the levels that lie below the room's noise


class Microphone:
    """Pushes a microphone's speech.

    Args:
        session: takes it.
        seconds: of a block, about.
    """

    follows = True  # the face says what it hears

    def __init__(self, session: LiveSession, seconds: float = 0.02):
        self._session = session
        self._before: deque[tuple[NDArray[np.int16], Fraction]] = deque(
            maxlen=round(BEFORE / seconds)
        )
        self._levels: deque[float] = deque(maxlen=round(MEMORY / seconds))
        self._silent = HOLD  # seconds
        self.on = False

    @property
    def open(self) -> bool:
        """Whether what comes is pushed."""
        return self._silent < HOLD

    def hear(self, samples: NDArray[np.int16], rate: int, pts: Fraction) -> None:
        """Take a block.

        Args:
            samples: int16 [n, channels].
            rate: Hz.
            pts: seconds by the microphone's clock.
        """
        if not self.on or not len(samples):
            return
        level = _level(samples)
        self._levels.append(level)
        quiet = float(np.percentile(self._levels, QUIET_SHARE))
        loud = level > max(FLOOR_DB, min(quiet + ABOVE_NOISE_DB, LOUDEST_FLOOR_DB))
        was_open = self.open
        self._silent = 0.0 if loud else self._silent + len(samples) / rate
        self._before.append((samples, pts))
        if self.open:
            for block, at in self._before:
                self._push(block, rate, at)
            self._before.clear()
        elif was_open:
            self._session.flush()

    def listen(self, on: bool) -> None:
        """Begin or end to listen."""
        if self.on and self.open:
            self._session.flush()
        self.on, self._silent = on, HOLD
        self._before.clear()

    def _push(self, samples: NDArray[np.int16], rate: int, pts: Fraction) -> None:
        try:
            self._session.push_audio(samples, rate, pts)
        except UsageError:  # seconds were lost, or wait: begin anew
            self._session.flush()


def _level(samples: NDArray[np.int16]) -> float:
    """dB below full scale."""
    mean = float(np.mean(np.square(samples / 2.0**15)))
    return max(SILENCE_DB, 10 * np.log10(mean)) if mean > 0 else SILENCE_DB
