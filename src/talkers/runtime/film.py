"""A film and the face in it, frame by frame: where it is, and where it cannot be dubbed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.errors import FaceError, MediaError
from talkers.face.crop import Crop
from talkers.face.landmarks import FaceReading, FaceTracker, mouth_opening
from talkers.face.portrait import choose_face
from talkers.media import decode_frames, probe
from talkers.media.probe import MediaInfo
from talkers.progress import Report
from talkers.space.face_motion import FaceMotionSpace

MAX_FACES = 6  # that are looked for where one of them is chosen
MAX_YAW, MAX_PITCH = 35.0, 30.0  # degrees: beyond them half of the mouth is not to be seen
BACK = 4.0  # degrees by which a head must come back
SEARCH_EVERY = 12  # frames between two searches for a face that is to be chosen
MAX_GAP = 3  # frames without a face that are bridged
MIN_FACE = 40.0  # pixels of its height
AROUND = 1.7  # inter-ocular distances from the mouth to the edges of what is cut out
BELOW_EYES = 0.7  # of that square's middle
RESTS = 60  # frames from which is told how the person rests
SEEN, UNSEEN, ASIDE, SMALL = range(4)
WHY = {UNSEEN: "no face is seen", ASIDE: "the head is turned away", SMALL: "the face is too small"}


@dataclass(frozen=True)
class FilmFace:
    """The face of a film of T frames.

    Attributes:
        points: float32 [T, 478, 2] key points in pixels, NaN where there is none.
        state: int [T], `SEEN` or why a frame cannot be dubbed.
        rest: [478, 2] canonical key points of the person at rest.
        widest: uint8 [S, S, 3] the lower face of the frame with the widest mouth.
        widest_points: [478, 2] its key points, shares of the side.
    """

    points: NDArray[np.float32]
    state: NDArray[np.int64]
    rest: Tensor
    widest: NDArray[np.uint8]
    widest_points: Tensor

    def crop(self, number: int) -> Crop:
        """The square around the lower face of a frame, as it is in the film."""
        return crop_around(self.points[number])

    def shares(self, number: int, crop: Crop) -> Tensor:
        """Key points of a frame [478, 2] in shares of a crop's side."""
        return shares_of(self.points[number], crop)


def shares_of(points: NDArray[np.float32], crop: Crop) -> Tensor:
    """Key points [478, 2] in pixels -> in shares of a crop's side."""
    return torch.from_numpy(crop.to_crop(points) / np.float32(crop.size))


def crop_around(points: NDArray[np.float32]) -> Crop:
    """The square around a lower face: key points [478, 2] in pixels."""
    right, left = points[33], points[263]
    unit = float(np.linalg.norm(left - right))
    down = np.array([-(left - right)[1], (left - right)[0]]) * BELOW_EYES
    middle = (right + left) / 2 + down
    side = max(32, round(2 * AROUND * unit))
    return Crop(round(middle[0] - side / 2), round(middle[1] - side / 2), side, side)


def film_info(path: str | os.PathLike[str]) -> MediaInfo:
    """What a film is like.

    Raises:
        MediaError: it cannot be read, or holds no moving picture.
    """
    info = probe(path)
    if info.video is None or info.video.still:
        raise MediaError("this holds no moving picture", where=path, todo="Name a film")
    return info


def film_face(
    path: str | os.PathLike[str],
    space: FaceMotionSpace,
    face: str,
    report: Report,
    warn: Callable[[str], None],
) -> FilmFace:
    """Find the face of a film in all of its frames.

    Args:
        path: the film.
        space: of face motion.
        face: "largest", "left", "right" or "x,y" of a place in its first frame with faces.
        report: called with a sentence, frames done and frames in all.
        warn: called with a sentence where the film is damaged, or was brought to another form.

    Raises:
        MediaError: it cannot be read, or is no film. FaceError: no frame of it can be dubbed.
        UsageError: no such face.
    """
    info = film_info(path)
    assert info.video is not None
    rate = info.video.frame_rate
    total = round(float(info.duration or 0) * rate)
    rows: list[NDArray[np.float32]] = []
    states: list[int] = []
    rests: list[Tensor] = []
    every, opening = max(1, total // RESTS), -1.0
    widest: tuple[NDArray[np.uint8], Tensor] | None = None
    with FaceTracker(MAX_FACES, strict=True) as tracker:
        begun = face == "largest"
        for number, frame in enumerate(decode_frames(path, rate, warn)):
            if not begun and number % SEARCH_EVERY == 0 and (found := tracker.faces(frame)):
                tracker.follow(choose_face(found, face))
                begun = True
            reading = tracker.track(frame) if begun else None
            states.append(_state_of(reading, states[-1] if states else SEEN))
            rows.append(np.full((478, 2), np.nan, np.float32))
            report("finding the face", number + 1, max(total, number + 1))
            if reading is None:
                continue
            rows[-1] = reading.landmarks
            if states[-1] != SEEN:
                continue
            wide = float(mouth_opening(reading.landmarks))
            if wide > opening:
                opening, crop = wide, crop_around(reading.landmarks)
                widest = crop.cut(frame), shares_of(reading.landmarks, crop)
            if number % every == 0 or not rests:
                points = torch.from_numpy(reading.landmarks / np.float32(len(frame)))
                rests.append(space.rest_of_picture(points, torch.from_numpy(reading.blendshapes)))
                if len(rests) > 2 * RESTS:  # the film is longer than it said
                    rests, every = rests[::2], 2 * every
    if widest is None:
        why = {WHY[state] for state in states if state != SEEN}
        raise FaceError(
            "no frame of this film can be dubbed",
            where=path,
            why=", ".join(sorted(why)) or None,
            todo="Use a film that shows a face from the front",
        )
    rest = torch.stack(rests).median(0).values
    points_of_all, state = _bridged(np.stack(rows), np.array(states))
    return FilmFace(points_of_all, state, rest, *widest)


def _bridged(
    points: NDArray[np.float32], state: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Key points and states [T] without gaps of a few frames, between which the face is seen."""
    seen = np.flatnonzero(state == SEEN)
    for before, after in pairwise(seen):
        between = slice(before + 1, after)
        if 1 < after - before <= MAX_GAP + 1 and (state[between] == UNSEEN).all():
            share = ((np.arange(before + 1, after) - before) / (after - before))[:, None, None]
            points[between] = points[before] + share * (points[after] - points[before])
            state[between] = SEEN
    return points, state


def _state_of(reading: FaceReading | None, before: int) -> int:
    """Whether a frame with this face can be dubbed, and the one before it could."""
    if reading is None:
        return UNSEEN
    yaw, pitch, _ = map(abs, map(float, reading.angles))
    back = BACK if before == ASIDE else 0.0  # a head at the limit does not flicker
    if yaw > MAX_YAW - back or pitch > MAX_PITCH - back:
        return ASIDE
    return SMALL if float(np.ptp(reading.landmarks[:, 1])) < MIN_FACE else SEEN
