"""A live face: sound in when it comes, pictures and sound out in time, and life in between.

A session has no thread of its own. Whoever takes its frames does the work, just before each frame
is due; whoever pushes sound only puts it in a queue.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isfinite
from types import TracebackType
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.media import AUDIO_RATE
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.behaviour import Behaviour, Latency
from talkers.runtime.blend import MOUTH_SECONDS, Blend
from talkers.runtime.clock import Clock, MediaTime, SystemClock
from talkers.runtime.engine import Engine
from talkers.runtime.playlist import Played, Playlist, State
from talkers.runtime.threads import Threads
from talkers.runtime.utterance import Samples

SOUND_RATES = 8_000, 192_000  # Hz at which sound is played
COST_WEIGHT = 0.2  # of the newest frame in the estimate of what a frame costs


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
        self._closed = threading.Event()
        self._making = threading.Lock()  # of all that follows
        self._origin: float | None = None  # the clock's time of frame 0
        self._next = 0  # the frame to come
        self._spoke = 0  # the frame after the last one that spoke
        self._cost = 0.0  # seconds that a frame takes, on average
        self._blend = Blend(float(engine.frame_rate))
        self._state = RenderState()
        self._threads = Threads(float(1 / engine.frame_rate))

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

    def flush(self) -> None:
        """What was pushed is whole: it need not wait for more. What comes next is new."""
        self._playlist.flush()

    def interrupt(self) -> float:
        """Stop speaking: the queue is emptied, and the mouth is closed within 80 ms.

        Returns:
            seconds that were played of what was being said since the last `flush`; 0 if nothing
            was. The sound of a frame that is being made counts: it comes out.
        """
        return self._playlist.interrupt()

    def pause(self) -> None:
        """Stop speaking as `interrupt` does, but keep what is left for `resume`."""
        self._playlist.pause()

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._playlist.resume()

    def set(self, controls: Controls) -> None:
        """From the next frame on, obey other controls. Another motion model moves what is said
        after the present utterance.

        Raises:
            TalkersError: controls that mean nothing to this avatar.
        """
        latency = self.terms.latency
        self._playlist.behaviour = Behaviour(self._engine, controls, self._options, latency)

    def finish(self) -> None:
        """Nothing more will be said: frames end when all that waits is said."""
        self._playlist.finish()

    def close(self) -> None:
        """End at once. Once more does no harm."""
        self._playlist.close()
        self._closed.set()

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
        self._clock.sleep(self._until_work(), self._closed)
        frame = self._make()
        if frame is None:
            raise StopIteration
        self._clock.sleep(self._until(frame.pts), self._closed)
        return frame

    def __aiter__(self) -> LiveSession:
        """Its frames."""
        return self

    async def __anext__(self) -> LiveFrame:
        """The next frame, when it is due; made in a thread, and other tasks go on meanwhile."""
        await self._clock.sleep_async(self._until_work())
        frame = await asyncio.to_thread(self._make)
        if frame is None:
            raise StopAsyncIteration
        await self._clock.sleep_async(self._until(frame.pts))
        return frame

    def _until(self, pts: Fraction) -> float:
        """Seconds until a time of the session."""
        origin = self._origin
        return 0.0 if origin is None else origin + float(pts) - self._clock.now()

    def _until_work(self) -> float:
        """Seconds until work on the next frame begins: late, so that it knows the newest sound."""
        takes = min(1.25 * self._cost + 0.002, float(1 / self._engine.frame_rate))
        return self._until(self._time.pts(self._next)) - takes

    def _make(self) -> LiveFrame | None:
        """Make the next frame that can be ready in time; None when the session is over."""
        with self._making:
            if self._closed.is_set() or self._is_over():
                return None
            begun, first = self._clock.now(), self._next
            last = first
            if self._origin is not None:  # skip what cannot be ready less than half a frame late
                ready = begun - self._origin + self._cost
                last = max(first, ceil(ready * float(self._time.frame_rate) - 0.5))
            played = self._playlist.play(first, last)
            self._next = last + 1
            mark, state = self.terms.provenance, self._state
            with self._threads.chosen():
                motion = self._motion(last, played)[None]
                (picture,) = self._engine.decode(motion, self._options, mark=mark, state=state)
            now = self._clock.now()
            self._threads.took(now - begun)
            if self._origin is None:
                self._origin = now
            else:
                self._cost += COST_WEIGHT * (now - begun - self._cost)
        return LiveFrame(
            picture,
            self._time.pts(last),
            played.sound,
            Fraction(self._time.sample(first), self._time.sound_rate),
            played.state,
            played.source_pts,
            last - first,
        )

    def _is_over(self) -> bool:
        """Whether all is said, and the mouth is closed."""
        closed = self._spoke + ceil(MOUTH_SECONDS * self._time.frame_rate)
        return self._playlist.over and self._next >= closed

    @torch.inference_mode()
    def _motion(self, frame: int, played: Played) -> Tensor:
        """Motion of a frame: [width]."""
        behaviour, row, speaking = played.behaviour, None, played.speaking
        if speaking is not None and speaking.spoken is not None:
            self._spoke = frame + 1
            behaviour.steer(speaking.spoken)
            row = speaking.spoken.row(played.said, played.heard, played.ended)
        source = None if row is None else speaking
        if row is None:
            row = behaviour.idle.row(frame)
        closing = None
        if source is None and played.closing is not None and self._origin is not None:
            closing = played.closing - self._origin
        space = behaviour.resolved.space
        return self._blend.row(row, frame, (source, behaviour), space, closing)


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
