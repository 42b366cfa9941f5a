"""Is it the same person? Cosine similarity of face descriptors (dlib's ResNet), CSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.pretrained import fetch
from talkers.errors import missing
from talkers.evaluation.contract import Metric, Score, Utterance
from talkers.evaluation.tracked import TrackedClip, evenly_picked
from talkers.experts.contract import MIN_FACE_SHARE

FIVE_POINTS = (263, 362, 33, 133, 2)
"""Outer and inner corner of both eyes and the base of the nose, in dlib's order."""
CHIP_SIDE, CHIP_MARGIN = 150, 0.25  # pixels, share of the side
MAX_FRAMES = 5  # of a clip that are described


class FaceSimilarity(Metric):
    """How like the real person the generated one is, -1..1.

    Raises:
        MissingComponent: dlib or its network cannot be had.
    """

    figures = ("csim",)

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise missing("the identity metric (CSIM)", "evaluate", error) from error
        self._dlib: Any = dlib
        self._network = dlib.face_recognition_model_v1(str(fetch("dlib-face-descriptor")))

    def descriptor(self, clip: TrackedClip) -> NDArray[np.float64]:
        """Mean descriptor of some frames with a face: [128]."""
        dlib, found = self._dlib, np.flatnonzero(clip.found)
        rows = []
        for t in found[evenly_picked(len(found), MAX_FRAMES)]:
            marks = clip.landmarks[t]
            (left, top), (right, bottom) = marks.min(0).astype(int), marks.max(0).astype(int)
            points = [
                dlib.point(x, y) for x, y in marks[list(FIVE_POINTS)].round().astype(int).tolist()
            ]
            box = dlib.rectangle(int(left), int(top), int(right), int(bottom))
            face = dlib.full_object_detection(box, points)
            frame = np.ascontiguousarray(clip.frames[t])
            chip = dlib.get_face_chip(frame, face, CHIP_SIDE, CHIP_MARGIN)
            rows.append(np.array(self._network.compute_face_descriptor(chip)))
        return np.mean(rows, 0)

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """csim: the cosine of the two clips' mean descriptors; NaN where there is no face."""
        if min(generated.found.mean(), reference.found.mean()) < MIN_FACE_SHARE:
            return {"csim": float("nan")}
        a, b = self.descriptor(generated), self.descriptor(reference)
        # cos = <a, b> / (|a| |b|)
        return {"csim": float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))}
