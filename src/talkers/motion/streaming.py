"""Motion of a stream that is still going on: every frame is committed shortly after its sound."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from talkers.motion.windows import FEATURE_RATE, MotionRequest, at_frames
from talkers.space.contract import HEAD

WINDOW = 1.92  # seconds of speech that are seen together
BLEND_WEIGHT = 0.7
"""Of the newest window, which saw most, against the one before: takes the trembling out of the
seams."""


class MotionStream:
    """Speech features in blocks of any size -> motion, the same however they are cut.

    One for each stream.

    Args:
        request: what is asked for.
        look_ahead: seconds of speech after a frame that are seen before it is committed
            (default: the model's own).
        hop: frames that are committed together (default: the model's own).
    """

    def __init__(
        self, request: MotionRequest, look_ahead: float | None = None, hop: int | None = None
    ):
        context = request.model.context
        if look_ahead is None:
            look_ahead = context.look_ahead
        self.request = request
        self.hop = hop or request.frames(context.stream_hop)
        self.look_ahead = math.ceil(look_ahead * request.frame_rate - 1e-6)  # frames
        self.window = max(request.frames(WINDOW), 2 * self.look_ahead + self.hop)
        self.done = 0  # frames committed
        self._per_frame = FEATURE_RATE / request.frame_rate
        self._state: Tensor | None = None  # of the last window's frames
        self._begin = 0  # first frame of the last window
        self._held: Tensor | None = None  # features from row `_first` on
        self._first = 0
        self._overlap: Tensor | None = None  # what the last window said of frames from `done` on

    @torch.inference_mode()
    def push(
        self, features: Tensor, at_once: int = 1, guesses: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Go on with the stream.

        Args:
            features: [n, F].
            at_once: frames that one window may commit where so many are due. More than a hop saves
                time, and makes their motion a little less exact.
            guesses: [g, F] that may follow these features. They are seen now and then forgotten:
                the next call brings what really follows.

        Returns:
            the motion [m, width] that is committed by them, and its head values [m, 7].
        """
        self._held = features if self._held is None else torch.cat([self._held, features])
        seen = self._held if guesses is None else torch.cat([self._held, guesses])
        known = self._first + len(seen)
        committed = []
        while True:
            due = int(known / self._per_frame) - self.look_ahead
            most = min(at_once, due - self.done, self.window - 2 * self.look_ahead)
            hop = max(self.hop, most // self.hop * self.hop)
            end = self.done + hop + self.look_ahead
            if end * self._per_frame > known:
                break
            begin = max(0, end - self.window)
            first = round(begin * self._per_frame)
            gone, self._first = first - self._first, first
            self._held, seen = self._held[gone:], seen[gone:]
            rate = self.request.frame_rate
            rows = at_frames(seen, FEATURE_RATE, rate, 0, end - begin)
            observed = None
            if self._state is not None:
                observed = self._state[:, begin - self._begin : self.done - self._begin]
            joined, motion = self.request.generate(rows, begin, observed)
            self._state, self._begin = motion.state, begin
            joined = joined[self.done - begin :]
            if self._overlap is not None:
                n = len(self._overlap)
                joined[:n] = torch.lerp(self._overlap, joined[:n], BLEND_WEIGHT)
            committed.append(joined[:hop])
            self._overlap = joined[hop:]
            self.done += hop
        rows = torch.cat(committed) if committed else self._nothing()
        return rows[:, : -len(HEAD)], rows[:, -len(HEAD) :]

    @torch.inference_mode()
    def ahead(self, count: int) -> tuple[Tensor, Tensor]:
        """What is known by now of frames that are not committed; nothing is committed by it.

        Args:
            count: how many of the next frames.

        Returns:
            motion [count, width] and head values [count, 7], as if the last features went on; none
            if no feature of these frames has come.
        """
        end = self.done + count
        begin = max(self._begin, end - self.window)
        first = round(begin * self._per_frame) - self._first
        rows = self._nothing()
        if self._held is not None and first < len(self._held):
            rate = self.request.frame_rate
            features = at_frames(self._held[first:], FEATURE_RATE, rate, 0, end - begin)
            observed = None
            if self._state is not None:
                observed = self._state[:, begin - self._begin : self.done - self._begin]
            rows = self.request.generate(features, begin, observed)[0][self.done - begin :]
            if self._overlap is not None:
                n = min(count, len(self._overlap))
                rows[:n] = torch.lerp(self._overlap[:n], rows[:n], BLEND_WEIGHT)
        return rows[:, : -len(HEAD)], rows[:, -len(HEAD) :]

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self.request.model.space.width + len(HEAD))
