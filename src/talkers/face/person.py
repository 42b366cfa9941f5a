"""One person, followed through all shots of a film, though others are seen in it too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkers.face.identity import SAME_PERSON, FaceDescriptor
from talkers.face.landmarks import FaceReading, FaceTracker
from talkers.face.picture import PictureSigns
from talkers.face.portrait import choose_face

MAX_FACES = 6  # that are looked for where one of them is chosen
CHANGE = 10.0  # mean change of grey values from shot to shot: a hand that comes changes less
SEARCH_EVERY = 12  # frames between two searches, at most; less at first
LOST = 12  # frames after which somebody may have come instead
NO_BOX = np.full(4, np.nan, np.float32)
LEARN_EVERY, DESCRIPTORS = 12, 8  # frames, and how often a person is described


class PersonTracker:
    """Follows one person: who is chosen at first, and the same one in later shots.

    Close it when it is no longer needed, or use it in a `with`.

    Args:
        face: who: "largest", "left", "right" or "x,y" in pixels, of the first faces that are seen.
        describer: tells people apart (default: nothing does; who is chosen after a cut is said by
            `face` again).
        known: [N, 128] descriptors of the person, if they are known already.

    Attributes:
        cut: whether the last frame began another shot.
        others: whether other people were seen where the person was looked for last, and not them.
        cuts: how many there were.

    Raises:
        MissingComponent: mediapipe, which finds faces, is not installed.
    """

    def __init__(
        self,
        face: str = "largest",
        describer: FaceDescriptor | None = None,
        known: NDArray[np.float32] | None = None,
    ):
        self.face, self.cut, self.others, self.cuts = face, False, False, 0
        self._tracker = FaceTracker(MAX_FACES, strict=True)
        self._describer, self._signs = describer, PictureSigns(CHANGE)
        self._known = [] if known is None else list(known)
        self._chips = list[NDArray[np.uint8]]()  # of the person, not described yet
        self._following = False
        self._lost = self._frames = 0
        self._pause, self._next = 0, 1  # frames until the next search, and until the one after it

    def __enter__(self) -> PersonTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the tracker holds."""
        self._tracker.close()

    def read(self, frame: NDArray[np.uint8]) -> FaceReading | None:
        """Read the person's face in the next frame.

        Args:
            frame: uint8 [H, W, 3] RGB.

        Returns:
            the reading; None where the person is not seen.

        Raises:
            UsageError: the face was named in a way that nobody understands.
        """
        self._frames += 1
        self.cut = self._signs.add(frame, NO_BOX)
        self.cuts += self.cut
        if self.cut or self._lost > LOST:
            self._following, self._lost = False, 0
            self._pause, self._next = 0, 1
        if not self._following:
            return self._found(frame)
        reading = self._tracker.track(frame)
        self._lost = 0 if reading is not None else self._lost + 1
        if reading is not None and self._frames % LEARN_EVERY == 0:
            self._learn(frame, reading)
        return reading

    def _found(self, frame: NDArray[np.uint8]) -> FaceReading | None:
        """The person in a frame in which they are looked for anew."""
        if self._pause:
            self._pause -= 1
            return None
        faces = self._tracker.faces(frame)
        reading = self._chosen(faces, frame)
        self.others = reading is None and bool(faces)
        if reading is None:
            self._pause, self._next = self._next, min(2 * self._next, SEARCH_EVERY)
            return None
        self._tracker.follow(reading)
        self._following = True
        self._learn(frame, reading)
        return reading

    def _chosen(self, faces: list[FaceReading], frame: NDArray[np.uint8]) -> FaceReading | None:
        """The person among faces, the largest first."""
        if not faces:
            return None
        if self._describer is None or not (self._known or self._chips):
            return choose_face(faces, self.face)
        # describing takes long, and a film without cuts never needs it
        self._known += map(self._describer.describe_chip, self._chips)
        self._chips.clear()
        middle = np.mean(self._known, axis=0)
        far = [
            float(np.linalg.norm(self._describer.describe(frame, face.landmarks) - middle))
            for face in faces
        ]
        nearest = int(np.argmin(far))
        return faces[nearest] if far[nearest] <= SAME_PERSON else None

    def _learn(self, frame: NDArray[np.uint8], reading: FaceReading) -> None:
        """Learn more of what the person looks like."""
        if self._describer is not None and len(self._known) + len(self._chips) < DESCRIPTORS:
            self._chips.append(self._describer.chip(frame, reading.landmarks))
