"""Is it the same person? Cosine similarity of face descriptors (dlib's ResNet), CSIM."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.contract import Metric, Score, Utterance
from talkers.evaluation.tracked import TrackedClip, evenly_picked
from talkers.experts.contract import MIN_FACE_SHARE
from talkers.face.identity import FaceDescriptor

MAX_FRAMES = 5  # of a clip that are described


class FaceSimilarity(Metric):
    """How like the real person the generated one is, -1..1.

    Raises:
        MissingComponent: dlib or its network cannot be had.
    """

    figures = ("csim",)

    def __init__(self) -> None:
        self._faces = FaceDescriptor()

    def descriptor(self, clip: TrackedClip) -> NDArray[np.float64]:
        """Mean descriptor of some frames with a face: [128]."""
        found = np.flatnonzero(clip.found)
        chosen = found[evenly_picked(len(found), MAX_FRAMES)]
        rows = [self._faces.describe(clip.frames[t], clip.landmarks[t]) for t in chosen]
        return np.mean(rows, 0, dtype=np.float64)

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """csim: the cosine of the two clips' mean descriptors; NaN where there is no face."""
        if min(generated.found.mean(), reference.found.mean()) < MIN_FACE_SHARE:
            return {"csim": float("nan")}
        a, b = self.descriptor(generated), self.descriptor(reference)
        # cos = <a, b> / (|a| |b|)
        return {"csim": float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))}
