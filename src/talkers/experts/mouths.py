"""What the experts look at: the mouth, cut out in the frame of the eyes, so that neither head nor
camera matters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from talkers.face.landmarks import EYE_CORNERS, LIPS, lip_shape

PATCH = 48  # side of a mouth patch, pixels
PATCH_SPAN = 0.95  # side of the square that is cut, in inter-ocular distances
SMOOTHED_FRAMES = 9
"""Over which the patch's place is averaged, so that it follows the head and not the lips."""


class Mouths(NamedTuple):
    """A clip's mouth.

    Attributes:
        patches: uint8 [T, 48, 48], grey.
        points: float32 [T, 81], see `lip_shape`.
    """

    patches: NDArray[np.uint8]
    points: NDArray[np.float32]


def _smooth(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average over SMOOTHED_FRAMES rows, edges repeated: [T, k] -> [T, k]."""
    half = SMOOTHED_FRAMES // 2
    padded = np.pad(rows, ((half, half), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros_like(rows[:1]), padded]), 0)
    return np.asarray((total[SMOOTHED_FRAMES:] - total[:-SMOOTHED_FRAMES]) / SMOOTHED_FRAMES)


def mouths_of(frames: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Mouths:
    """The mouth of a clip.

    Args:
        frames: [T, H, W, 3] RGB.
        landmarks: [T, 478, 2] in pixels of the frames, without gaps.
    """
    right, left = (landmarks[:, corner].astype(np.float64) for corner in EYE_CORNERS)
    lips = landmarks[:, list(LIPS)].mean(1)
    place = _smooth(np.concatenate([lips, left - right], -1))
    centre, across = place[:, :2], place[:, 2:] * (PATCH_SPAN / 2)
    # a quarter turn from the line of the eyes towards the chin
    down = np.stack([-across[:, 1], across[:, 0]], -1)
    # affine_grid maps (u, v) in -1..1 of the patch to -1..1 of the frame:
    # p(u, v) = (2 (u across + v down) + 2 centre + 1) / (width, height) - 1
    height, width = frames.shape[1:3]
    scale = np.array([2 / width, 2 / height])
    offset = (2 * centre + 1) / np.array([width, height]) - 1
    theta = np.stack([across * scale, down * scale, offset], -1)  # [T, 2, 3]
    shape = [len(frames), 1, PATCH, PATCH]
    grid = F.affine_grid(torch.from_numpy(theta).float(), shape, align_corners=False)
    grey = torch.stack([frame.float().mean(-1) for frame in torch.from_numpy(frames)])[:, None]
    patches = F.grid_sample(
        grey, grid, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
    return Mouths(patches.round().clamp(0, 255).to(torch.uint8).numpy(), lip_shape(landmarks))
