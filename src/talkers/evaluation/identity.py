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
        self._reference: tuple[TrackedClip, NDArray[np.float64]] | None = None

    def descriptor(self, clip: TrackedClip) -> NDArray[np.float64]:
        """Mean descriptor of some frames with a face: [128]."""
        found = np.flatnonzero(clip.found)
        chosen = found[evenly_picked(len(found), MAX_FRAMES)]
        rows = [self._faces.describe(clip.frames[t], clip.landmarks[t]) for t in chosen]
        return np.mean(rows, 0, dtype=np.float64)

    def _of_reference(self, clip: TrackedClip) -> NDArray[np.float64]:
        """The descriptor of a clip that many generated ones in turn are compared with."""
        if self._reference is None or self._reference[0] is not clip:
            self._reference = clip, self.descriptor(clip)
        return self._reference[1]

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """csim: the cosine of the two clips' mean descriptors; NaN where there is no face."""
        if min(generated.found.mean(), reference.found.mean()) < MIN_FACE_SHARE:
            return {"csim": float("nan")}
        a, b = self.descriptor(generated), self._of_reference(reference)
        # cos = <a, b> / (|a| |b|)
        return {"csim": float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))}
