"""What an agent says, by a face: how much of it was pushed, how much was said, and what is next.

Frameworks count in answers; a live session knows sound. This counts the seconds of both, so that
an answer's end is told when its last sound comes out, not earlier and not later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from talkers.controls import Controls
from talkers.errors import UsageError
from talkers.runtime.avatar import Avatar
from talkers.runtime.live_session import LiveFrame, LiveTerms

MAX_AHEAD = 60.0  # seconds of sound that may wait to be said; whoever has more, waits
LOOK_AGAIN = 0.1  # seconds after which it is seen whether less waits
Pcm = NDArray[np.int16]  # [n] mono
NO_SOUND: Pcm = np.zeros(0, np.int16)


@dataclass(frozen=True)
class Moment:
    """A picture, and what is said while it is shown.

    Attributes:
        picture: uint8 [size, size, 3] RGB.
        pts: seconds from the first picture at which it is shown.
        sound: int16 [n] mono, at the session's rate; empty while nothing is said. Joined, it is
            what was pushed, without silence before, within or after it.
        said: seconds that were said by the end of this sound, of all that was ever pushed.
        skipped: pictures that were left out before this one, to keep time.
    """

    picture: NDArray[np.uint8]
    pts: Fraction
    sound: Pcm
    said: Fraction
    skipped: int


class Answers:
    """A live face, and the answers that wait to be said by it. For one event loop.

    Args:
        avatar: whose face.
        terms: of its session.
        controls: of head, eyes and mouth.
        seed: of blinks and head.

    Attributes:
        session: the live session.
        pushed: seconds of all that was ever pushed.
        said: seconds of it that were said, or forgotten by an interruption.
        cuts: interruptions so far.

    Raises:
        ArtefactError: the avatar has no streaming speech encoder.
        TalkersError: controls that mean nothing to this avatar.
    """

    def __init__(
        self,
        avatar: Avatar,
        terms: LiveTerms | None = None,
        controls: Controls | None = None,
        seed: int = 0,
    ):
        self.session = avatar.session(seed=seed, controls=controls, terms=terms)
        self.pushed = self.said = Fraction(0)
        self._counted = Fraction(0)  # `said`, and what is kept back
        self.cuts = 0
        self._frame_rate = avatar.frame_rate
        self._ends = deque[Fraction]()  # of answers that are not said yet
        self._cut = Fraction(0)  # what was pushed before this is forgotten
        self._whole = True  # whether what was pushed is
        self._speaking = False  # whether the last picture came with sound

    @property
    def waiting(self) -> bool:
        """Whether something that was pushed is not said yet."""
        return self.said < self.pushed

    async def push(self, sound: bytes | memoryview, rate: int, channels: int) -> None:
        """Say this after what was pushed before; waits while very much is to be said.

        Args:
            sound: int16, the machine's own order, channels beside one another.
            rate: Hz.
            channels: 1 or more.

        Raises:
            UsageError: this is no sound, or nothing more may be said.
        """
        samples = _mono(sound, channels)
        cuts = self.cuts
        while self.session.queued > MAX_AHEAD:
            await asyncio.sleep(LOOK_AGAIN)
            if self.cuts != cuts:  # it was interrupted, and this with it
                return
        self.session.push_audio(samples, rate)
        self.pushed += Fraction(len(samples), rate)
        self._whole = False

    def flush(self) -> Fraction:
        """What was pushed is a whole answer.

        Returns:
            what `said` will be when it is said.
        """
        self.session.flush()
        self._whole = True
        if self._counted < self.pushed and (not self._ends or self._ends[-1] < self.pushed):
            self._ends.append(self.pushed)
        return self.pushed

    def interrupt(self) -> None:
        """Say nothing of what waits, and close the mouth within 80 ms."""
        self.session.interrupt()
        self._cut, self._whole = self.pushed, True
        self._count(self.pushed)
        self.said = self.pushed
        self.cuts += 1

    async def moments(self) -> AsyncIterator[Moment]:
        """Pictures and sound, each when it is due, until the session has ended.

        Where pictures are skipped, the first sound of an answer is shorter than the time to the
        next. It is then kept until that: whoever plays it would run out of sound.
        """
        kept, kept_at, slow = NO_SOUND, 0, False
        async for moment in self._moments():
            begins = len(moment.sound) and not self._speaking and not len(kept)
            slow, was_slow = bool(moment.skipped), slow
            self._speaking = bool(len(moment.sound))
            if begins and (slow or was_slow):
                kept, kept_at = moment.sound, self.cuts
                yield replace(moment, sound=NO_SOUND, said=self.said)
                continue
            if len(kept) and kept_at == self.cuts:
                moment = replace(moment, sound=np.concatenate([kept, moment.sound]))
            kept, self.said = NO_SOUND, moment.said
            yield moment

    async def _moments(self) -> AsyncIterator[Moment]:
        """Pictures, and the sound that comes with each."""
        done, cuts = self._done(), self.cuts
        async for frame in self.session:
            if frame.state == "idle":
                self._count(done)
            stale = frame.source_pts is None and cuts != self.cuts
            sound = frame.sound[:0]
            if frame.state == "speaking" and not stale:
                sound = self._said_in(frame)
            yield Moment(frame.picture, frame.pts, _pcm(sound), self._counted, frame.skipped)
            done, cuts = self._done(), self.cuts

    def _done(self) -> Fraction:
        """Seconds that are said for sure: all of them where nothing waits."""
        return self.pushed if self._whole and not self.session.queued else self._counted

    def _count(self, said: Fraction) -> None:
        """So many seconds came out of the session."""
        self._counted = max(self._counted, said)
        while self._ends and self._ends[0] <= self._counted:
            self._ends.popleft()

    def _said_in(self, frame: LiveFrame) -> NDArray[np.float32]:
        """What a frame says of what was pushed, without the silence around it."""
        rate, sound, begins = self.session.terms.sound_rate, frame.sound, frame.source_pts
        if begins is None:  # pictures were skipped, and what was said meanwhile has ended
            until = self._counted + Fraction(len(sound), rate)
            ended = [end for end in self._ends if end <= until]
            said = ended[-1] if ended else min(until, self.pushed)
            last = len(sound) - round((until - said) * rate)
            if not self._speaking:  # some pictures may have come before it
                sound = np.trim_zeros(sound, "f")
            self._count(said)
            return sound[: max(last, len(np.trim_zeros(sound, "b")))]
        if begins < self._cut:  # it was made before the interruption
            return sound[:0]
        until = begins + 1 / self._frame_rate
        said = min(until, next((end for end in self._ends if end > begins), self.pushed))
        last = max(0, len(sound) - round((until - said) * rate))
        first = 0
        if frame.skipped and not self._speaking:  # some pictures may have come before it
            first = max(0, last - ceil((said - self._counted) * rate))
        self._count(said)
        return sound[first:last]


def _mono(sound: bytes | memoryview, channels: int) -> NDArray[np.int16] | NDArray[np.float32]:
    """Samples of one channel: int16 [n], or float32 [n] where several were mixed.

    Raises:
        UsageError: they are no whole number of samples.
    """
    size = len(memoryview(sound).cast("B"))
    if channels < 1 or size % (2 * channels):
        raise UsageError(
            f"{size} bytes are no whole number of 16-bit samples of {channels} channels",
            todo="Give int16 with the channels beside one another",
        )
    samples = np.frombuffer(sound, np.int16)
    if channels == 1:
        return samples
    return samples.reshape(-1, channels).mean(1, dtype=np.float32) / np.float32(2**15)


def _pcm(sound: NDArray[np.float32]) -> Pcm:
    """float32 [n], -1..1 -> int16 [n]."""
    return (np.clip(sound, -1, 1) * 32_767).round().astype(np.int16)
