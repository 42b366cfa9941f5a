"""Clips as another camera, head or rhythm might have shown them: what experts are trained on."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.training.augment import time_warp

MAX_SHIFT = 4  # frames by which a clip is moved in time, either way


def augment_mouths(mouths: Tensor) -> Tensor:
    """Clips as another camera might have seen them, from elsewhere too, each clip in its own way.

    Args:
        mouths: patches [B, T, 48, 48] or points [B, T, 81].

    Returns:
        of the same shape.
    """
    return _moved_points(mouths.float()) if mouths.ndim == 3 else _moved_patches(mouths.float())


def _shear(clips: int) -> Tensor:
    """What a head that is turned a little does to a mouth, roughly: [clips, 2, 2]."""
    return torch.eye(2) + 0.05 * torch.randn(clips, 2, 2)


def _moved_points(points: Tensor) -> Tensor:
    clips, frames = points.shape[:2]
    shear = _shear(clips)
    opening, lips = points[..., :1], points[..., 1:].reshape(clips, frames, -1, 2)
    # p' = A p for every point; the opening is a distance along y
    moved = torch.einsum("btkc,bdc->btkd", lips, shear).flatten(2)
    whole = torch.cat([opening * shear[:, None, 1:, 1], moved], -1)
    scale = 0.9 + 0.2 * torch.rand(clips, 1, 1)
    return whole * scale + 0.002 * torch.randn(points.shape)


def _moved_patches(patches: Tensor) -> Tensor:
    clips = len(patches)
    shear, angle = _shear(clips), 0.1 * torch.randn(clips)
    scale, flip = 1 + 0.06 * torch.randn(clips), 1 - 2.0 * torch.randint(0, 2, (clips,))
    cos, sin = angle.cos(), angle.sin()
    # M = s R(angle) A, mirrored by x' = -x in every other clip
    matrix = torch.stack([cos, -sin, sin, cos], -1).reshape(clips, 2, 2) @ shear
    matrix = matrix * scale[:, None, None]
    matrix[:, :, 0] *= flip[:, None]
    theta = torch.cat([matrix, 0.06 * torch.randn(clips, 2, 1)], -1)
    grid = F.affine_grid(theta, [clips, 1, *patches.shape[2:]], align_corners=False)
    moved = F.grid_sample(patches, grid, padding_mode="border", align_corners=False)
    # another exposure, I' = I^gamma, and noise
    gamma = (0.3 * torch.randn(clips, 1, 1, 1)).exp()
    noise = 6 * torch.rand(clips, 1, 1, 1) * torch.randn(patches.shape)
    return (moved / 255).clamp(1e-3).pow(gamma) * 255 + noise


def playback_positions(clips: int, frames: int, rhythm_fraction: float) -> Tensor:
    """At which of their frames clips are seen when they are played at another speed, or in
    another rhythm.

    Args:
        clips: how many.
        frames: of each.
        rhythm_fraction: of the clips that are played in another rhythm; the others are up to 15 %
            faster or slower.

    Returns:
        [clips, frames]
    """
    steps = (0.85 + 0.3 * torch.rand(clips, 1)).expand(-1, frames).clone()
    for k in torch.rand(clips).lt(rhythm_fraction).nonzero().flatten():
        seed = int(torch.randint(2**31, ()))
        steps[k] = torch.from_numpy(time_warp(frames, np.random.default_rng(seed)))
    positions = steps.cumsum(1) - steps
    # a clip that passes slowly is not seen to its end: it begins anywhere
    unseen = (frames - 1 - positions[:, -1:]).clamp(min=0)
    shift = (torch.rand(clips, 1) - 0.5) * 2 * MAX_SHIFT
    return positions + torch.rand(clips, 1) * unseen + shift


def take_nearest(rows: Tensor, positions: Tensor) -> Tensor:
    """Rows [B, T, ...] at positions [B, T'], the nearest frame each: [B, T', ...]."""
    index = positions.round().long().clamp(0, rows.shape[1] - 1)
    return torch.stack([row[i] for row, i in zip(rows, index, strict=True)])
