"""A foreign clip of a known person, cut as the avatar's own footage was."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.errors import ArtefactError, FaceError
from talkers.face.crop import FACE_TO_CROP, Crop, box_of, choose_crop, face_height
from talkers.face.landmarks import FaceTracker
from talkers.media import decode_frames

SAME_DISTANCE = 1.25  # by which a face may be larger or smaller before the camera stood elsewhere


@dataclass(frozen=True)
class FaceScale:
    """How large the face is in an avatar's footage; kept as `crop` in avatar.json.

    Attributes:
        face_height: height of the face as a share of the crop's side, in (0, 1].
        face_heights: for each picture size of the footage, such as "1920x1080", the height in
            pixels by which the corpus was cut.
    """

    face_height: float
    face_heights: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def from_json(value: Any) -> FaceScale | None:
        """Read what avatar.json says; None where it says nothing (format 3).

        Raises:
            ArtefactError: it is no scale.
        """
        if value is None:
            return None
        try:
            heights = {str(k): float(v) for k, v in value.get("face_heights", {}).items()}
            scale = FaceScale(float(value["face_height"]), heights)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtefactError(
                "the crop in avatar.json is damaged", todo="Copy or train the avatar again"
            ) from error
        numbers = [scale.face_height, *(height / 1e5 for height in heights.values())]
        if not all(math.isfinite(n) and 0 < n <= 1 for n in numbers):
            raise ArtefactError(
                "the crop in avatar.json is damaged", todo="Copy or train the avatar again"
            )
        return scale

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"face_height": self.face_height, "face_heights": dict(self.face_heights)}

    def height_for(self, own: float, width: int, height: int) -> float:
        """Height in pixels by which a clip is to be cut.

        Args:
            own: height of the face in the clip, pixels.
            width, height: of the clip's pictures.

        Returns:
            the corpus's own height where the clip seems to be from the same camera, so that it is
            cut to the pixel as the corpus was; else the clip's, scaled to the corpus's share.
        """
        known = self.face_heights.get(f"{width}x{height}")
        if known is not None and 1 / SAME_DISTANCE <= own / known <= SAME_DISTANCE:
            return known
        # side = FACE_TO_CROP * height, and the face is to be face_height of it: own = share * side
        return own / (self.face_height * FACE_TO_CROP)


def cropped_clip(
    path: str | os.PathLike[str],
    rate: Fraction,
    size: int,
    progress: Callable[[int], None] = lambda done: None,
    most: int | None = None,
    scale: FaceScale | None = None,
) -> tuple[int, Iterator[NDArray[np.uint8]]]:
    """Cut the frames of a clip to head and shoulders.

    The file is read twice: once for the face (every fifth frame), once for the frames. A clip that
    has the right size already is taken as it is, if it shows a face.

    Args:
        path: a video file.
        rate: frames a second of the result.
        size: side of the frames in pixels.
        progress: called with the number of frames that were looked at.
        most: frames that are taken of a longer clip.
        scale: of the avatar's footage; without it the clip's own face decides.

    Returns:
        how many frames there are, and an iterator over them, uint8 [size, size, 3].

    Raises:
        FaceError: no face is seen, or it is too small. MediaError: see `decode_frames`.
    """
    count, boxes, height, width = 0, [], 0, 0
    with FaceTracker(1) as tracker:
        for count, frame in enumerate(islice(decode_frames(path, rate), most)):
            height, width = frame.shape[:2]
            if count % 5 == 0 and (reading := tracker.track(frame)):
                boxes.append(box_of(reading.landmarks))
            progress(count)
    if not boxes:
        raise FaceError(
            "no face is seen in this clip",
            where=path,
            todo="Use a clip of the avatar's person from the front",
        )
    frames = islice(decode_frames(path, rate), most)
    if (width, height) == (size, size):
        return count + 1, frames
    crop = _crop_of(path, np.stack(boxes), (width, height), size, scale)
    return count + 1, (crop.cut(frame) for frame in frames)


def _crop_of(
    path: str | os.PathLike[str],
    boxes: NDArray[np.float32],
    shape: tuple[int, int],
    size: int,
    scale: FaceScale | None,
) -> Crop:
    """The crop of a clip with faces [N, 4] in pictures of (width, height).

    Raises:
        FaceError: the face is too small.
    """
    face = scale.height_for(face_height(boxes), *shape) if scale else None
    try:
        return choose_crop(boxes, *shape, size, face)
    except FaceError as error:
        raise FaceError(error.what, where=path, todo=error.todo) from error
