"""A face in a video drives an avatar: what it does, read frame by frame and none ahead.

What is read is how the face differs from how it rests, in units of its own (relative transfer:
AVCT, section 3.4; LivePortrait, equation 3). So it is nobody's, and any avatar can follow it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.face.landmarks import FaceReading, FaceTracker
from talkers.face.portrait import choose_face
from talkers.space.contract import FaceState
from talkers.space.face_motion import BLINK, FaceMotionSpace

MAX_FACES = 6  # that are looked for
SEARCH_EVERY = 5  # frames between two searches for a face that is to be chosen
MIN_CUTOFF_HZ, BETA = 1.5, 0.024
"""Of the head's filter: what is faster than the cutoff trembles, and BETA is by how many Hz more is
kept for each noise a second that the head moves."""
NOISE = (0.2, 0.2, 0.2, 0.002, 0.002, 0.002)
"""Of the tracker's head in a frame: degrees, and shares of the inter-ocular distance."""


class HeadFilter:
    """A low-pass filter that opens where the head moves (the 1-euro filter, Casiez et al. 2012).

    Args:
        rate: frames a second.
    """

    def __init__(self, rate: float):
        self.rate = rate
        self._value: Tensor | None = None
        self._speed = torch.zeros(len(NOISE))

    def __call__(self, value: Tensor) -> Tensor:
        """The next head values [6] -> steady ones."""
        if self._value is None:
            self._value = value
            return value
        # x' += a (x - x'), a = 1 / (1 + rate / (2 pi f)), f = f_0 + b |speed|
        speed = self.rate * (value - self._value) / value.new_tensor(NOISE)
        self._speed = self._speed + self._share(torch.ones(())) * (speed - self._speed)
        cutoff = MIN_CUTOFF_HZ + BETA * self._speed.abs()
        self._value = self._value + self._share(cutoff) * (value - self._value)
        return self._value

    def _share(self, cutoff: Tensor) -> Tensor:
        return 1 / (1 + self.rate / (2 * math.pi * cutoff))


class DrivingFace:
    """The face of a driving video. Close it when it is no longer needed, or use it in a `with`.

    Args:
        space: in which face motion is read.
        rate: frames a second.
        absolute: say how the head lies, and not only how it differs from the neutral frame.
        face: which one, where there are several: "largest", "left", "right" or "x,y" in pixels.

    Raises:
        MissingComponent: mediapipe, which finds the face, is not installed.
    """

    def __init__(
        self,
        space: FaceMotionSpace,
        rate: float,
        absolute: bool = False,
        face: str = "largest",
    ):
        self.space, self.absolute, self.face = space, absolute, face
        self._tracker = FaceTracker(MAX_FACES, strict=True)
        self._filter = HeadFilter(rate)
        self._rest: Tensor | None = None
        self._neutral = torch.zeros(BLINK)
        self._searched = 0

    def __enter__(self) -> DrivingFace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the tracker holds."""
        self._tracker.close()

    @property
    def begun(self) -> bool:
        """Whether the neutral frame was seen."""
        return self._rest is not None

    def begin(self, frame: NDArray[np.uint8], resting: bool = False) -> bool:
        """Take a frame for the neutral one, from which the head's movements count.

        Args:
            frame: uint8 [H, W, 3] RGB.
            resting: the face rests in it. Else its rest is told from what it does.

        Returns:
            whether a face is seen in it.

        Raises:
            UsageError: the face was named in a way that nobody understands.
        """
        if self.face == "largest":
            reading = self._tracker.track(frame)
        else:
            reading = self._chosen(frame, resting)
        if reading is None:
            return False
        points = self._points(reading, frame)
        if resting:
            self._rest = self.space.canonical(points)
        else:
            self._rest = self.space.rest_of_picture(points, torch.from_numpy(reading.blendshapes))
        self._neutral = self._head(reading, points)
        return True

    def _chosen(self, frame: NDArray[np.uint8], now: bool) -> FaceReading | None:
        """The face of a frame that was named; a frame without any is not searched each time."""
        self._searched += 1
        if not now and self._searched % SEARCH_EVERY != 1:
            return None
        faces = self._tracker.faces(frame)
        if not faces:
            return None
        reading = choose_face(faces, self.face)
        self._tracker.follow(reading)
        return reading

    def read(self, frame: NDArray[np.uint8]) -> FaceState | None:
        """What the face does in the next frame; None where it is not seen.

        Args:
            frame: uint8 [H, W, 3] RGB.

        Returns:
            Of the pose, differences from the neutral frame: angles in degrees, shift and scale in
            inter-ocular distances. The angles themselves where it is absolute.
        """
        reading = self._tracker.track(frame)
        if reading is None:
            return None
        assert self._rest is not None, "no neutral frame yet"
        points = self._points(reading, frame)
        moved = self._head(reading, points) - self._neutral
        head = self._filter(torch.cat([moved[:3], moved[3:] / self._neutral[5]]))
        if self.absolute:
            head = torch.cat([head[:3] + self._neutral[:3], head[3:]])
        state = self.space.read(self.space.motion_of(points, self._rest))
        return state._replace(pose=head)

    def _head(self, reading: FaceReading, points: Tensor) -> Tensor:
        """The first six head values: angles as the tracker sees them, place as key points say."""
        place = self.space.placement(points)
        return torch.cat([torch.from_numpy(reading.angles), place.shift, place.scale])

    @staticmethod
    def _points(reading: FaceReading, frame: NDArray[np.uint8]) -> Tensor:
        """Key points [478, 2] in shares of the frame's height."""
        return torch.from_numpy(reading.landmarks / np.float32(len(frame)))
