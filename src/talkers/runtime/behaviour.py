"""What controls mean in a live session: how an avatar idles, and how it moves while it speaks."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Literal

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
from talkers.runtime.session import Session

Latency = Literal["low", "balanced", "quality"]
LOOK_AHEAD: dict[Latency, float | None] = {"low": 0.0, "balanced": 0.08, "quality": None}
"""Seconds of speech features after a frame that it waits for where sound comes as it is spoken;
None: as many as the motion model wants. Here an avatar that is trained for less delay has a say."""


class Behaviour:
    """What controls mean for an avatar that is live.

    Args:
        engine: the avatar's.
        controls: of head, eyes and mouth.
        options: of the renderer; their seed is also that of blinks and head.
        latency: which of `LOOK_AHEAD`.

    Attributes:
        idle: its motion while nobody speaks.
        need: seconds of sound that must be there before it begins to speak.
        need_all: seconds of sound with which its motion is as good as it can be.

    Raises:
        ArtefactError: the avatar has no streaming speech encoder.
        TalkersError: controls that mean nothing to this avatar.
    """

    def __init__(
        self, engine: Engine, controls: Controls | None, options: RenderOptions, latency: Latency
    ):
        self._engine, self._options, self._look_ahead = engine, options, LOOK_AHEAD[latency]
        self.resolved = resolve_controls(engine, controls, options.seed, live=True)
        self.idle = IdleLife(engine, self.resolved, options)
        half = 0.5 / float(engine.frame_rate)  # a delay counts from a frame's middle
        self.need_all = self._session(self.resolved, True).delay + half
        self.need = min(self.need_all, self._session(self.resolved, False).delay + half)

    def _session(self, resolved: ResolvedControls, whole: bool) -> Session:
        ahead = None if whole else self._look_ahead
        return Session(self._engine, resolved, self._options, look_ahead=ahead)

    def _from_frame(self, start: int) -> ResolvedControls:
        head = self.resolved.head
        shifted = head.from_frame(start) if isinstance(head, HeadTrack) else head
        return self.resolved._replace(head=shifted)

    def begin(self, start: int, whole: bool) -> SpokenMotion:
        """The motion of an utterance.

        Args:
            start: the session's frame at which it begins: blinks go on.
            whole: whether `need_all` of its sound is there.
        """
        return SpokenMotion(self._session(self._from_frame(start), whole), start, self)

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
        self._heard = 0  # samples at 16 kHz
        self._rows: deque[Tensor] = deque()
        self._first = 0  # frame of the first of these

    def need(self, frame: int) -> int:
        """How many samples more, at 16 kHz, the motion of a frame needs."""
        until = (frame + 0.5) / self._rate + self.session.delay
        return max(0, ceil(until * AUDIO_RATE) - self._heard)

    def row(self, frame: int, sound: NDArray[np.float32], ended: bool) -> Tensor | None:
        """Motion of a frame.

        Args:
            frame: later than those asked for before, counted from the utterance's beginning.
            sound: float32 [n] at 16 kHz, what comes next.
            ended: silence comes after it.

        Returns:
            [width]; None where too little has come to tell anything.
        """
        if ended:
            sound = np.pad(sound, (0, max(0, self.need(frame) - len(sound))))
        self._heard += len(sound)
        self._rows.extend(self.session.motion(sound, max(1, frame - self._first)))
        while self._first < frame and len(self._rows) > 1:
            self._rows.popleft()
            self._first += 1
        if self._rows and self._first == frame:
            return self._rows[0]
        # too little sound has come: what is there must do
        committed = self._first + len(self._rows)
        ahead = self.session.ahead(frame - committed + 1)
        return ahead[-1] if len(ahead) else None
