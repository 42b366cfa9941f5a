"""A conversation as a video: the avatar's face, its voice, and the user's voice where there is one.

Time in it is the film's own: every frame is made however long it takes, and what the avatar needs
to think is left out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkers.dialogue.conversation import Conversation
from talkers.runtime.live_session import LiveFrame

PAUSE = 0.6  # seconds from the end of a reply to what comes next
OVER = 1.0  # seconds after the last reply
USER_GAIN = 0.8  # of the user's voice beside the avatar's

Picture = NDArray[np.uint8]
Samples = NDArray[np.float32]


class FilmClock:
    """Time that goes on only when somebody waits; see `talkers.runtime.clock.Clock`."""

    def __init__(self) -> None:
        self._time = 0.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self._time

    def sleep(self, seconds: float, wake: threading.Event) -> None:
        """See `Clock.sleep`."""
        self._time += max(0.0, seconds)

    async def sleep_async(self, seconds: float) -> None:
        """See `Clock.sleep_async`."""
        self._time += max(0.0, seconds)


class Film:
    """Frames and sound of a conversation, for `talkers.media.generated.write_generated`.

    Args:
        conversation: whose clock is a `FilmClock`, and whose replies are made by `work`.
        turns: what the user says by text, one after the other; each is asked for when the reply to
            the one before was said.
        sound: what the user says, float32 [n] mono, from the beginning.
        sound_rate: Hz of it.

    Attributes:
        rate: Hz of its own sound.
        count: frames that were made.
    """

    def __init__(
        self,
        conversation: Conversation,
        turns: Iterable[str] = (),
        sound: Samples | None = None,
        sound_rate: int = 48_000,
    ):
        self._conversation, self._turns = conversation, turns
        self._user, self._user_rate = sound, sound_rate
        self.rate = conversation.session.terms.sound_rate
        self._made = self._spoken_to() if sound is not None else self._typed()
        self.count = 0
        self._pictures: deque[Picture] = deque()
        self._sounds: deque[Samples] = deque()

    def frames(self) -> Iterator[Picture]:
        """Its pictures, uint8 [size, size, 3] RGB."""
        while self._pictures or self._next():
            yield self._pictures.popleft()

    def sound(self) -> Iterator[Samples]:
        """Its sound, float32 [n] mono at `rate`, in blocks; what frames were not asked for yet is
        made."""
        while self._sounds or self._next():
            yield self._sounds.popleft()

    def _next(self) -> bool:
        """Make the next frame, unless it was the last."""
        frame = next(self._made, None)
        if frame is None:
            return False
        self.count += 1
        self._pictures.append(frame.picture)
        self._sounds.append(frame.sound)
        return True

    def _typed(self) -> Iterator[LiveFrame]:
        """The user writes: a turn when the reply to the last one was said."""
        frames = self._conversation.frames()
        yield from _for(frames, PAUSE)
        for text in self._turns:
            self._conversation.push_text(text)
            self._conversation.work()
            while self._conversation.answering:
                yield next(frames)
            yield from _for(frames, PAUSE)
        yield from _for(frames, OVER)
        self._conversation.close()

    def _spoken_to(self) -> Iterator[LiveFrame]:
        """The user speaks: the avatar hears each frame's sound before the next frame is made."""
        assert self._user is not None
        frames = self._conversation.frames()
        left, played = self._user, 0.0
        while len(left) or self._conversation.answering:
            frame = next(frames)
            played += len(frame.sound) / self.rate
            due = round(played * self._user_rate) - (len(self._user) - len(left))
            block, left = left[:due], left[due:]
            ended = len(block) < due  # silence ends the last turn
            self._conversation.push_audio(np.pad(block, (0, due - len(block))), self._user_rate)
            self._conversation.work()
            yield self._mixed(frame, block)
            if ended and not self._conversation.attending and not self._conversation.answering:
                break
        while self._conversation.attending:  # the sound broke off within a turn
            frame = next(frames)
            self._conversation.push_audio(np.zeros(len(frame.sound), np.float32), self.rate)
            self._conversation.work()
            yield frame
        while self._conversation.answering:
            yield next(frames)
        yield from _for(frames, OVER)
        self._conversation.close()

    def _mixed(self, frame: LiveFrame, block: Samples) -> LiveFrame:
        """A frame whose sound has the user's in it."""
        count = len(frame.sound)
        if not len(block) or not count:
            return frame
        at = np.arange(count) * (len(block) / count)
        user = np.interp(at, np.arange(len(block)), block).astype(np.float32)
        both = np.clip(frame.sound + np.float32(USER_GAIN) * user, -1, 1)
        return LiveFrame(
            frame.picture,
            frame.pts,
            both,
            frame.sound_pts,
            frame.state,
            frame.source_pts,
            frame.skipped,
        )


def _for(frames: Iterator[LiveFrame], seconds: float) -> Iterator[LiveFrame]:
    """Frames of so many seconds."""
    first: Fraction | None = None
    for frame in frames:
        first = frame.pts if first is None else first
        yield frame
        if frame.pts - first >= seconds:
            return
