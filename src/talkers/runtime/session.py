"""A live session: sound of unknown length in, frames out, a fraction of a second later."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.controls.head_track import HeadTrack
from talkers.errors import ArtefactError, UsageError
from talkers.media import AUDIO_RATE, SampleStream, frame_count
from talkers.motion import MotionStream
from talkers.renderers.contract import RenderOptions, RenderState
from talkers.runtime.engine import Engine
from talkers.runtime.resolved import ResolvedControls
from talkers.space.contract import Appearance
from talkers.speech import FEATURE_RATE, TARGET_DB, ActivityStream
from talkers.speech.activity import SETTLING_SECONDS

MAX_BATCH = 8  # frames decoded together when many are due
Frame = NDArray[np.uint8]  # [size, size, 3] RGB


class Hurry(NamedTuple):
    """How a session is sooner, or costs less, than one that is at ease.

    Attributes:
        guessed: speech features that are guessed, as far as the avatar's own encoder has learnt
            it; a frame waits for so much less sound.
        pairs: a window of the motion model gives two frames, the second of which sees one frame
            of sound less; the delay stays.
    """

    guessed: int = 0
    pairs: bool = False


AT_EASE = Hurry()


class Session:
    """Sound of unknown length, in blocks of any size -> frames as soon as they are committed.

    However the sound is cut, the frames are the same. A frame is committed `delay` seconds after
    its own sound; what it takes to make it comes on top. One for each stream; make it with
    `Avatar.live`. Frames that are not taken from what `push` gives are not lost: the next call
    gives them first. One thread pushes at a time.

    Args:
        engine: the avatar's.
        resolved: what controls mean for it.
        options: of the renderer.
        provenance: put the watermark into the frames.
        appearance: of the take that is shown (default: the avatar's own).
        look_ahead: seconds of speech features after a frame that it waits for (default: as many
            as the motion model wants, and as decide whether the mouth may move).
        hurry: what it does to be sooner and to cost less than that.

    Raises:
        ArtefactError: the avatar has no streaming speech encoder.
    """

    def __init__(
        self,
        engine: Engine,
        resolved: ResolvedControls,
        options: RenderOptions,
        provenance: bool = True,
        appearance: Appearance | None = None,
        look_ahead: float | None = None,
        hurry: Hurry = AT_EASE,
    ):
        encoder = engine.streaming_encoder
        if encoder is None:
            raise ArtefactError(
                "this avatar has no streaming speech encoder, it cannot follow a stream",
                where=engine.folder,
                todo="Train one: `talkers train --resume`",
            )
        self.engine, self.resolved, self.options = engine, resolved, options
        self.provenance, self.appearance = provenance, appearance
        self._activity = ActivityStream(AUDIO_RATE, TARGET_DB)
        self._encoder = encoder.start()
        self._guessed = min(hurry.guessed, encoder.guesses)
        # The sound that decides whether the mouth may move must have come too.
        self._lookahead = encoder.lookahead - self._guessed / FEATURE_RATE
        if look_ahead is not None:  # what cannot be guessed is not waited for instead
            unseen = (hurry.guessed - self._guessed) / FEATURE_RATE
            look_ahead = max(0.0, look_ahead - unseen)
        else:
            gate = SETTLING_SECONDS - self._lookahead - 0.5 / float(engine.frame_rate)
            look_ahead = max(resolved.model.context.look_ahead, gate)
        self._motion = MotionStream(resolved.request, look_ahead)
        if hurry.pairs and self._motion.hop == 1 and self._motion.look_ahead > 1:
            less = (self._motion.look_ahead - 1) / float(engine.frame_rate)
            self._motion = MotionStream(resolved.request, less, 2)
        self._state = RenderState()
        self._incoming = SampleStream()
        self._samples = self._committed = 0
        self._ended = False
        self._due: deque[Tensor] = deque()  # committed motion that is not decoded yet
        self._ready: deque[Frame] = deque()  # frames that nobody has taken yet
        self._lock = threading.RLock()

    @property
    def delay(self) -> float:
        """Seconds of sound after a frame's middle that are needed to commit it, at most."""
        frames = self._motion.look_ahead + self._motion.hop - 0.5
        return frames / float(self.engine.frame_rate) + self._lookahead

    def steer(self, resolved: ResolvedControls) -> None:
        """From the next frame on, do what other controls mean; the motion model stays."""
        resolved = resolved._replace(
            model=self.resolved.model, reference=self.resolved.reference, seed=self.resolved.seed
        )
        self.resolved, self._motion.request = resolved, resolved.request

    def motion(self, samples: NDArray[np.float32], at_once: int = 1) -> Tensor:
        """Sound -> the motion that is committed by it [m, width].

        Args:
            samples: float32 [n] mono at 16 kHz, -1..1.
            at_once: see `MotionStream.push`.

        Raises:
            UsageError: no such samples, or the session has ended.
        """
        if self._ended:
            raise UsageError("this session has ended", todo="Begin another one for more sound")
        samples = self._incoming.push(samples)
        self._samples += len(samples)
        motion = self._step(samples, at_once)
        self._committed += len(motion)
        return motion

    def ahead(self, count: int) -> Tensor:
        """Motion of the next `count` frames, which are not committed yet, as far as the sound that
        has come tells [m, width]; m is 0 if it tells nothing."""
        motion, head = self._motion.ahead(count)
        return self._edited(self._motion.done, motion, head) if len(motion) else motion

    def flush(self) -> Tensor:
        """The sound has ended: the motion that is left [m, width]."""
        self._ended = True
        if not self._samples:
            return torch.zeros(0, 0)
        rate = self.engine.frame_rate
        left = frame_count(self._samples / AUDIO_RATE, rate) - self._committed
        silence = np.zeros(int(AUDIO_RATE * (self.delay + 0.1)), np.float32)
        return self._step(silence)[:left]

    def _step(self, samples: NDArray[np.float32], at_once: int = 1) -> Tensor:
        """Go on with this sound."""
        features = self._encoder.step(self._activity.push(samples))
        if not len(features):
            return torch.zeros(0, 0)
        first = self._motion.done
        guesses = self._encoder.guess(self._guessed) if self._guessed else None
        motion, head = self._motion.push(features, at_once, guesses)
        return self._edited(first, motion, head) if len(motion) else motion

    def _edited(self, first: int, motion: Tensor, head: Tensor) -> Tensor:
        """Motion [m, width] of frames from `first` on, as the controls want it."""
        resolved = self.resolved
        if not isinstance(resolved.head, HeadTrack):  # measured values, shown as they are
            return resolved.space.edit(motion, resolved.edit, head, appearance=self.appearance)
        rate = float(self.engine.frame_rate)
        times = [(first + k + 0.5) / rate for k in range(len(motion))]
        moving = torch.tensor([self._activity.share(time) for time in times])[:, None]
        wanted = resolved.head.enforced(first, head)
        return resolved.space.edit(motion, resolved.edit, wanted, moving, self.appearance)

    def _frames(self) -> Iterator[Frame]:
        """Frames that are due, decoded as they are taken."""
        while True:
            with self._lock:
                if not self._ready:
                    if not self._due:
                        return
                    part = self._due.popleft()
                    self._ready.extend(
                        self.engine.decode(
                            part, self.options, mark=self.provenance, state=self._state
                        )
                    )
                frame = self._ready.popleft()
            yield frame

    def _commit(self, motion: Tensor) -> None:
        if len(motion):
            self._due.extend(torch.split(motion, MAX_BATCH))

    def push(self, samples: NDArray[np.float32]) -> Iterator[Frame]:
        """Go on with the stream.

        Args:
            samples: float32 [n] mono at 16 kHz.

        Returns:
            an iterator over the frames that are committed by now, uint8 [size, size, 3]; what
            is not taken from it comes with the next call.
        """
        with self._lock:
            self._commit(self.motion(samples))
        return self._frames()

    def finish(self) -> Iterator[Frame]:
        """The sound has ended.

        Returns:
            an iterator over the frames that are left; in all there is one for each
            1 / frame_rate of sound begun.
        """
        with self._lock:
            if not self._ended:
                self._commit(self.flush())
        return self._frames()
