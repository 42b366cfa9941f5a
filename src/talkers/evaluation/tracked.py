"""A video as the metrics see it: its frames and what a face tracker finds in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from talkers.corpus.store import fill_gaps
from talkers.errors import FaceError
from talkers.experts.mouths import Mouths, mouths_of
from talkers.face import FaceTracker, mouth_opening
from talkers.face.landmarks import BLENDSHAPES, BLINKS


@dataclass(frozen=True)
class TrackedClip:
    """A clip of T frames at 25 frames a second, and its face.

    Attributes:
        frames: uint8 [T, H, W, 3].
        landmarks: float32 [T, 478, 2] in pixels; interpolated in frames without a face, as are
            blendshapes and angles.
        blendshapes: float32 [T, 52].
        angles: yaw, pitch and roll in degrees, float32 [T, 3].
        found: bool [T], where there is a face.
    """

    frames: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    angles: NDArray[np.float32]
    found: NDArray[np.bool_]

    @cached_property
    def opening(self) -> NDArray[np.float32]:
        """Gap between the lips in inter-ocular distances: [T]."""
        return mouth_opening(self.landmarks)

    @cached_property
    def blink(self) -> NDArray[np.float32]:
        """How closed the eyes are, 0..1: [T]."""
        return np.asarray(self.blendshapes[:, list(BLINKS)].mean(1))

    @cached_property
    def mouths(self) -> Mouths:
        """What the experts look at."""
        return mouths_of(self.frames, self.landmarks)


def evenly_picked(count: int, most: int) -> NDArray[np.int64]:
    """Indices of up to `most` of `count` frames, evenly picked from the first to the last."""
    picks = np.linspace(0, count - 1, min(most, count)).round()
    return np.unique(picks.astype(np.int64))


def track_clip(frames: NDArray[np.uint8], min_share: float = 0.5) -> TrackedClip:
    """Find the face in every frame of a clip.

    Args:
        frames: uint8 [T, H, W, 3] at 25 frames a second.
        min_share: of the frames in which it must be seen.

    Raises:
        FaceError: it is seen in fewer.
    """
    with FaceTracker(1) as tracker:
        readings = [tracker.track(frame) for frame in frames]
    found = np.array([r is not None for r in readings])
    if found.mean() < min_share:
        raise FaceError(
            f"a face is seen in only {found.sum()} of {len(frames)} frames",
            todo="Leave this clip out",
        )

    def series(what: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        rows = np.stack(
            [
                getattr(r, what) if r is not None else np.full(shape, np.nan, np.float32)
                for r in readings
            ]
        )
        return fill_gaps(rows.reshape(len(rows), -1)).reshape(len(rows), *shape).astype(np.float32)

    return TrackedClip(
        frames,
        series("landmarks", (478, 2)),
        series("blendshapes", (len(BLENDSHAPES),)),
        series("angles", (3,)),
        found,
    )
