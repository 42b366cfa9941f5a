"""Dense motion: where each pixel of a picture comes from, given how key points move.

Key points say how a face moves. Hair moves with the head, shoulders follow it a little, and the
picture's border stays, as does what lies behind. The motion of everything between is a weighted
mean (Shepard 1968), so that no network is needed, and none can drift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.space.geometry import Placement, project, rotation, unproject

NEAR = 0.004  # shares of the side: within it a key point has the whole say
SOFT = 0.02  # likewise, where motion is worked out in few places
NEIGHBOURS = 16  # key points around one that say which way the face looks there
TURNED, FACING = 0.0, 0.3  # of a normal's share towards the camera: seen not at all, and wholly
FACE_WEIGHT = 0.1  # of a face's key point beside those around it: there are hundreds
THIN = 3  # of so many key points one says how a whole frame moves
HEAD_RINGS = ((1.05, 1.35, 0.65), (1.3, 1.7, 0.85))  # half width, half height and depth of rings
HEAD_MIDDLE = 0.15  # of the rings, below the eyes
RING_POINTS = 40
SHOULDERS = ((-2.0, 2.9), (-1.1, 2.5), (0.0, 2.3), (1.1, 2.5), (2.0, 2.9))
SHOULDER_SHARE = 0.3  # of the head's shift that they follow
GROUND = (2.2, 2.6)  # half width and half height of the ring from which the background stays
BORDER_POINTS = 8  # a side
COARSE = 33  # places a side where motion is worked out


def head_ring() -> Tensor:
    """Canonical points around a head, which move as it does: [R, 3]."""
    angles = torch.arange(RING_POINTS) * (2 * math.pi / RING_POINTS)
    rings = [
        torch.stack([w * angles.sin(), HEAD_MIDDLE + h * angles.cos(), torch.full_like(angles, d)])
        for w, h, d in HEAD_RINGS
    ]
    return torch.cat(rings, 1).T


def ground_ring() -> Tensor:
    """Canonical places above and beside a head's rest, which stay: [R, 2]."""
    angles = (torch.arange(RING_POINTS) / (RING_POINTS - 1) - 0.5) * 1.3 * math.pi
    width, height = GROUND
    return torch.stack([width * angles.sin(), HEAD_MIDDLE - height * angles.cos()], 1)


def border() -> Tensor:
    """Points of a picture's border, which stay: [4 BORDER_POINTS, 2]."""
    line = (torch.arange(BORDER_POINTS) + 0.5) / BORDER_POINTS
    low, high = torch.zeros_like(line), torch.ones_like(line)
    sides = [(line, low), (line, high), (low, line), (high, line)]
    return torch.cat([torch.stack(side, 1) for side in sides])


def normals_of(canonical: Tensor) -> Tensor:
    """Which way a face looks at its key points, out of it: [N, 3] -> unit vectors [N, 3]."""
    near = torch.cdist(canonical, canonical).topk(NEIGHBOURS, largest=False).indices
    around = canonical[near] - canonical[near].mean(1, keepdim=True)
    # the direction in which neighbours are spread least; depth points away from the camera
    normals = torch.linalg.svd(around, full_matrices=False).Vh[:, -1]
    out = canonical - canonical.mean(0) - canonical.new_tensor([0, 0, canonical[:, 2].std() * 2])
    return normals * torch.where((normals * out).sum(-1, keepdim=True) < 0, -1.0, 1.0)


def trust_of(normals: Tensor, head: Placement) -> Tensor:
    """How far key points are seen and not turned away: normals [N, 3] -> [B, N], 0..1."""
    towards = -(rotation(head.angles)[..., 2, :] @ normals.T)
    share = ((towards - TURNED) / (FACING - TURNED)).clamp(0, 1)
    return share.square() * (3 - 2 * share)


def spread(
    places: Tensor,
    knots: Tensor,
    values: Tensor,
    weights: Tensor | None = None,
    soft: float = NEAR,
    groups: Sequence[tuple[slice, Tensor]] | None = None,
) -> Tensor:
    """What is known at some points, for all places: a mean weighted by how near they are.

    Args:
        places: [B, Q, 2] or [1, Q, 2], shares of the side.
        knots: [B, N, 2] the points.
        values: [B, N, C] at them.
        weights: [B, N] of the points (default: all alike).
        soft: shares of the side within which a point has the whole say.
        groups: ranges of points, and how far those of each have a say at places [B, Q].

    Returns:
        [B, Q, C]
    """
    if len(knots) > 1 and not torch.is_grad_enabled() and knots.device.type == "cpu":
        # what one row needs stays in a core's cache
        ground, found = places.expand(len(knots), -1, -1), []
        for k in range(len(knots)):
            one = slice(k, k + 1)
            share = None if groups is None else [(some, part[one]) for some, part in groups]
            own = None if weights is None else weights[one]
            found.append(spread(ground[one], knots[one], values[one], own, soft, share))
        return torch.cat(found)
    # |q - t|^2 = |q|^2 + |t|^2 - 2 q t
    apart = places.square().sum(-1)[..., None] + knots.square().sum(-1)[:, None]
    apart = torch.baddbmm(apart, places.expand(len(knots), -1, -1), knots.mT, alpha=-2)
    # v(q) = sum_i w_i v_i / sum_i w_i, w_i = 1 / (|q - t_i|^2 + e^2)^2
    near = apart.clamp_(min=0).add_(soft**2).reciprocal_().square_()
    known = torch.cat([values, torch.ones_like(values[..., :1])], -1)
    if weights is not None:
        known = known * weights[..., None]
    if groups is None:
        total = near @ known
    else:
        parts = [share[..., None] * (near[..., some] @ known[:, some]) for some, share in groups]
        total = torch.stack(parts).sum(0)
    return total[..., :-1] / total[..., -1:]


