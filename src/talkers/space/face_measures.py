"""What key points of a face say: how far eyes are open, how wide the mouth is, what moves how."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

POINTS = 478  # key points of a face
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
MOUTH_CORNERS = (61, 291)
IRISES, LID_CORNERS = (468, 473), (33, 133, 362, 263)
IRIS_POINTS, IRIS_WEIGHT = slice(468, 478), 10.0
"""What eyes look at is read from ten key points, beside some hundred that lids move."""
LOOK = 0.05  # inter-ocular distances that irises move where eyes look aside by 1: some 20 degrees


class FaceClip(NamedTuple):
    """What is known of a clip from which the space is learnt.

    Attributes:
        points: [T, 478, 2] key points, shares of the frame's side.
        blink: [T] 0 open .. 1 closed.
        still: bool [T], frames in which nothing is said.
        blendshapes: [T, 52], 0..1.
    """

    points: Tensor
    blink: Tensor
    still: Tensor
    blendshapes: Tensor


def open_eyes(points: Tensor) -> Tensor:
    """How far eyes are open, on average over their lids: canonical [..., 478, 2] -> [...]."""
    return (points[..., list(LOWER_LIDS), 1] - points[..., list(UPPER_LIDS), 1]).mean(-1)


def mouth_width(points: Tensor) -> Tensor:
    """Canonical [..., 478, 2] -> [...]."""
    right, left = (points[..., corner, :] for corner in MOUTH_CORNERS)
    return (left - right).norm(dim=-1)


def within(ratio: Tensor, limits: tuple[float, float]) -> Tensor:
    """A ratio between limits; 1 where nothing was compared with nothing."""
    return ratio.nan_to_num(1.0).clamp(*limits)


def weights_of_reading(moved: Tensor) -> Tensor:
    """How much each key point says of what a face does, [478, 1]."""
    found = moved.new_ones(POINTS, 1)
    found[IRIS_POINTS] = IRIS_WEIGHT
    return found


def regressed(known: Tensor, moved: Tensor) -> Tensor:
    """How key points move with numbers that are known: [N, k] and [N, 478, 2] -> [k, 478, 2]."""
    # B = (K^T K + r I)^-1 K^T D
    gram = known.T @ known + 1e-6 * len(known) * torch.eye(known.shape[1])
    return torch.linalg.solve(gram, known.T @ moved.flatten(1)).reshape(-1, POINTS, 2)


def times(known: Tensor, movements: Tensor) -> Tensor:
    """[N, k] and [k, 478, 2] -> [N, 478, 2]."""
    return (known @ movements.flatten(1)).reshape(-1, POINTS, 2)


def looks(moved: Tensor) -> Tensor:
    """Where eyes look, to the person's left and up in units of `LOOK`: movements [N, 478, 2] of
    key points -> [N, 2]."""
    apart = moved[:, list(IRISES)].mean(1) - moved[:, list(LID_CORNERS)].mean(1)
    return apart * apart.new_tensor([1, -1]) / LOOK


def principal(moved: Tensor, count: int) -> Tensor:
    """The first principal movements of [N, 478, 2], each as long as one standard deviation."""
    flat = (moved - moved.mean(0)).flatten(1)
    values, axes = torch.linalg.eigh(flat.T @ flat / len(flat))
    lengths = values[-count:].flip(0).clamp(min=0).sqrt()
    return (axes[:, -count:].flip(1) * lengths).T.unflatten(-1, (POINTS, 2))
