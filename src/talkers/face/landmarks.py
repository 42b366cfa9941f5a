"""478 landmarks, 52 blendshapes and head pose of the tracked face (MediaPipe Face Landmarker).

Frames are judged one by one: MediaPipe's video mode smooths over time and would delay the lips.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts import pretrained
from talkers.errors import missing
from talkers.face.search import Pauses, Window, tile_levels, whole, window_around

# Indices into the 478 points of MediaPipe's face mesh.
LIPS = (
    61,
    146,
    91,
    181,
    84,
    17,
    314,
    405,
    321,
    375,
    291,
    185,
    40,
    39,
    37,
    0,
    267,
    269,
    270,
    409,
    78,
    95,
    88,
    178,
    87,
    14,
    317,
    402,
    318,
    324,
    308,
    191,
    80,
    81,
    82,
    13,
    312,
    311,
    310,
    415,
)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
EYES = RIGHT_EYE + LEFT_EYE
INNER_LIPS = (13, 14)  # upper, lower: middle of the inner lip line
EYE_CORNERS = (33, 263)  # outer corners: their distance is the inter-ocular distance of the metrics
BLENDSHAPES = (
    "_neutral",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
)
REACH, REACH_GROWS = 0.5, 0.06  # sizes of a face that it moves in a frame, and more for each lost
BLINKS = (BLENDSHAPES.index("eyeBlinkLeft"), BLENDSHAPES.index("eyeBlinkRight"))


@dataclass(frozen=True)
class FaceReading:
    """The tracked face in one frame.

    Attributes:
        landmarks: float32 [478, 2], pixels (x right, y down).
        depth: float32 [478], pixels, away from the camera; of the head's middle 0.
        blendshapes: float32 [52], 0..1.
        angles: float32 [3], yaw, pitch, roll in degrees (yaw > 0: the nose points to the
            picture's right; pitch > 0: up; roll > 0: the head leans to the picture's right).
        faces: how many faces were seen.
    """

    landmarks: NDArray[np.float32]
    depth: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    angles: NDArray[np.float32]
    faces: int


def angles_of(matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Yaw, pitch, roll in degrees of a 4x4 facial transformation (camera axes: x right, y up, z to
    the viewer)."""
    r = np.asarray(matrix, np.float64)[:3, :3]
    r = r / np.linalg.norm(r, axis=0, keepdims=True)
    yaw = np.arctan2(r[0, 2], r[2, 2])
    pitch = np.arcsin(np.clip(r[1, 2], -1, 1))
    roll = -np.arctan2(r[1, 0], r[1, 1])
    return np.degrees([yaw, pitch, roll]).astype(np.float32)


def mouth_opening(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gap between the inner lips divided by the inter-ocular distance: [..., 478, 2] -> [...]."""
    gap = np.linalg.norm(
        landmarks[..., INNER_LIPS[0], :] - landmarks[..., INNER_LIPS[1], :], axis=-1
    )
    eyes = np.linalg.norm(
        landmarks[..., EYE_CORNERS[0], :] - landmarks[..., EYE_CORNERS[1], :], axis=-1
    )
    return np.asarray(gap / np.maximum(eyes, 1e-6), np.float32)


def lip_shape(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lips apart from where the head is: the mouth's opening, then the lips' points in the
    frame of the eyes, in inter-ocular distances: [T, 478, 2] -> [T, 1 + 2 * 40]."""
    right, left = landmarks[:, EYE_CORNERS[0]], landmarks[:, EYE_CORNERS[1]]
    axis = left - right
    scale = np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-3)
    cos, sin = (axis / scale).T
    lips = (landmarks[:, list(LIPS)] - ((left + right) / 2)[:, None]) / scale[:, None]
    turned = np.stack(
        [
            lips[..., 0] * cos[:, None] + lips[..., 1] * sin[:, None],
            -lips[..., 0] * sin[:, None] + lips[..., 1] * cos[:, None],
        ],
        -1,
    )
    return np.concatenate(
        [mouth_opening(landmarks)[:, None], turned.reshape(len(landmarks), -1)], -1
    ).astype(np.float32)


_STDERR = threading.Lock()  # held while the process's stderr leads nowhere


@contextmanager
def hushed() -> Iterator[None]:
    """Hide what native code writes to stderr: mediapipe greets every tracker with several lines.

    Stderr belongs to the whole process, so threads that open trackers take turns.
    """
    with _STDERR:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def load_mediapipe(purpose: str) -> Any:
    """The mediapipe package, kept from ending this process.

    Args:
        purpose: what it is needed for.

    Raises:
        MissingComponent: it is not installed.
    """
    try:
        import mediapipe
        import mediapipe.tasks.python
    except ImportError as error:
        raise missing(purpose, "prepare", error) from error
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGPROF) is signal.SIG_DFL
    ):  # its library holds a profiler whose late signal would end the process
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
    return mediapipe


