"""Is a picture good for a portrait? What is wrong is said with what to do about it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.errors import FaceError, UsageError
from talkers.face.crop import Crop, box_of, choose_crop
from talkers.face.hidden import eyes_hidden, hand_at_mouth
from talkers.face.landmarks import (
    BLINKS,
    EYE_CORNERS,
    FaceReading,
    FaceTracker,
    mouth_opening,
)
from talkers.media import read_photo
from talkers.space.geometry import rotation

FACE = re.compile(r"largest|left|right|\d+(\.\d+)? *, *\d+(\.\d+)?")
MAX_FACES = 10  # that are looked for
MIN_FACE = 64  # pixels of its height
SMALL_FACE = 128  # below this the portrait is soft
MAX_YAW, WIDE_YAW = 40.0, 20.0  # degrees: beyond them nothing is shown, or not well
MAX_PITCH = 35.0
OPEN_MOUTH = 0.12  # inter-ocular distances
CLOSED_EYES = 0.6  # of the tracker's blinks
DARK = 40.0  # mean grey level of a face
OUTSIDE = 0.02  # of the picture's side: so far a face may reach beyond it
PICTURE = 2  # sides of a frame in a portrait's picture


@dataclass(frozen=True)
class Portrait:
    """A face in a picture, cut out.

    Attributes:
        picture: uint8 [P, P, 3].
        points: float32 [478, 2] key points, shares of the picture's side.
        depth: float32 [478], see `straight_depth`.
        blendshapes: float32 [52].
        notes: sentences about what a user should know.
    """

    picture: NDArray[np.uint8]
    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    notes: tuple[str, ...]


def portrait_of(
    path: str | os.PathLike[str],
    size: int,
    face: str = "largest",
    tracker: FaceTracker | None = None,
) -> Portrait:
    """Find the face in a picture file, and cut it out.

    Args:
        path: a picture.
        size: side of the frames that are made of it, pixels.
        face: "largest", "left", "right", or "x,y" of a place in the picture, in pixels.
        tracker: that finds faces (default: one of its own, which looks for small ones too).

    Raises:
        MediaError: it cannot be read. UsageError: no such face.
        FaceError: there is no face in it, or none that can be shown.
        MissingComponent: mediapipe, which finds the face, is not installed.
    """
    picture = read_photo(path)
    if tracker is not None:
        faces = tracker.faces(picture, every=False)
    else:
        with FaceTracker(MAX_FACES) as own:
            faces = own.faces(picture)
    if not faces:
        raise FaceError(
            "no face is seen in this picture",
            where=path,
            todo="Use a picture of one face from the front, well lit and not covered",
        )
    notes = []
    chosen = choose_face(faces, face)
    if len(faces) > 1:
        x, y = chosen.landmarks.mean(0)
        notes.append(
            f"{len(faces)} faces are seen; the one at {x:.0f},{y:.0f} is taken. Choose another "
            "with `talkers portrait --face left`, right or x,y"
        )
    notes += _findings(chosen, picture, path)
    if tracker is None and hand_at_mouth(picture, chosen.landmarks):
        notes.append("a hand is at the mouth and will move with it; use a picture without")
    crop = _crop(chosen, picture, size, path)
    cut = crop.cut(picture)
    points = crop.to_crop(chosen.landmarks) / np.float32(crop.size)
    return Portrait(cut, points, straight_depth(chosen), chosen.blendshapes, tuple(notes))


def portrait_of_frame(frame: NDArray[np.uint8]) -> Portrait:
    """The face of a frame that is cut out already, as it is.

    Args:
        frame: uint8 [S, S, 3].

    Raises:
        FaceError: no face is seen in it.
    """
    with FaceTracker(1) as tracker:
        faces = tracker.faces(frame)
    if not faces:
        raise FaceError("no face is seen in this frame", todo="Begin with another frame")
    points = faces[0].landmarks / np.float32(len(frame))
    return Portrait(frame, points, straight_depth(faces[0]), faces[0].blendshapes, ())


def straight_depth(reading: FaceReading) -> NDArray[np.float32]:
    """How deep key points of a face are when it looks straight ahead, in inter-ocular distances,
    from the line between the eyes' outer corners: [478]."""
    whole = np.concatenate([reading.landmarks, reading.depth[:, None]], 1)
    right, left = whole[list(EYE_CORNERS)]
    # x = s R x_c, so the canonical depth is the third of R^T x, over s
    turned = rotation(torch.from_numpy(reading.angles)).numpy()
    straight = (whole - (right + left) / 2) @ turned
    return np.asarray(
        straight[:, 2] / max(np.linalg.norm((left - right) @ turned), 1e-6), np.float32
    )


