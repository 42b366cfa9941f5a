"""Signs of trouble in the pictures themselves: hard cuts, and pictures that stand still."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CUT_DIFFERENCE = 4.0  # grey values (0..255) by which a cut changes the picture, at least
CUT_RATIO = 3.0  # of that change to the changes of the frames around it
CUT_NEIGHBOURS = 6  # frames before and after a cut that are compared with it
STILL_DIFFERENCE = 0.06  # mean absolute change of a face that only the codec's noise makes
STILL_SECONDS = 1.0  # a face that stands still for longer is a held picture
POP_FRAMES = 2  # frames within a held picture that the codec repaints


class PictureSigns:
    """Measures how the picture changes from frame to frame.

    Args:
        least: mean absolute change of grey values (0..255) at a cut.
    """

    def __init__(self, least: float = CUT_DIFFERENCE) -> None:
        self._least = least
        self._frame: NDArray[np.uint8] | None = None
        self._changes: list[float] = []  # of the whole picture
        self._face_changes: list[float] = []  # of the place where the face is

    def add(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> bool:
        """Take the next frame, uint8 [H, W, 3], with its face's box [4] (NaN: no face).

        Returns:
            whether the picture has just jumped, as far as the frames until now tell.
        """
        last, self._frame = self._frame, frame
        if last is None or last.shape != frame.shape:
            self._changes.append(0.0)
            self._face_changes.append(np.inf)
            return False
        self._changes.append(_change(last, frame, 32))
        height, width = frame.shape[:2]
        if np.isfinite(box).all():
            left, top = np.maximum(box[:2], 0).astype(int)
            right, bottom = np.minimum(box[2:] + 1, (width, height)).astype(int)
            place = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
            last, frame = last[place], frame[place]
        self._face_changes.append(_change(last, frame, 64) if frame.size else np.inf)
        around = self._changes[-1 - CUT_NEIGHBOURS : -1]
        return self._changes[-1] > max(self._least, CUT_RATIO * max(around))

    @property
    def cuts(self) -> NDArray[np.int32]:
        """Frames at which the picture jumps.

        A cut is a change several times as large as those around it. One of those may be another
        cut, so the second largest counts.
        """
        changes, found = np.array(self._changes), []
        for t in np.flatnonzero(changes > self._least):
            before = changes[max(1, t - CUT_NEIGHBOURS) : t]
            around = np.sort(np.concatenate([before, changes[t + 1 : t + 1 + CUT_NEIGHBOURS]]))
            if len(around) < 2 or changes[t] > CUT_RATIO * around[-2]:
                found.append(t)
        return np.array(found, np.int32)

    def still(self, rate: float) -> NDArray[np.bool_]:
        """Frames of a picture that is held for longer than STILL_SECONDS: bool [T]."""
        held = np.array(self._face_changes) < STILL_DIFFERENCE
        for first, last in runs_of(~held):
            if first > 0 and last < len(held) and last - first <= POP_FRAMES:
                held[first:last] = True
        still = np.zeros(len(held), bool)
        for first, last in runs_of(held):
            if last - first >= STILL_SECONDS * rate:
                still[max(0, first - 1) : last] = True  # the frame before it is the same picture
        return still


def _change(last: NDArray[np.uint8], frame: NDArray[np.uint8], points: int) -> float:
    """Mean absolute change of grey values at about points x points places."""
    height, width = frame.shape[:2]
    grid = slice(None, None, max(1, height // points)), slice(None, None, max(1, width // points))
    grey = [picture[grid].mean(2, dtype=np.float32) for picture in (last, frame)]
    return float(np.abs(grey[1] - grey[0]).mean())


def runs_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one-past-last index of each run of true values."""
    edges = np.concatenate([[False], mask, [False]])
    ends = np.flatnonzero(edges[1:] != edges[:-1]).reshape(-1, 2)
    return [(int(first), int(last)) for first, last in ends]
