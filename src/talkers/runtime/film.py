"""A film and the face in it, frame by frame: where it is, and where it cannot be dubbed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.errors import FaceError, MediaError
from talkers.face.crop import Crop
from talkers.face.landmarks import FaceReading, FaceTracker, mouth_opening
from talkers.face.portrait import choose_face
from talkers.media import decode_frames, probe
from talkers.progress import Report
from talkers.space.face_motion import FaceMotionSpace

MAX_FACES = 6  # that are looked for where one of them is chosen
MAX_YAW, MAX_PITCH = 35.0, 30.0  # degrees: beyond them half of the mouth is not to be seen
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
        path: of the film.
        rate: frames a second.
        points: float32 [T, 478, 2] key points in pixels, NaN where there is none.
        state: int [T], `SEEN` or why the frame is left alone.
        rest: [478, 2] canonical key points of the person at rest.
        widest: number of the frame with the widest mouth.
    """

    path: Path
    rate: Fraction
    points: NDArray[np.float32]
    state: NDArray[np.int64]
    rest: Tensor
    widest: int

    def left_alone(self) -> list[tuple[float, float, str]]:
        """Stretches that cannot be dubbed: start and end in seconds, and why."""
        edges = np.flatnonzero(np.diff(self.state, prepend=-1, append=-1))
        left = [(a, b) for a, b in pairwise(edges) if self.state[a] != SEEN]
        rate = float(self.rate)
        return [(a / rate, b / rate, WHY[int(self.state[a])]) for a, b in left]

    def crop(self, number: int) -> Crop:
        """The square around the lower face of a frame, as it is in the film."""
        return crop_around(self.points[number])

    def shares(self, number: int, crop: Crop) -> Tensor:
        """Key points of a frame [478, 2] in shares of a crop's side."""
        return torch.from_numpy(crop.to_crop(self.points[number]) / np.float32(crop.size))


def crop_around(points: NDArray[np.float32]) -> Crop:
    """The square around a lower face: key points [478, 2] in pixels."""
    right, left = points[33], points[263]
    unit = float(np.linalg.norm(left - right))
    down = np.array([-(left - right)[1], (left - right)[0]]) * BELOW_EYES
    middle = (right + left) / 2 + down
    side = max(32, round(2 * AROUND * unit))
    return Crop(round(middle[0] - side / 2), round(middle[1] - side / 2), side, side)


def film_face(
    path: str | os.PathLike[str], space: FaceMotionSpace, face: str, report: Report
) -> FilmFace:
    """Find the face of a film in all of its frames.

    Args:
        path: the film.
        space: of face motion.
        face: "largest", "left", "right" or "x,y" of a place in its first frame with faces.
        report: called with a sentence, frames done and frames in all.

    Raises:
        MediaError: it cannot be read, or is no film. FaceError: no frame of it can be dubbed.
        UsageError: no such face.
    """
    info = probe(path)
    if info.video is None or info.video.still:
        raise MediaError("this holds no moving picture", where=path, todo="Name a film")
    rate = info.video.frame_rate
    total = round(float(info.duration or 0) * rate)
    rows: list[NDArray[np.float32]] = []
    states: list[int] = []
    rests: list[Tensor] = []
    every = max(1, total // RESTS)
    widest, opening = -1, -1.0
    with FaceTracker(MAX_FACES, strict=True) as tracker:
        begun = face == "largest"
        for number, frame in enumerate(decode_frames(path, rate)):
            if not begun and (found := tracker.faces(frame)):
                tracker.follow(choose_face(found, face))
                begun = True
            reading = tracker.track(frame) if begun else None
            states.append(_state_of(reading))
            rows.append(np.full((478, 2), np.nan, np.float32))
            if reading is not None:
                rows[-1] = reading.landmarks
            if reading is not None and states[-1] == SEEN:
                wide = float(mouth_opening(reading.landmarks))
                if wide > opening:
                    widest, opening = number, wide
                if number % every == 0 or not rests:
                    points = torch.from_numpy(reading.landmarks / np.float32(len(frame)))
                    shapes = torch.from_numpy(reading.blendshapes)
                    rests.append(space.rest_of_picture(points, shapes))
            report("finding the face", number + 1, max(total, number + 1))
    if widest < 0:
        why = {WHY[s] for s in states if s != SEEN}
        raise FaceError(
            "no frame of this film can be dubbed",
            where=path,
            why=", ".join(sorted(why)) or None,
            todo="Use a film that shows a face from the front",
        )
    rest = torch.stack(rests).median(0).values
    return FilmFace(Path(path), rate, np.stack(rows), np.array(states), rest, widest)


def _state_of(reading: FaceReading | None) -> int:
    """Whether a frame with this face can be dubbed."""
    if reading is None:
        return UNSEEN
    yaw, pitch, _ = map(abs, map(float, reading.angles))
    if yaw > MAX_YAW or pitch > MAX_PITCH:
        return ASIDE
    return SMALL if float(np.ptp(reading.landmarks[:, 1])) < MIN_FACE else SEEN