def distance_of(points: Tensor, depth: Tensor, head: Placement) -> Tensor:
    """How far key points are from the camera, beside the head's origin, in inter-ocular distances.

    Args:
        points: [B, N, 2] in the picture.
        depth: [N] canonical depth.
        head: of the pictures.

    Returns:
        [B, N, 1]
    """
    return unproject(points, depth, head) @ rotation(head.angles)[..., 2, :, None]


def whole_motion(
    target: Tensor,
    source: Tensor,
    heads: tuple[Placement, Placement],
    trust: Tensor | None = None,
    side: int = COARSE,
    held: bool = True,
    closely: float | None = None,
    part: tuple[slice, slice] = (slice(None), slice(None)),
) -> Tensor:
    """Where the pixels of whole frames come from.

    Args:
        target: [B, 478, 2] key points in the frames, shares of the side.
        source: [1, 478, 2] in the source picture, or [B, 478, 2] in one a frame.
        heads: where the head is in the frames and in the source picture.
        trust: [B, 478] of the key points, 0..1; see `trust_of` (default: 1).
        side: of the grid.
        held: whether what lies behind is held in its place. If not, it is to be drawn apart.
        closely: shares of the side within which a key point has the whole say, where every one has
            its say, down to lips and lids; `NEAR` lies close to them, and less than a grid's step
            leaves dents along outlines. None: few of them say how the whole moves.
        part: rows and columns of the grid that are wanted.

    Returns:
        by how much they lie elsewhere, for a coarse grid: [B, G, G, 2] shares of the side.
    """
    device, count = target.device, len(target)
    thin, soft = (THIN, SOFT) if closely is None else (1, closely)
    target, source = target[:, ::thin], source[:, ::thin]
    ring, edge = head_ring().to(device), border().to(device)[None]
    there, here = project(ring, heads[0]), project(ring, heads[1])
    flat = torch.tensor(SHOULDERS, device=device)
    resting = heads[1].scale[..., None] * flat + heads[1].shift[..., None, :]
    follow = SHOULDER_SHARE * (heads[0].shift - heads[1].shift)[..., None, :]
    shoulders = resting + follow
    still = edge
    if held:
        ground = heads[1].scale[..., None] * ground_ring().to(device) + heads[1].shift[..., None, :]
        still = torch.cat([ground, edge.expand(len(ground), -1, -1)], 1)
    targets = torch.cat([target, there, shoulders, still.expand(count, -1, -1)], 1)
    sources = torch.cat([source, here, resting, still], 1)
    weights = torch.ones(count, targets.shape[1], device=device)
    weights[:, : target.shape[1]] = thin * FACE_WEIGHT
    if trust is not None:
        weights[:, : target.shape[1]] *= trust[:, ::thin]
    line = torch.linspace(0, 1, side, device=device)
    grid = torch.stack(torch.meshgrid(line[part[1]], line[part[0]], indexing="xy"), -1)
    steps = spread(grid.reshape(1, -1, 2), targets, sources - targets, weights, soft)
    return steps.reshape(count, *grid.shape)


def pixel_places(size: int, device: torch.device) -> Tensor:
    """The middles of a picture's pixels, shares of the side: [size, size, 2]."""
    line = (torch.arange(size, device=device) + 0.5) / size
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def enlarged(motion: Tensor, size: int) -> Tensor:
    """Coarse motion [B, G, G, 2] for every pixel of a frame: [B, size, size, 2]."""
    grid = (pixel_places(size, motion.device) * 2 - 1).expand(len(motion), -1, -1, -1)
    planes = motion.permute(0, 3, 1, 2)
    return F.grid_sample(planes, grid, align_corners=True).permute(0, 2, 3, 1)


def sampled(pictures: Tensor, places: Tensor) -> Tensor:
    """What pictures [B or 1, C, H, W] show at places [B, h, w, 2] (shares): [B, C, h, w]."""
    if len(pictures) != len(places):
        pictures = pictures.expand(len(places), -1, -1, -1)
    return F.grid_sample(pictures, places * 2 - 1, padding_mode="border", align_corners=False)


def exactly(like: Tensor) -> torch.autocast:
    """No mixed precision: places and distances between key points need all their digits."""
    return torch.autocast(like.device.type, enabled=False)
