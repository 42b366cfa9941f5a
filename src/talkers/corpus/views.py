"""Views of a corpus's measurements for training and evaluation: face descriptors, head values."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.corpus import Corpus
from talkers.corpus.store import fill_gaps
from talkers.face.crop import FACE_TO_CROP, box_of, face_height
from talkers.face.landmarks import BLENDSHAPES, LIPS, lip_shape
from talkers.face.source import FaceScale

MOUTH_NUMBERS = tuple(range(1 + 2 * len(LIPS))) + tuple(
    1 + 2 * len(LIPS) + i for i, n in enumerate(BLENDSHAPES) if n.startswith(("mouth", "jaw"))
)
"""Which numbers of a face descriptor are about the mouth."""
BROW_NUMBERS = tuple(
    1 + 2 * len(LIPS) + i for i, n in enumerate(BLENDSHAPES) if n.startswith("brow")
)
"""Which are about the brows."""
GAZE = {
    "LookOutLeft": (1, 0),
    "LookInRight": (1, 0),
    "LookInLeft": (-1, 0),
    "LookOutRight": (-1, 0),
    "LookUpLeft": (0, 1),
    "LookUpRight": (0, 1),
    "LookDownLeft": (0, -1),
    "LookDownRight": (0, -1),
}
"""Blendshapes of the eyes, and where they look: to the person's left, up."""
SHAPE_NUMBERS = 1 + 2 * len(LIPS) + len(BLENDSHAPES)
"""How many numbers a face descriptor has."""


def face_shape(corpus: Corpus, name: str) -> NDArray[np.float32]:
    """Describe what a face does, apart from where it is.

    Returns:
        mouth opening, lips in the frame of the eyes, blendshapes: [T, 133].
    """
    shapes = np.nan_to_num(corpus.column("blendshapes", name))
    return np.concatenate([lip_shape(corpus.column("landmarks", name)), shapes], -1).astype(
        np.float32
    )


def face_parts(shapes: Tensor) -> dict[str, Tensor]:
    """What face shapes [N, 133] say of the parts that a user steers: mouth [N, 107], brows [N, 5],
    and gaze [N, 2] to the person's left and up."""
    return {
        "mouth": shapes[:, list(MOUTH_NUMBERS)],
        "brows": shapes[:, list(BROW_NUMBERS)],
        "gaze": gaze_of_blendshapes(shapes[:, 1 + 2 * len(LIPS) :]),
    }


def gaze_of_blendshapes(blendshapes: Tensor) -> Tensor:
    """Where the eyes look, to the person's left and up: [N, 52] -> [N, 2]."""
    eyes = {BLENDSHAPES.index(f"eye{name}"): way for name, way in GAZE.items()}
    ways = torch.tensor(list(eyes.values()), dtype=blendshapes.dtype)
    return blendshapes[:, list(eyes)] @ ways


def face_scale(corpus: Corpus, clips: int = 20) -> FaceScale:
    """How large the face is in a corpus, so that foreign clips can be cut alike.

    Args:
        corpus: the footage.
        clips: how many clips, spread over the corpus, are measured.
    """
    chosen = np.unique(np.linspace(0, len(corpus.clips) - 1, clips).round().astype(int))
    heights = []
    for clip in (corpus.clips[k] for k in chosen):
        seen = np.asarray(corpus.column("face", clip.name), bool)
        if seen.any():
            heights.append(face_height(box_of(corpus.column("landmarks", clip.name)[seen])))
    share = float(np.median(heights)) / corpus.size if heights else 1 / FACE_TO_CROP
    return FaceScale(round(share, 4), dict(corpus.about.get("face_heights", {})))


def key_points(landmarks: NDArray[np.float32], side: int) -> Tensor:
    """Landmarks [T, 478, 2] in pixels as shares of the frame's side, gaps filled: [T, 478, 2]."""
    rows = landmarks.reshape(len(landmarks), -1).astype(np.float32) / np.float32(side)
    return torch.from_numpy(fill_gaps(rows)).reshape(len(rows), -1, 2)


def head_values(corpus: Corpus, name: str) -> NDArray[np.float32]:
    """Measured head pose and blink of a clip, in the order of HEAD: [T, 7]."""
    blink = fill_gaps(np.asarray(corpus.column("blink", name), np.float32)[:, None])
    return np.concatenate([corpus.pose(name), blink], -1).astype(np.float32)
