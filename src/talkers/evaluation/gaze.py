"""Where the eyes look and how high the brows are: read from what a tracker sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkers.face.landmarks import BLENDSHAPES

BROWS = [k for k, name in enumerate(BLENDSHAPES) if name.startswith("brow")]
EYES = (
    (468, 33, 133, 159, 145),
    (473, 362, 263, 386, 374),
)  # iris, corners from the person's right to left, lids


def gaze_of(marks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the irises are to the person's left and up, in shares of the eye's width: [T, 2]."""
    both = []
    for iris, right, left, _, _ in EYES:
        across = marks[:, left] - marks[:, right]
        width = np.linalg.norm(across, axis=-1, keepdims=True)
        place = (marks[:, iris] - (marks[:, right] + marks[:, left]) / 2) / width
        along = across / width
        both.append(
            np.stack(
                [(place * along).sum(-1), place[:, 0] * along[:, 1] - place[:, 1] * along[:, 0]], -1
            )
        )
    return np.mean(both, axis=0)
