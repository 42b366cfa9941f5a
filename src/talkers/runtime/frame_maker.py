"""How the frames of a live session are made: in order, in time, and some of them ahead.

What a frame shows is decided by one thread at a time, and its picture is painted by any. Frames
that are made ahead may turn out not to be true: then they are thrown away, and what was played
for them is played again.
"""

from __future__ import annotations

import threading
from collections import deque
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.blend import MOUTH_SECONDS, Blend
from talkers.runtime.clock import Clock, MediaTime
from talkers.runtime.engine import Engine
from talkers.runtime.listening import AT_REST, Listening
from talkers.runtime.playlist import Played, Playlist
from talkers.runtime.threads import Threads

COST_WEIGHT = 0.2  # of the newest frame in the estimate of what a frame costs
TOGETHER = 0.8  # what a further frame of a batch costs, of the first one's cost
MAX_BATCH = 2  # frames painted together; more would keep a thread from what is urgent
MAX_AHEAD = 4  # frames that are being made or wait to be taken
ENOUGH_AHEAD = 2  # finished frames with which one thread goes on and the others rest
MOTION_AT_ONCE = 4  # frames whose motion is made in one go where their sound is there


@dataclass(eq=False)
class Order:
    """A frame that is to be made.

    Attributes:
        first: the first frame whose sound is played with it.
        frame: its number; those from `first` on to it are skipped.
        played: while it is shown.
        before: the blend, and the frame after the last one that spoke, before it was begun.
        motion: [width], once it is known.
        picture: uint8 [size, size, 3], once it is painted.
        error: why it could not be made.
        dropped: it is not true any more.
    """

    first: int
    frame: int
    played: Played
    before: tuple[Blend, int]
    motion: Tensor | None = None
    picture: NDArray[np.uint8] | None = None
    error: BaseException | None = None
    dropped: bool = False

    @property
    def done(self) -> bool:
        """Whether it can be taken."""
        return self.picture is not None or self.error is not None