class FaceTracker:
    """Follows one face through a video: the largest at first, then the one nearest to where it was.

    Use as a context manager, or close it; one tracker a process and video.

    Args:
        max_faces: that are looked for in a frame.
        strict: do not go over to another face: one that is too far from where the face was, for
            the time since, is not taken.
    """

    def __init__(self, max_faces: int = 2, strict: bool = False):
        mediapipe = load_mediapipe("finding faces")
        from mediapipe.tasks.python import BaseOptions, vision

        model = pretrained.fetch("face-landmarker").read_bytes()
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model),
            num_faces=max_faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        self._mediapipe = mediapipe
        with hushed():
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
            self._landmarker.detect(
                mediapipe.Image(
                    image_format=mediapipe.ImageFormat.SRGB, data=np.zeros((64, 64, 3), np.uint8)
                )
            )
        self._last: NDArray[np.float32] | None = None  # the face's landmarks, [478, 2]
        self._strict, self._lost = strict, 0  # frames since it was seen
        self._small = False  # the face was not seen in the whole picture, and is followed
        self._pauses = Pauses()

    def __enter__(self) -> FaceTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the model holds."""
        self._landmarker.close()

    def track(self, frame: NDArray[np.uint8]) -> FaceReading | None:
        """Read the tracked face in the next frame.

        The face is looked for in the whole picture, then around where it was, then in tiles; one
        that was found in a tile is looked for around where it was first.

        Args:
            frame: uint8 [H, W, 3] RGB.

        Returns:
            the reading; None when no face is seen.
        """
        self._lost += 1
        places = [whole(frame)]
        if self._last is not None:
            places.append(window_around(self._last, frame))
        for window in reversed(places) if self._small else places:
            if readings := self._within_reach(self._readings(frame, window)):
                self._small &= window != places[0]
                return self._chosen(readings)
        if self._pauses.due() and (readings := self._within_reach(self._search(frame))):
            self._small = True
            return self._chosen(readings)
        return None

    def _within_reach(self, readings: list[FaceReading]) -> list[FaceReading]:
        """Faces that can be the one that is followed."""
        if self._last is None or not self._strict:
            return readings
        share, middle = REACH + REACH_GROWS * (self._lost - 1), self._last.mean(0)
        before = float(np.ptp(self._last, axis=0).max())

        def near(face: NDArray[np.float32]) -> bool:
            size = max(before, float(np.ptp(face, axis=0).max()))
            return bool(np.linalg.norm(face.mean(0) - middle) <= share * size)

        return [reading for reading in readings if near(reading.landmarks)]

    def follow(self, reading: FaceReading) -> None:
        """Follow this face from now on, though it may not be the largest."""
        self._last, self._lost = reading.landmarks, 0
        self._pauses.seen()

    def faces(self, picture: NDArray[np.uint8], every: bool = True) -> list[FaceReading]:
        """All faces of a picture that stands alone, the largest first.

        Args:
            picture: uint8 [H, W, 3] RGB.
            every: look for small faces beside a large one too, which takes longer.
        """
        found = self._readings(picture, whole(picture))
        for reading in [] if found and not every else self._search(picture):
            if not any(same_face(reading, other) for other in found):
                found.append(reading)
        ranked = sorted(found, key=lambda r: -float(np.ptp(r.landmarks, axis=0).prod()))
        return [replace(reading, faces=len(ranked)) for reading in ranked]

    def _search(self, frame: NDArray[np.uint8]) -> list[FaceReading]:
        """Faces in the largest tiles that show any, each seen again in a window around it."""
        for tiles in tile_levels(frame.shape[1], frame.shape[0]):
            found: list[FaceReading] = []
            for tile in tiles:
                for reading in self._readings(frame, tile):
                    again = self._readings(frame, window_around(reading.landmarks, frame))
                    found += [face for face in again if not any(same_face(face, f) for f in found)]
            if found:
                return found
        return []

    def _readings(self, frame: NDArray[np.uint8], window: Window) -> list[FaceReading]:
        """All faces seen in a part of the picture, their landmarks in pixels of the picture."""
        part = window.cut(frame)
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=part)
        found = self._landmarker.detect(image)
        size = np.array([part.shape[1], part.shape[0]], np.float32)
        corner = np.array([window.left, window.top], np.float32)
        return [
            FaceReading(
                landmarks=np.array([(p.x, p.y) for p in points], np.float32) * size + corner,
                depth=np.array([p.z for p in points], np.float32) * size[0],
                blendshapes=np.array([shape.score for shape in shapes], np.float32),
                angles=angles_of(matrix),
                faces=len(found.face_landmarks),
            )
            for points, shapes, matrix in zip(
                found.face_landmarks,
                found.face_blendshapes,
                found.facial_transformation_matrixes,
                strict=True,
            )
        ]

    def _chosen(self, readings: list[FaceReading]) -> FaceReading:
        """The largest face at first, then the one nearest to where it was."""
        faces = [reading.landmarks for reading in readings]
        if self._last is None:
            chosen = int(np.argmax([np.ptp(face, axis=0).prod() for face in faces]))
        else:
            last = self._last.mean(0)
            chosen = int(np.argmin([np.linalg.norm(face.mean(0) - last) for face in faces]))
        self._last, self._lost = faces[chosen], 0
        self._pauses.seen()
        return replace(readings[chosen], faces=len(readings))


def same_face(a: FaceReading, b: FaceReading) -> bool:
    """Whether two readings of one frame are of one face: their middles lie within half a face."""
    size = float(np.ptp(b.landmarks, axis=0).max())
    return bool(np.linalg.norm(a.landmarks.mean(0) - b.landmarks.mean(0)) < size / 2)
