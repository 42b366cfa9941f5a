"""A live face: sound in when it comes, pictures and sound out in time, and life in between.

Whoever pushes sound only puts it in a queue. Two threads of the session make its frames: as late
as they can where sound comes as it is spoken, and some frames ahead where all is known. With a
clock that is not the machine's there are no such threads: whoever takes the frames makes them.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite
from types import TracebackType
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.media import AUDIO_RATE
from talkers.renderers.contract import RenderOptions
from talkers.runtime.behaviour import Behaviour, Latency
from talkers.runtime.clock import Clock, MediaTime, SystemClock
from talkers.runtime.engine import Engine
from talkers.runtime.frame_maker import FrameMaker, Order
from talkers.runtime.listening import Listening
from talkers.runtime.painters import (
    LONGEST_WAIT,
    Painter,
    begin_painting,
    end_painting,
    painters_of,
)
from talkers.runtime.playlist import Playlist, State
from talkers.runtime.threads import Threads
from talkers.runtime.utterance import Samples

SOUND_RATES = 8_000, 192_000  # Hz at which sound is played
GRACE = 0.005  # seconds after which a frame that no painter has begun is made by who waits for it


@dataclass(frozen=True)
class LiveTerms:
    """How a live session is run.

    Attributes:
        latency: low, balanced or quality: how much sound a frame waits for where sound comes as it
            is spoken. Sound that comes faster is always there.
        sound_rate: Hz of the sound that comes with the frames.
        provenance: put the watermark into the frames.

    Raises:
        UsageError: a value out of range.
    """

    latency: Latency = "balanced"
    sound_rate: int = 48_000
    provenance: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError: a value out of range."""
        if self.latency not in get_args(Latency):
            raise UsageError(
                f"the latency {self.latency!r} was asked for", todo="Use low, balanced or quality"
            )
        rate = self.sound_rate
        if type(rate) is not int or not SOUND_RATES[0] <= rate <= SOUND_RATES[1]:
            raise UsageError(
                f"a sound rate of {rate!r} was asked for",
                todo=f"Give whole Hz, {SOUND_RATES[0]} to {SOUND_RATES[1]}",
            )


@dataclass(frozen=True)
class LiveFrame:
    """A picture, and the sound that belongs to it.

    Attributes:
        picture: uint8 [size, size, 3] RGB.
        pts: seconds from the first frame at which it is shown.
        sound: float32 [n] mono at the session's sound rate. The sound of all frames joined has no
            gap: where pictures were skipped, theirs comes with this one.
        sound_pts: seconds at which this sound begins; earlier than `pts` after skipped pictures.
        state: speaking (its sound was pushed, or some of it), idle or paused.
        source_pts: the sender's time of the sound at `pts`; None where none is played.
        skipped: pictures that were left out before this one, to keep time.
    """

    picture: NDArray[np.uint8]
    pts: Fraction
    sound: Samples
    sound_pts: Fraction
    state: State
    source_pts: Fraction | None
    skipped: int