class FrameMaker:
    """Makes the frames of a live session. Any thread may call it.

    Args:
        engine: the avatar's.
        options: of the renderer.
        mark: put the watermark into the frames.
        time: of the session.
        clock: of the session.
        playlist: what is played.
        painters: threads that will make frames at the same time; with several, frames are made
            ahead.

    Attributes:
        orders: what is being made or waits to be taken, in the order of their frames.
        changed: told when `orders` or what is played has changed; its lock is the playlist's.
        closed: the session is.
        origin: the clock's time of frame 0, once that was made.
        listener: how the face listens while it does not speak.
    """

    def __init__(
        self,
        engine: Engine,
        options: RenderOptions,
        mark: bool,
        time: MediaTime,
        clock: Clock,
        playlist: Playlist,
        painters: int = 1,
    ):
        self._engine, self._options, self._mark = engine, options, mark
        self._time, self._clock, self._playlist = time, clock, playlist
        self._painters, self._period = painters, float(1 / engine.frame_rate)
        if painters > 1:
            playlist.at_once = MOTION_AT_ONCE
        self.orders: deque[Order] = deque()
        self.changed = threading.Condition(playlist.lock)
        self.closed = threading.Event()
        self.origin: float | None = None
        self.listener: Listening | None = None
        self._next = 0  # the frame to come
        self._spoke = 0  # the frame after the last one that spoke
        self._cost = 0.0  # seconds that a frame takes, on average
        self._blend = Blend(float(engine.frame_rate))
        self._restored: Blend | None = None  # to go on with, once frames were thrown away
        self._deciding = threading.Lock()  # what the next frame shows
        self._state = RenderState()

    @property
    def over(self) -> bool:
        """Whether all is said, and the mouth is closed; or the session is closed."""
        closed = self._spoke + ceil(MOUTH_SECONDS / self._period)
        return self.closed.is_set() or (self._playlist.over and self._next >= closed)

    def until(self, pts: Fraction) -> float:
        """Seconds until a time of the session."""
        return 0.0 if self.origin is None else self.origin + float(pts) - self._clock.now()

    def until_due(self) -> float:
        """Seconds until work on the next frame must begin: late, so that it knows the newest
        sound."""
        takes = min(1.25 * self._cost + 0.002, max(1, self._painters) * self._period)
        return self.until(self._time.pts(self._next)) - takes

    def until_work(self) -> float:
        """Seconds until a thread that makes frames ahead has something to do, as things are."""
        with self.changed:
            if len(self.orders) >= MAX_AHEAD or self.over:
                return inf
            done = sum(order.done for order in self.orders)
            wanted = done < ENOUGH_AHEAD or done == len(self.orders)
            return 0.0 if wanted and self._playlist.foreseen else self.until_due()

    def close(self) -> None:
        """Make no more."""
        self.closed.set()
        with self.changed:
            self.changed.notify_all()

    def forget(self, seconds: float | None = None, silent: bool = False) -> None:
        """Throw away frames that will be shown later, and play what is theirs again.

        Args:
            seconds: from now; what is shown before stays (default: what could not be made again
                in time).
            silent: only those that do not speak.
        """
        with self.changed:
            after = self._cost if seconds is None else seconds
            while self.orders:
                last = self.orders[-1]
                spoken = last.played.state == "speaking"
                if self.until(self._time.pts(last.frame)) <= after or (silent and spoken):
                    break
                self.orders.pop()
                last.dropped, self._next = True, last.first
                self._restored, self._spoke = last.before
                self._playlist.go_back(last.played.undo)
            self.changed.notify_all()

    def make(self, threads: Threads, ahead: bool = False) -> None:
        """Make the next frame that can be ready in time.

        Args:
            threads: of the one who calls.
            ahead: make it only if it is time for that, and several if there is time for them.
                Otherwise it is made only if no other is being made.
        """
        with threads.chosen():
            orders, begun = self._decided(ahead)
            if not orders:
                return
            try:
                motion = torch.stack([order.motion for order in orders if order.motion is not None])
                options, mark, state = self._options, self._mark, self._state
                pictures = self._engine.decode(motion, options, mark=mark, state=state)
                for order, picture in zip(orders, pictures, strict=True):
                    order.picture = picture
            except Exception as error:
                for order in orders:
                    order.error = error
        with self.changed:
            now = self._clock.now()
            took = (now - begun) / (1 + TOGETHER * (len(orders) - 1))
            threads.took(took)
            if self.origin is None:
                self.origin = now
            else:
                self._cost += COST_WEIGHT * (took - self._cost)
            self.changed.notify_all()

    def _decided(self, ahead: bool) -> tuple[list[Order], float]:
        """What the next frames show, and when work on them began."""
        orders = list[Order]()
        with self._deciding:
            begun = self._clock.now()
            while order := self._begun(ahead, len(orders)):
                try:
                    order.motion = self._motion(order)
                except Exception as error:
                    order.error = error
                    break
                if not order.dropped:
                    orders.append(order)
        return orders, begun

    def _begun(self, ahead: bool, together: int) -> Order | None:
        """Begin the next frame, if it is time for it.

        Args:
            ahead: see `make`.
            together: how many are begun already, to be painted with it.
        """
        with self.changed:
            if self.over or (not ahead and self.orders):
                return None
            takes, first = self._cost * (1 + TOGETHER * together), self._next
            if ahead and together:
                room = together < MAX_BATCH and len(self.orders) < MAX_AHEAD
                early = self.until(self._time.pts(first)) > takes
                if not (room and early and self._playlist.foreseen):
                    return None
            elif ahead and self.until_work() > 0:
                return None
            last = first
            if self.origin is not None:  # skip what cannot be ready less than half a frame late
                ready = self._clock.now() - self.origin + takes
                last = max(first, ceil(ready / self._period - 0.5))
            if self._restored is not None:
                self._blend, self._restored = copy(self._restored), None
            before = copy(self._blend), self._spoke
            order = Order(first, last, self._playlist.play(first, last), before)
            speaking, self._next = order.played.speaking, last + 1
            if speaking is not None and speaking.spoken is not None:
                self._spoke = self._next
            self.orders.append(order)
            return order

    @torch.inference_mode()
    def _motion(self, order: Order) -> Tensor:
        """Motion of a frame: [width]."""
        played, frame = order.played, order.frame
        behaviour, row, speaking = played.behaviour, None, played.speaking
        if speaking is not None and speaking.spoken is not None:
            behaviour.steer(speaking.spoken)
            row = speaking.spoken.row(played.said, played.model_sound, played.ended)
        source = None if row is None else speaking
        if row is None:
            listener = self.listener
            bearing = AT_REST if listener is None else listener.bearing(frame)
            row = behaviour.idle.row(frame, bearing)
        closing = None
        if source is None and played.closing is not None and self.origin is not None:
            closing = played.closing - self.origin
        space = behaviour.resolved.space
        return self._blend.row(row, frame, (source, behaviour), space, closing)
