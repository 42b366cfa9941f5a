"""A foreign clip of a known person, cut as the avatar's own footage was: for reconstructing and comparing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from talkers.errors import FaceError
from talkers.face.crop import box_of, choose_crop
from talkers.face.landmarks import FaceTracker
from talkers.media import decode_frames


def cropped_clip(
    path: str | os.PathLike[str],
    rate: Fraction,
    size: int,
    progress: Callable[[int], None] = lambda done: None,
    most: int | None = None,
) -> tuple[int, Iterator[NDArray[np.uint8]]]:
    """Frames of a clip, cut to head and shoulders.

    The file is read twice: once for the face (every fifth frame), once for the frames. A clip that already has the
    right size is taken as it is, without looking for a face. Of a longer clip the first `most` frames are taken.

    Returns:
        how many frames there are, and an iterator over them, uint8 [size, size, 3].

    Raises:
        FaceError: no face is seen. MediaError: see `decode_frames`.
    """
    count, boxes, height, width = 0, [], 0, 0
    frames = islice(decode_frames(path, rate), most)
    first = next(frames)
    if first.shape[:2] == (size, size):
        return 1 + sum(1 for _ in frames), islice(decode_frames(path, rate), most)
    with FaceTracker(1) as tracker:
        height, width = first.shape[:2]
        reading = tracker.track(first)
        boxes += [box_of(reading.landmarks)] if reading else []
        for count, frame in enumerate(frames, start=1):
            if count % 5 == 0 and (reading := tracker.track(frame)):
                boxes.append(box_of(reading.landmarks))
            progress(count)
    if not boxes:
        raise FaceError(
            "no face is seen in this clip",
            where=path,
            todo="Use a clip of the avatar's person from the front",
        )
    crop = choose_crop(np.stack(boxes), width, height, size)
    return count + 1, (crop.cut(frame) for frame in islice(decode_frames(path, rate), most))
