"""From one motion to another without a jump: what is left between them fades away."""

from __future__ import annotations

from collections.abc import Hashable

from torch import Tensor

from talkers.space.contract import MotionSpace

FADE_SECONDS = 0.4  # in which head, eyes and brows go over
MOUTH_SECONDS = 0.12  # in which the mouth does: speech does not wait for it
CLOSING_SECONDS = 0.08  # in which it closes when it is interrupted


class Blend:
    """Motion rows of changing sources -> rows that go on where the last ones stopped.

    When the source changes, the difference d to what was shown last is kept, and
    y = x + w_slow d_rest + w_fast d_mouth is shown, with weights that fall from 1 to 0. What of a
    difference is the mouth's, the space says: it is what vanishes with both mouths at rest.

    Args:
        frame_rate: frames a second.
    """

    def __init__(self, frame_rate: float):
        self._rate = frame_rate
        self._source: Hashable = None
        self._shown: Tensor | None = None
        self._rest: Tensor | None = None  # of the difference, all but the mouth's part
        self._mouth: Tensor | None = None
        self._changed = 0  # frame of the last change

    def row(
        self,
        motion: Tensor,
        frame: int,
        source: Hashable,
        space: MotionSpace,
        closing: float | None = None,
    ) -> Tensor:
        """What is shown in a frame.

        Args:
            motion: [width], what the source says.
            frame: its number; it rises from call to call.
            source: what it comes from.
            space: of the motion.
            closing: seconds at which the mouth began to close at once, if it did.

        Returns:
            [width]
        """
        if source != self._source and self._shown is not None:
            still = [space.edit(row[None], moving=0.0)[0] for row in (self._shown, motion)]
            self._rest = still[0] - still[1]
            self._mouth = self._shown - motion - self._rest
            self._changed = frame
        self._source = source
        since = (frame - self._changed + 1) / self._rate
        if self._mouth is not None and self._rest is not None:
            share = _falling(since / MOUTH_SECONDS)
            if closing is not None:
                share = min(share, self._open(frame, closing))
            motion = motion + _falling(since / FADE_SECONDS) * self._rest + share * self._mouth
            if since >= FADE_SECONDS:
                self._mouth = self._rest = None
        self._shown = motion
        return motion

    def _open(self, frame: int, closing: float) -> float:
        """How far a mouth is still open that must be shut in time: the last frame that is due by
        then shows it shut."""
        since = frame / self._rate - closing
        if since + 1 / self._rate > CLOSING_SECONDS:
            return 0.0
        return min(1.0, 1 - since / CLOSING_SECONDS)


def _falling(share: float) -> float:
    """From 1 to 0 while a share rises from 0 to 1, at rest at both ends."""
    share = min(1.0, share)
    return 1 - share * share * (3 - 2 * share)
