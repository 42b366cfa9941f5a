"""How an avatar follows a video."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

from talkers.errors import UsageError
from talkers.face.portrait import checked_face
from talkers.space.contract import FaceState

Follow = Literal["both", "pose", "expression"]
FOLLOWED: dict[Follow, tuple[str, ...]] = {
    "pose": ("pose",),
    "expression": ("blink", "gaze", "expression", "mouth"),
    "both": FaceState._fields,
}
"""Parts of a face that a video drives."""
UPPER = ("blink", "gaze", "expression")  # that another video may drive


@dataclass(frozen=True)
class ReenactTerms:
    """How an avatar follows a video.

    Attributes:
        follow: "pose": its head alone, "expression": its face alone, or "both" (DPE, Pang et al.
            2023).
        absolute: the head's angles are shown as they are, not by how they differ from those of the
            neutral frame.
        neutral: second of the driving video at which its face rests (default: the head's movements
            count from where the face is first seen, and how it rests is told from what it does
            there).
        face: which face of it: "largest", "left", "right" or "x,y" in pixels.
        speech: what drives the mouth in place of the video (EDTalk, Tan et al. 2024).
        upper: another video, which drives brows, eyes and lids.
    """

    follow: Follow = "both"
    absolute: bool = False
    neutral: float | None = None
    face: str = "largest"
    speech: Any = None
    upper: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Raises UsageError: one of them is not what it can be."""
        if self.follow not in get_args(Follow):
            raise UsageError(
                f"'{self.follow}' cannot be followed", todo="Use pose, expression or both"
            )
        if self.neutral is not None and not (math.isfinite(self.neutral) and self.neutral >= 0):
            raise UsageError(
                f"the neutral moment is {self.neutral:g} s", todo="Name a second of the video"
            )
        checked_face(self.face)
