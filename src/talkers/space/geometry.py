"""A face in space: key points, turned, scaled and shifted into the picture, and back.

A picture shows a face as x = s R(yaw, pitch, roll) (x_c + d) + t, with x_c the canonical key points
of the person, d how its expression moves them, and s, R, t scale, rotation and shift (LivePortrait,
equation 2). Canonical key points look straight ahead; their unit is the inter-ocular distance, and
the midpoint of the outer corners of the eyes is their origin. Depth points away from the camera.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Placement(NamedTuple):
    """Where a head is.

    Attributes:
        angles: [..., 3] yaw, pitch, roll in degrees, signs as in `HEAD`.
        shift: [..., 2] where the eyes' midpoint is, in the unit of the picture's points.
        scale: [..., 1] the inter-ocular distance of the head if it looked straight ahead.
    """

    angles: Tensor
    shift: Tensor
    scale: Tensor


def rotation(angles: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] of yaw, pitch and roll [..., 3] in degrees.

    R = R_z(roll) R_x(pitch) R_y(yaw): a nose in front of the origin goes to the picture's right
    with yaw, up with pitch, and the top of the head to the right with roll.
    """
    radians = torch.deg2rad(angles)
    (a, p, r), (b, q, u) = radians.sin().unbind(-1), radians.cos().unbind(-1)
    rows = [
        [u * b - r * p * a, -r * q, -u * a - r * p * b],
        [r * b + u * p * a, u * q, -r * a + u * p * b],
        [q * a, -p, q * b],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def angles_of(turned: Tensor) -> Tensor:
    """Yaw, pitch and roll in degrees [..., 3] of rotation matrices [..., 3, 3]."""
    pitch = -turned[..., 2, 1].clamp(-1, 1).asin()
    yaw = torch.atan2(turned[..., 2, 0], turned[..., 2, 2])
    roll = torch.atan2(-turned[..., 0, 1], turned[..., 1, 1])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], -1))


def fit_placement(points: Tensor, canonical: Tensor, weights: Tensor) -> Placement:
    """Where a head is, from key points in a picture: the scaled orthographic fit.

    Args:
        points: [..., N, 2] in the picture, x right and y down.
        canonical: [N, 3] canonical key points of the face, or of a mean face.
        weights: [N] how far each point is trusted: those that expressions move, little.
    """
    share = (weights / weights.sum())[:, None]
    centre, origin = (points * share).sum(-2, keepdim=True), (canonical * share).sum(-2)
    y, x = points - centre, canonical - origin
    # The affine map A [2, 3] with the least weighted |y - A x|: A = Y^T W X (X^T W X)^-1
    gram = (x * share).T @ x
    affine = torch.linalg.solve(gram, (x * share).T @ y).transpose(-1, -2)
    # The nearest s R: A = U S V^T, s = mean(S), and the first two rows of R are U V^T
    left, lengths, right = torch.linalg.svd(affine, full_matrices=False)
    scale = lengths.mean(-1, keepdim=True)
    two = left @ right
    third = torch.linalg.cross(two[..., 0, :], two[..., 1, :])
    turned = torch.cat([two, third[..., None, :]], -2)
    shift = centre[..., 0, :] - scale * (two @ origin)
    return Placement(angles_of(turned), shift, scale)


def project(canonical: Tensor, head: Placement) -> Tensor:
    """Canonical key points [..., N, 3] -> points in the picture [..., N, 2]."""
    turned = rotation(head.angles)[..., :2, :]
    return head.scale[..., None] * (canonical @ turned.transpose(-1, -2)) + head.shift[..., None, :]


def unproject(points: Tensor, depth: Tensor, head: Placement) -> Tensor:
    """Points in the picture -> canonical key points, of which the depth is known.

    Args:
        points: [..., N, 2].
        depth: [N] or [..., N] canonical depth.
        head: where the head is.

    Returns:
        [..., N, 3]; `project` gives the points again.
    """
    turned = rotation(head.angles)
    # y = R_xy x + R_z depth, so x = R_xy^-1 (y - R_z depth)
    y = (points - head.shift[..., None, :]) / head.scale[..., None]
    y = y - depth[..., None] * turned[..., None, :2, 2]
    inverse = torch.linalg.inv(turned[..., :2, :2])
    x = y @ inverse.transpose(-1, -2)
    return torch.cat([x, depth.expand(x.shape[:-1])[..., None]], -1)
