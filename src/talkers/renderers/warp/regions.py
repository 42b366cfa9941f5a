"""The regions of a face that are painted, and what is known of pictures there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.renderers.warp import patches
from talkers.renderers.warp.motion import sampled, spread
from talkers.renderers.warp.networks import CELL
from talkers.renderers.warp.patches import (
    SIDES,
    Region,
    line_maps,
    places,
    sides_of,
    visibility,
    widened_lids,
    within,
)
from talkers.space.geometry import Placement

MOUTH = Region(
    (0.0, 0.72, -0.2),
    0.62,
    72,
    (patches.OUTER_UPPER, patches.INNER_UPPER, patches.INNER_LOWER, patches.OUTER_LOWER),
    (1, 2),
)
RIGHT_EYE = Region(
    (-0.34, 0.0, 0.0),
    0.32,
    40,
    (patches.RIGHT_UPPER, patches.RIGHT_LOWER),
    (0, 1),
    patches.RIGHT_IRIS,
)
LEFT_EYE = Region(
    (0.34, 0.0, 0.0),
    0.32,
    40,
    (patches.LEFT_UPPER, patches.LEFT_LOWER),
    (0, 1),
    patches.LEFT_IRIS,
    mirrored=True,
)
EYES = (RIGHT_EYE, LEFT_EYE)

FINE = 2  # pixels of a patch to one of its motion

AROUND = 1.6  # of a region's half side: key points that say how it moves


class Look(NamedTuple):
    """A region of one or more pictures.

    Attributes:
        patch: [B, 3, P, P] what it shows.
        maps: [B, M, P, P] where its lines are.
    """

    patch: Tensor
    maps: Tensor


class Shown(NamedTuple):
    """What is known of pictures.

    Attributes:
        pictures: [B, 3, H, W].
        points: [B, 478, 2] key points, shares of the side.
        head: where the head is.
        far: [B, 478, 1] how far key points are, see `distance_of`.
    """

    pictures: Tensor
    points: Tensor
    head: Placement
    far: Tensor


class Moved(NamedTuple):
    """A region of frames before it is painted.

    Attributes:
        patch: [B, 3, P, P] of the source, moved.
        maps: [B, M, P, P] where the frames' lines are.
        steps: [B, 2, P / FINE, P / FINE] by how much what the frames show lies elsewhere in the
            source, shares of the side.
        depth: [B, 2, P / CELL, P / CELL] how far what frames and source show there is.
    """

    patch: Tensor
    maps: Tensor
    steps: Tensor
    depth: Tensor


def row(value: Any, k: int) -> Any:
    """One row of a tensor, or of each of a tuple's."""
    if isinstance(value, Placement):
        return Placement(*(part[k : k + 1] for part in value))
    return value[k : k + 1]


def look(region: Region, shown: Shown) -> Look:
    """What a region of pictures shows, and where its lines are."""
    patch = sampled(shown.pictures, places(region, shown.head))
    return Look(patch, line_maps(region, shown.head, shown.points))


def moved(
    region: Region, mean: Tensor, source: Shown, target: Shown, trust: Tensor | None = None
) -> Moved:
    """A region of the source, moved as in frames.

    Args:
        region: which.
        mean: [478, 2] canonical key points of the mean face.
        source: the picture that is moved, one or one a frame.
        target: the frames; only their key points matter.
        trust: [B, 478] of the key points, see `trust_of`.
    """
    at, maps = places(region, target.head), line_maps(region, target.head, target.points)
    own = within(region, source.head, source.points)[0]
    near = (own.abs().amax(-1) < AROUND).nonzero()[:, 0]
    sides = sides_of(region, mean)[near]
    near = near[sides.argsort(stable=True)]  # so that each side is a range
    ends = torch.bincount(sides, minlength=SIDES).cumsum(0).tolist()
    coarse = at.unfold(1, FINE, FINE).unfold(2, FINE, FINE).mean((-1, -2))
    seen = visibility(region, F.avg_pool2d(maps, FINE)).unbind(-1)
    ranges = [slice(a, b) for a, b in pairwise([0, *ends])]
    groups = list(zip(ranges, seen, strict=True))
    weights = None if trust is None else trust[:, near]
    steps = widened_lids(region, source.points, target.points, source.head.scale) - target.points
    far = source.far.expand_as(target.far)
    known = torch.cat([steps, target.far, far], -1)[:, near]
    known = spread(coarse.flatten(1, 2), target.points[:, near], known, weights, groups=groups)
    known = known.mT.reshape(len(at), -1, *coarse.shape[1:3])
    fine = F.interpolate(known[:, :2], scale_factor=FINE, mode="bilinear").permute(0, 2, 3, 1)
    depth = F.avg_pool2d(known[:, 2:], CELL // FINE)
    return Moved(sampled(source.pictures, at + fine), maps, known[:, :2], depth)