def checked_face(which: str) -> str:
    """The name of a face, if it is one.

    Raises:
        UsageError: it is not "largest", "left", "right" or "x,y".
    """
    if not FACE.fullmatch(which):
        raise UsageError(
            f"'{which}' names no face", todo="Use largest, left, right or x,y in pixels"
        )
    return which


def choose_face(faces: list[FaceReading], which: str) -> FaceReading:
    """One of several faces.

    Args:
        faces: the largest first.
        which: "largest", "left", "right" or "x,y".

    Raises:
        UsageError: it is none of these.
    """
    middles = [reading.landmarks.mean(0) for reading in faces]
    if checked_face(which) == "largest":
        return faces[0]
    if which in ("left", "right"):
        order = sorted(range(len(faces)), key=lambda k: float(middles[k][0]))
        return faces[order[0 if which == "left" else -1]]
    x, y = (float(number) for number in which.split(","))
    nearest = min(range(len(faces)), key=lambda k: float(np.hypot(*(middles[k] - [x, y]))))
    return faces[nearest]


def _findings(
    reading: FaceReading, picture: NDArray[np.uint8], path: str | os.PathLike[str]
) -> list[str]:
    """What a user should know of a face.

    Raises:
        FaceError: it cannot be shown.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = box_of(reading.landmarks)
    tall = float(bottom - top)
    if tall < MIN_FACE:
        raise FaceError(
            f"the face is only {tall:.0f} pixels high",
            where=path,
            todo=f"Use a picture in which it is at least {MIN_FACE} pixels high, better 256",
        )
    slack = OUTSIDE * max(height, width)
    if min(left, top, width - right, height - bottom) < -slack:
        raise FaceError(
            "the face is cut off by the edge of the picture",
            where=path,
            todo="Use a picture that shows the whole head",
        )
    yaw, pitch, _ = map(float, reading.angles)
    if abs(yaw) > MAX_YAW or abs(pitch) > MAX_PITCH:
        raise FaceError(
            f"the head is turned away (yaw {yaw:.0f}, pitch {pitch:.0f} degrees)",
            where=path,
            why="half of the face is not to be seen",
            todo="Use a picture from the front",
        )
    notes = []
    if tall < SMALL_FACE:
        notes.append(f"the face is {tall:.0f} pixels high; the portrait will be soft")
    if abs(yaw) > WIDE_YAW:
        notes.append(
            f"the head is turned by {yaw:.0f} degrees, so it can be turned little from there; a "
            "picture from the front is better"
        )
    if float(mouth_opening(reading.landmarks)) > OPEN_MOUTH:
        notes.append("the mouth is open; with a closed one the lips meet better")
    if float(reading.blendshapes[list(BLINKS)].mean()) > CLOSED_EYES:
        notes.append("the eyes are closed; nothing shows what they look like open")
    elif eyes_hidden(picture, reading.landmarks):
        notes.append(
            "the eyes are hardly seen, as behind dark glasses or in deep shadow; they will not be "
            "seen to close or to look aside"
        )
    face = picture[max(0, int(top)) : int(bottom) + 1, max(0, int(left)) : int(right) + 1]
    if float(face.mean()) < DARK:
        notes.append("the face is dark; a picture in better light is better")
    return notes


def _crop(
    reading: FaceReading,
    picture: NDArray[np.uint8],
    size: int,
    path: str | os.PathLike[str],
) -> Crop:
    """Head and shoulders of a face."""
    height, width = picture.shape[:2]
    try:
        return choose_crop(box_of(reading.landmarks)[None], width, height, PICTURE * size)
    except FaceError as error:
        raise FaceError(error.what, where=path, todo=error.todo) from error
