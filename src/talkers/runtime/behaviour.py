"""What controls mean in a live session: how an avatar idles, and how it moves while it speaks."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.head_track import HeadTrack
from talkers.controls.request import Controls
from talkers.media import AUDIO_RATE
from talkers.renderers.contract import RenderOptions
from talkers.runtime.engine import Engine
from talkers.runtime.idle import IdleLife
from talkers.runtime.resolved import ResolvedControls, resolve_controls
from talkers.runtime.session import AT_EASE, Hurry, Session

Latency = Literal["low", "balanced", "quality"]
MAX_AGAIN = 16  # frames that may be asked for again
PLENTY_FRAMES = 4  # frames whose sound is there beyond what is needed where all is sent at once


class Wait(NamedTuple):
    """How long a frame waits for sound that comes as it is spoken.

    Attributes:
        look_ahead: seconds of speech features after a frame; None: as many as the motion model
            wants.
        hurry: what else is done to be sooner, or to cost less.
    """

    look_ahead: float | None
    hurry: Hurry


WAITS: dict[Latency, Wait] = {
    "low": Wait(0.08, Hurry(guessed=6)),
    "balanced": Wait(0.16, Hurry(guessed=4, pairs=True)),
    "quality": Wait(None, Hurry(pairs=True)),
}
WHOLE = Wait(None, AT_EASE)  # for sound that is there


class Behaviour:
    """What controls mean for an avatar that is live.

    Args:
        engine: the avatar's.
        controls: of head, eyes and mouth.
        options: of the renderer; their seed is also that of blinks and head.
        latency: which of `WAITS`.

    Attributes:
        idle: its motion while nobody speaks.
        need: seconds of sound that must be there before it begins to speak.
        need_all: seconds of sound with which its motion is as good as it can be.
        plenty: seconds of sound that are there only if it is sent faster than it is spoken.

    Raises:
        ArtefactError: the avatar has no streaming speech encoder.
        TalkersError: controls that mean nothing to this avatar.
    """

    def __init__(
        self, engine: Engine, controls: Controls | None, options: RenderOptions, latency: Latency
    ):
        self._engine, self._options, self._wait = engine, options, WAITS[latency]
        self.resolved = resolve_controls(engine, controls, options.seed, live=True)
        self.idle = IdleLife(engine, self.resolved, options)
        half = 0.5 / float(engine.frame_rate)  # a delay counts from a frame's middle
        self.need_all = self._session(self.resolved, WHOLE).delay + half
        self.need = min(self.need_all, self._session(self.resolved, self._wait).delay + half)
        self.plenty = self.need_all + 2 * half * PLENTY_FRAMES

    def _session(self, resolved: ResolvedControls, wait: Wait) -> Session:
        ahead, hurry = wait
        return Session(self._engine, resolved, self._options, look_ahead=ahead, hurry=hurry)

    def _from_frame(self, start: int) -> ResolvedControls:
        head = self.resolved.head
        shifted = head.from_frame(start) if isinstance(head, HeadTrack) else head
        return self.resolved._replace(head=shifted)

    def begin(self, start: int, seconds: float) -> SpokenMotion:
        """The motion of an utterance.

        Args:
            start: the session's frame at which it begins: blinks go on.
            seconds: of its sound that are there; inf if all are.
        """
        wait = self._wait
        if seconds >= self.need_all:
            wait = WHOLE if seconds >= self.plenty else Wait(None, Hurry(pairs=True))
        return SpokenMotion(self._session(self._from_frame(start), wait), start, self)

    def steer(self, spoken: SpokenMotion) -> None:
        """Let an utterance that has begun go on as these controls want it."""
        if spoken.behaviour is not self:
            spoken.session.steer(self._from_frame(spoken.start))
            spoken.behaviour = self


class SpokenMotion:
    """The motion of an utterance, frame by frame. One thread at a time asks.

    Args:
        session: that makes it.
        start: the frame of the live session at which it begins.
        behaviour: that it follows.
    """

    def __init__(self, session: Session, start: int, behaviour: Behaviour):
        self.session, self.start, self.behaviour = session, start, behaviour
        self._rate = float(session.engine.frame_rate)
        self._received = 0  # samples at 16 kHz
        self._rows: deque[Tensor] = deque()
        self._first = 0  # frame of the first of these

    def need(self, frame: int) -> int:
        """How many samples more, at 16 kHz, the motion of a frame needs."""
        until = (frame + 0.5) / self._rate + self.session.delay
        return max(0, ceil(until * AUDIO_RATE) - self._received)

    def row(self, frame: int, sound: NDArray[np.float32], ended: bool) -> Tensor | None:
        """Motion of a frame.

        Args:
            frame: counted from the utterance's beginning; earlier than the last one that was
                asked for by at most MAX_AGAIN, where frames are made again.
            sound: float32 [n] at 16 kHz, what comes next.
            ended: silence comes after it.

        Returns:
            [width]; None where too little has come to tell anything.
        """
        if ended:
            sound = np.pad(sound, (0, max(0, self.need(frame) - len(sound))))
        self._received += len(sound)
        missing = frame - self._first - len(self._rows) + 1
        at_once = max(1, missing, int(len(sound) * self._rate / AUDIO_RATE))
        self._rows.extend(self.session.motion(sound, at_once))
        while self._first < frame - MAX_AGAIN and len(self._rows) > 1:
            self._rows.popleft()
            self._first += 1
        if self._rows and frame < self._first + len(self._rows):
            return self._rows[max(0, frame - self._first)]
        # too little sound has come: what is there must do
        committed = self._first + len(self._rows)
        ahead = self.session.ahead(frame - committed + 1)
        return ahead[-1] if len(ahead) else None
