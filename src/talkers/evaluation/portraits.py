"""A portrait of a clip's person, made of its first frame: self-reenactment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkers.corpus.views import key_points
from talkers.evaluation.variants import RealClip
from talkers.face.portrait import portrait_of_frame
from talkers.runtime.avatar import Avatar
from talkers.runtime.portrait import PortraitTerms, avatar_showing
from talkers.space.contract import HEAD
from talkers.space.face_motion import FaceMotionSpace


def self_portrait(
    avatar: Avatar, clip: RealClip, landmarks: NDArray[np.float32], folder: Path
) -> tuple[Avatar, RealClip]:
    """An avatar that shows a clip's person, and the clip with the motion that it has for it.

    Args:
        avatar: one whose renderer shows whom it is given.
        clip: a real clip; its first frame is the picture.
        landmarks: [T, 478, 2] pixels, NaN where there is no face.
        folder: takes the avatar.

    Raises:
        FaceError: no face is seen in the first frame.
    """
    face = portrait_of_frame(clip.frames[0])
    shown = avatar_showing(avatar, [face], folder, PortraitTerms())
    space, identity = shown.engine.space, shown.engine.identity
    assert isinstance(space, FaceMotionSpace)
    assert identity is not None
    assert identity.values is not None
    points = key_points(landmarks, clip.frames.shape[2])
    motion = space.motion_of(points, identity.values["rest"], identity.values["depth"])
    return shown, replace(clip, motion=motion, head=motion[:, : len(HEAD)])