class LiveSession:
    """A face that lives: it speaks the sound that is pushed, and idles when there is none.

    Make it with `Avatar.session`. Frames come out of it by iteration, with `for` or `async for`,
    each when it is due. Every method may be called from any thread. It keeps time: when the machine
    is too slow, pictures are skipped, and the sound goes on unbroken.

    Args:
        engine: the avatar's.
        controls: of head, eyes and mouth.
        options: of the renderer; their seed is also that of blinks and head.
        terms: how it is run.
        clock: what tells the time (default: the machine's).

    Raises:
        ArtefactError: the avatar has no streaming speech encoder.
        TalkersError: controls that mean nothing to this avatar.
    """

    def __init__(
        self,
        engine: Engine,
        controls: Controls | None,
        options: RenderOptions,
        terms: LiveTerms | None = None,
        clock: Clock | None = None,
    ):
        self._engine, self._options, self.terms = engine, options, terms or LiveTerms()
        self._clock = clock or SystemClock()
        self._time = MediaTime(engine.frame_rate, self.terms.sound_rate)
        behaviour = Behaviour(engine, controls, options, self.terms.latency)
        self._playlist = Playlist(self._time, self._clock, behaviour)
        self._cores = torch.get_num_threads()
        count = painters_of(self._cores) if clock is None else 0
        mark, time = self.terms.provenance, self._time
        self._maker = FrameMaker(engine, options, mark, time, self._clock, self._playlist, count)
        self._painters: list[Painter] | None = None if count else []
        self._threads = Threads(float(1 / engine.frame_rate))
        self._taking = threading.Lock()
        self._ended = weakref.finalize(self, self._maker.close)

    def push_audio(
        self, samples: Any, rate: float = AUDIO_RATE, pts: Fraction | float | None = None
    ) -> None:
        """Say this, after all that was pushed before.

        Args:
            samples: a block of any size: float32 or any integers, [n], [n, channels] or
                [channels, n]; see `talkers.media.samples`.
            rate: Hz of the samples.
            pts: seconds, the time of the first sample by the sender's clock. Where sound is
                missing, up to two seconds are filled with silence; what came before is cut off.
                Without it, blocks follow one another.

        Raises:
            UsageError: this is no sound, two minutes of sound wait to be played already, or the
                session has ended. Nothing of the block is taken then.
        """
        self._playlist.push(samples, rate, _checked_pts(pts))
        self._maker.forget(silent=True)

    def flush(self) -> None:
        """What was pushed is whole: it need not wait for more. What comes next is new."""
        self._playlist.flush()
        self._maker.forget(silent=True)

    def interrupt(self) -> float:
        """Stop speaking: the queue is emptied, and the mouth is closed within 80 ms.

        Returns:
            seconds that were played of what was being said since the last `flush`; 0 if nothing
            was. Nothing of it comes out any more, but of a frame that is being handed over.
        """
        with self._playlist.lock:
            self._maker.forget(-inf)
            return self._playlist.interrupt()

    def pause(self) -> None:
        """Stop speaking as `interrupt` does, but keep what is left for `resume`."""
        with self._playlist.lock:
            self._maker.forget(-inf)
            self._playlist.pause()

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._playlist.resume()
        self._maker.forget(silent=True)

    def set(self, controls: Controls) -> None:
        """From the next frame on, obey other controls. Another motion model moves what is said
        after the present utterance.

        Raises:
            TalkersError: controls that mean nothing to this avatar.
        """
        latency = self.terms.latency
        behaviour = Behaviour(self._engine, controls, self._options, latency)
        with self._playlist.lock:
            self._playlist.behaviour = behaviour
            self._maker.forget()

    @property
    def listener(self) -> Listening | None:
        """How it listens while it does not speak; None: it idles whatever is `hear`d."""
        return self._maker.listener

    @listener.setter
    def listener(self, listener: Listening | None) -> None:
        self._maker.listener = listener

    def hear(self, samples: Any, rate: float = AUDIO_RATE) -> None:
        """Somebody speaks to it: the sound goes to its `listener`, and is not played.

        Raises:
            UsageError: this is no sound.
        """
        if self.listener is not None:
            self.listener.hear(samples, rate)

    def finish(self) -> None:
        """Nothing more will be said: frames end when all that waits is said."""
        self._playlist.finish()
        self._maker.forget(silent=True)

    def close(self) -> None:
        """End at once. Once more does no harm."""
        self._playlist.close()
        self._maker.close()
        end_painting(self._painters or [])

    @property
    def queued(self) -> float:
        """Seconds of sound that wait to be played."""
        return self._playlist.queued

    def __enter__(self) -> LiveSession:
        """The session; it is closed when the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def __iter__(self) -> LiveSession:
        """Its frames."""
        return self

    def __next__(self) -> LiveFrame:
        """The next frame, when it is due."""
        self._clock.sleep(self._until_taken(), self._maker.closed)
        frame = self._make()
        if frame is None:
            raise StopIteration
        self._clock.sleep(self._maker.until(frame.pts), self._maker.closed)
        return frame

    def __aiter__(self) -> LiveSession:
        """Its frames."""
        return self

    async def __anext__(self) -> LiveFrame:
        """The next frame, when it is due; made in a thread, and other tasks go on meanwhile."""
        await self._clock.sleep_async(self._until_taken())
        frame = await asyncio.to_thread(self._make)
        if frame is None:
            raise StopAsyncIteration
        await self._clock.sleep_async(self._maker.until(frame.pts))
        return frame

    def _until_taken(self) -> float:
        """Seconds until it is of use to ask for a frame."""
        with self._maker.changed:
            if self._maker.orders:
                return self._maker.until(self._time.pts(self._maker.orders[0].frame))
            return 0.0 if self._painters else self._maker.until_due()

    def _make(self) -> LiveFrame | None:
        """Make the next frame, or wait until the painters have; None when the session is over."""
        maker = self._maker
        with self._taking:
            while (order := self._awaited()) is None:
                if maker.over:
                    return None
                maker.make(self._threads)
                if self._painters is None:
                    self._painters = begin_painting(maker, self._cores)
        if order.error is not None:
            raise order.error
        assert order.picture is not None
        return LiveFrame(
            order.picture,
            self._time.pts(order.frame),
            order.played.sound,
            Fraction(self._time.sample(order.first), self._time.sound_rate),
            order.played.state,
            order.played.source_pts,
            order.frame - order.first,
        )

    def _awaited(self) -> Order | None:
        """The next frame as soon as it is due; None where nobody makes it, or none comes."""
        maker = self._maker
        with maker.changed:
            while not maker.closed.is_set():
                if maker.orders:
                    order = maker.orders[0]
                    seconds = maker.until(self._time.pts(order.frame)) if order.done else inf
                    if order.done and (seconds <= 0 or not self._painters):
                        maker.changed.notify_all()
                        return maker.orders.popleft()
                else:
                    seconds = maker.until_due() + GRACE
                    if maker.over or seconds <= 0 or not self._painters:
                        return None
                maker.changed.wait(min(seconds, LONGEST_WAIT))
        return None


def _checked_pts(pts: Any) -> Fraction | None:
    """A time stamp as a fraction.

    Raises:
        UsageError: it is no number of seconds.
    """
    if pts is None:
        return None
    try:
        if not isfinite(pts):
            raise ValueError
        return Fraction(pts)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"the time stamp {pts!r:.40} was given", todo="Give seconds, or leave pts out"
        ) from error
