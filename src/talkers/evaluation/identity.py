"""Is it the same person? Cosine similarity of face descriptors (dlib's ResNet), CSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.pretrained import fetch
from talkers.errors import MissingComponent
from talkers.evaluation.tracked import TrackedClip

FIVE_POINTS = (
    263,
    362,
    33,
    133,
    2,
)  # outer and inner corner of both eyes and the base of the nose, in dlib's order


class FaceDescriptor:
    """Describes faces by 128 numbers."""

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise MissingComponent(
                "the identity metric (CSIM) needs dlib", todo="Install it: `pip install dlib-bin`"
            ) from error
        self._dlib: Any = dlib
        self._network = dlib.face_recognition_model_v1(str(fetch("dlib-face-descriptor")))

    def describe(self, watched: TrackedClip, most: int = 5) -> NDArray[np.float64]:
        """Mean descriptor of up to `most` evenly picked frames: [128]."""
        dlib, seen = self._dlib, np.flatnonzero(watched.found)
        rows = []
        for t in seen[
            np.unique(np.linspace(0, len(seen) - 1, min(most, len(seen))).round().astype(int))
        ]:
            marks = watched.landmarks[t]
            (left, top), (right, bottom) = marks.min(0).astype(int), marks.max(0).astype(int)
            points = [
                dlib.point(x, y) for x, y in marks[list(FIVE_POINTS)].round().astype(int).tolist()
            ]
            face = dlib.full_object_detection(
                dlib.rectangle(int(left), int(top), int(right), int(bottom)), points
            )
            chip = dlib.get_face_chip(np.ascontiguousarray(watched.frames[t]), face, 150, 0.25)
            rows.append(np.array(self._network.compute_face_descriptor(chip)))
        return np.mean(rows, 0)

    def similarity(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        """Cosine of two descriptors, -1..1."""
        return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))
