"""When the user begins to speak, when they have ended, and what they said."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from talkers.dialogue.contract import SpeechEvent
from talkers.media import AUDIO_RATE, SampleStream
from talkers.speech.activity import ABOVE_NOISE_DB, loudness_of

RATE = 25  # looks at the sound a second
HOP = AUDIO_RATE // RATE
MEMORY = 10 * RATE  # looks by which the noise of the room is known
FAINTEST_DB = -52.0  # of speech
BEGINS = 0.2  # seconds of speech, within BEGINS_WITHIN, that interrupt
BEGINS_WITHIN = 0.32
ENDS = 0.7  # seconds of silence after which a turn is over
LEAD = 0.4  # seconds before the beginning that belong to a turn
MAX_TURN = 28.0  # seconds; a longer turn is answered in parts


class Recogniser(Protocol):
    """Understands speech."""

    def text(self, samples: NDArray[np.float32]) -> str:
        """What is said in [n] samples at 16 kHz; empty where nothing is."""
        ...


class Ears:
    """Sound in blocks of any size -> the beginnings and the texts of turns.

    Speech is what is louder than the room by `ABOVE_NOISE_DB`. What comes out of a loudspeaker is
    heard too: use headphones, or a microphone that cancels echoes.

    Args:
        recogniser: understands what is said.
    """

    def __init__(self, recogniser: Recogniser):
        self._recogniser = recogniser
        self._stream: SampleStream | None = None
        self._rest = np.zeros(0, np.float32)
        self._levels: deque[float] = deque(maxlen=MEMORY)
        self._recent: deque[bool] = deque(maxlen=round(BEGINS_WITHIN * RATE))
        self._before: deque[NDArray[np.float32]] = deque(
            maxlen=round((LEAD + BEGINS_WITHIN) * RATE)
        )
        self._turn: list[NDArray[np.float32]] | None = None  # that is being said
        self._silent = 0

    @property
    def open(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._turn is not None

    def push(self, samples: Any, rate: float) -> list[SpeechEvent]:
        """Hear a block.

        Raises:
            UsageError: this is no sound.
        """
        if self._stream is None or self._stream.rate != rate:
            self._stream = SampleStream(rate)
        self._rest = np.concatenate([self._rest, self._stream.push(samples)])
        events = []
        while len(self._rest) >= HOP:
            events += self._look(self._rest[:HOP])
            self._rest = self._rest[HOP:]
        return events

    def _look(self, samples: NDArray[np.float32]) -> list[SpeechEvent]:
        """What 40 ms of sound mean."""
        level = float(loudness_of([samples], HOP, 1)[0][0])
        self._levels.append(level)
        noise = float(np.percentile(self._levels, 10))
        speaks = level > max(FAINTEST_DB, noise + ABOVE_NOISE_DB)
        self._recent.append(speaks)
        if self._turn is None:
            self._before.append(samples)
            if sum(self._recent) < BEGINS * RATE:
                return []
            self._turn, self._silent = list(self._before), 0
            self._before.clear()
            return [SpeechEvent("begins")]
        self._turn.append(samples)
        self._silent = 0 if speaks else self._silent + 1
        length = len(self._turn) / RATE
        if self._silent < ENDS * RATE and length < MAX_TURN:
            return []
        return self.end()

    def end(self) -> list[SpeechEvent]:
        """The sound has ended, and so has the turn that is being said, if there is one."""
        if self._turn is None:
            return []
        turn, self._turn = np.concatenate(self._turn), None
        self._recent.clear()
        return [SpeechEvent("said", self._recogniser.text(turn))]
