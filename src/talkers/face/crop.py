"""One fixed square for each file of footage, and its inverse for pasting back.

Within a file the crop never moves: all motion in the picture is the person's own, which the codec
of DAE-Talker relies on. Files of one camera share the scale; each is centred on its own face, so
that takes in which the person sat elsewhere look alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from talkers.errors import FaceError

FACE_TO_CROP = (
    2.0  # side of the crop in heights of the face (chin to hairline): head, shoulders, background
)
FACE_FROM_TOP = 0.59  # where the middle of the face lies in the crop


@dataclass(frozen=True)
class Crop:
    """A square of the source picture: left and top corner and side, in source pixels; scaled to
    `size` pixels."""

    left: int
    top: int
    side: int
    size: int

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] -> [size, size, 3]; what lies outside the picture repeats its edge."""
        height, width = frame.shape[:2]
        bottom, right = self.top + self.side, self.left + self.side
        inside = frame[max(0, self.top) : max(1, bottom), max(0, self.left) : max(1, right)]
        if inside.shape[:2] == (self.side, self.side):
            square = np.ascontiguousarray(inside)
        else:
            rows = np.clip(np.arange(self.top, bottom), 0, height - 1)
            columns = np.clip(np.arange(self.left, right), 0, width - 1)
            square = frame[rows].take(columns, 1)
        if self.side == self.size:
            return square
        return np.asarray(
            Image.fromarray(square).resize((self.size, self.size), Image.Resampling.LANCZOS)
        )

    def to_crop(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Source pixels [..., 2] -> pixels of the crop."""
        return np.asarray(
            (points - np.array([self.left, self.top])) * (self.size / self.side), np.float32
        )

    def to_source(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels of the crop [..., 2] -> source pixels."""
        return np.asarray(
            points * (self.side / self.size) + np.array([self.left, self.top]), np.float32
        )

    def as_dict(self) -> dict[str, int]:
        """As plain JSON values."""
        return asdict(self)


def box_of(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Left, top, right and bottom of faces: [..., 478, 2] pixels -> [..., 4]."""
    return np.concatenate([landmarks.min(-2), landmarks.max(-2)], -1)


def face_height(boxes: NDArray[np.float32]) -> float:
    """Median height of a face in pixels: boxes [N, 4]; frames without a face (NaN) are left out."""
    found = boxes[np.isfinite(boxes).all(1)]
    return float(np.median(found[:, 3] - found[:, 1])) if len(found) else 0.0


def choose_crop(
    boxes: NDArray[np.float32], width: int, height: int, size: int, face: float | None = None
) -> Crop:
    """The crop that holds head and shoulders in all frames of a file.

    Args:
        boxes: [N, 4] left, top, right, bottom of the face in the file's frames with one, source
            pixels.
        width, height: of the source picture.
        size: side of the result in pixels.
        face: height of the face in pixels by which the crop is scaled (default: this file's own).

    Raises:
        FaceError: there is no face, or it is too small.
    """
    if not len(boxes):
        raise FaceError(
            "there is no face in this footage",
            todo="Use footage that shows one face from the front",
        )
    face = face or face_height(boxes)
    if face < 48:
        raise FaceError(
            f"the face is only {face:.0f} pixels high",
            todo="Use footage in which the face is at least 48 pixels high (better 128)",
        )
    side = min(round(FACE_TO_CROP * face), width, height)
    if abs(side - size) <= 0.08 * size and size <= min(width, height):
        side = size  # native pixels: nothing is resampled
    centre = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    left = int(np.clip(round(centre[0] - side / 2), 0, width - side))
    top = int(np.clip(round(centre[1] - FACE_FROM_TOP * side), 0, height - side))
    return Crop(left, top, side, size)


def paste_back(
    frame: NDArray[np.uint8], generated: NDArray[np.uint8], crop: Crop, feather: float = 0.06
) -> NDArray[np.uint8]:
    """Put a generated square back into its source frame.

    Args:
        frame: uint8 [H, W, 3], the source; it stays as it is.
        generated: uint8 [size, size, 3].
        crop: how `generated` was cut.
        feather: width of the soft border as a share of the side; 0: the square as it is.
    """
    out = frame.copy()
    top, left = max(crop.top, 0), max(crop.left, 0)
    bottom = min(crop.top + crop.side, frame.shape[0])
    right = min(crop.left + crop.side, frame.shape[1])
    if top >= bottom or left >= right:
        return out
    square = generated
    if len(generated) != crop.side:
        resized = Image.fromarray(generated).resize((crop.side,) * 2, Image.Resampling.LANCZOS)
        square = np.asarray(resized)
    inner = (slice(top - crop.top, bottom - crop.top), slice(left - crop.left, right - crop.left))
    if feather <= 0:
        out[top:bottom, left:right] = square[inner]
        return out
    steps = np.arange(crop.side)
    ramp = np.clip(
        np.minimum(steps + 1, crop.side - steps) / max(1.0, feather * crop.side), 0, 1
    ).astype(np.float32)
    mask = np.minimum(ramp[:, None], ramp[None])[..., None][inner]
    region = out[top:bottom, left:right].astype(np.float32)
    blended = region + mask * (square[inner].astype(np.float32) - region)
    out[top:bottom, left:right] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return out
