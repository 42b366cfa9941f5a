"""Is it the same person? Faces described by 128 numbers (dlib's ResNet)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.artefacts.pretrained import fetch
from talkers.errors import MissingComponent, missing

FIVE_POINTS = (263, 362, 33, 133, 2)
"""Outer and inner corner of both eyes and the base of the nose, in dlib's order."""
CHIP_SIDE, CHIP_MARGIN = 150, 0.25  # pixels, share of the side
SAME_PERSON = 0.55
"""Euclidean distance of descriptors beyond which two faces are two people's.

On GRID's speakers: one person's are at most 0.49 apart, 99 of 100 pairs of people at least 0.58."""


class FaceDescriptor:
    """Describes faces by 128 numbers.

    Raises:
        MissingComponent: dlib or its model is not on this machine.
    """

    def __init__(self) -> None:
        try:
            import dlib
        except ImportError as error:
            raise missing("telling people apart", "evaluate", error) from error
        self._dlib: Any = dlib
        self._network = dlib.face_recognition_model_v1(str(fetch("dlib-face-descriptor")))

    def describe(
        self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Describe the face in a frame.

        Args:
            frame: uint8 [H, W, 3] RGB.
            landmarks: [478, 2] pixels.

        Returns:
            [128], of length about 1.
        """
        return self.describe_chip(self.chip(frame, landmarks))

    def chip(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The face in a frame, upright: uint8 [150, 150, 3]; see `describe`."""
        dlib = self._dlib
        (left, top), (right, bottom) = landmarks.min(0).astype(int), landmarks.max(0).astype(int)
        corners = landmarks[list(FIVE_POINTS)].round().astype(int).tolist()
        face = dlib.full_object_detection(
            dlib.rectangle(int(left), int(top), int(right), int(bottom)),
            [dlib.point(x, y) for x, y in corners],
        )
        chip = dlib.get_face_chip(np.ascontiguousarray(frame), face, CHIP_SIDE, CHIP_MARGIN)
        return np.asarray(chip, np.uint8)

    def describe_chip(self, chip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Describe a face that `chip` has cut out: [128]."""
        return np.array(self._network.compute_face_descriptor(chip), np.float32)


@cache
def descriptor_or_reason() -> FaceDescriptor | str:
    """What tells people apart, or why nothing does; asked once a process: it may be fetched."""
    try:
        return FaceDescriptor()
    except MissingComponent as error:
        return str(error)


def others(descriptors: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which faces are not the main person's.

    The main person is the one whose face lies near most of the others.

    Args:
        descriptors: [N, 128].
        weights: [N], how much footage each of them stands for.

    Returns:
        bool [N].
    """
    if not len(descriptors):
        return np.zeros(0, bool)
    near = np.linalg.norm(descriptors[:, None] - descriptors[None], axis=-1) <= SAME_PERSON
    main = int(np.argmax(near @ weights))
    # the middle of the main person's faces is a better measure than any one of them
    middle = np.average(descriptors[near[main]], axis=0, weights=weights[near[main]])
    return np.asarray(np.linalg.norm(descriptors - middle, axis=-1) > SAME_PERSON)
