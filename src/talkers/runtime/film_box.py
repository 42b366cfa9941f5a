"""A part of a film's picture as RGB, and what is added to it; the rest stays as it was stored."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.media.colour import Matrix, usual_matrix
from talkers.media.planes import is_stored, rgb_matrix, size_of, split

Picture = NDArray[np.uint8]  # planes [H * 3 / 2, W] or RGB [H, W, 3]
Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels


def even_box(box: Box) -> Box:
    """The box, grown to where colours are stored: at each second row and column."""
    left, top, right, bottom = box
    return left - left % 2, top - top % 2, right + right % 2, bottom + bottom % 2


def moved_box(box: Box, right: int, down: int) -> Box:
    """The box elsewhere."""
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def within_picture(box: Box, picture: Picture) -> Box:
    """The part of an even box that lies in a picture; of one beyond it, the nearest pixels."""
    height, width = size_of(picture)
    left, top = (max(0, min(a, b - 2)) for a, b in zip(box[:2], (width, height), strict=True))
    right, bottom = (min(b, max(a, 2)) for a, b in zip(box[2:], (width, height), strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def cut_out(picture: Picture, box: Box) -> Tensor:
    """A part of a picture; what lies beyond the picture repeats its edge.

    Args:
        picture: planes or RGB.
        box: of planes, with even corners (see `even_box`).

    Returns:
        float32 [3, h, w] in -1..1; beyond where a colour is stored that no screen shows.
    """
    if not is_stored(picture):
        square = torch.from_numpy(_part(picture, box))
        return square.permute(2, 0, 1).float().div_(127.5).sub_(1)
    light, colours = split(picture)
    y = torch.from_numpy(_part(light, box)).float()
    small = np.moveaxis(_part(np.moveaxis(colours, 0, -1), _half(box)), -1, 0)
    uv = torch.from_numpy(np.ascontiguousarray(small)).float()
    # R G B = M (Y U V 1); colours are worked out where they are stored
    matrix = _matrix(picture)[0]
    tint = (matrix[:, 1:3] @ uv.flatten(1)).reshape(3, *uv.shape[1:]) + matrix[:, 3, None, None]
    wide = tint.repeat_interleave(2, 2)[:, :, None]  # [3, h / 2, 1, w]
    pairs = y.reshape(1, -1, 2, y.shape[1])
    return torch.add(wide, pairs, alpha=float(matrix[0, 0])).reshape(3, *y.shape)


def added(picture: Picture, box: Box, change: Tensor) -> Picture:
    """A picture with a change in a box that lies in it.

    Args:
        picture: planes or RGB; it stays as it is.
        box: of planes, with even corners.
        change: [3, h, w], of RGB in -1..1.
    """
    out, (left, top, right, bottom) = picture.copy(), box
    if not is_stored(picture):
        part = out[top:bottom, left:right]
        part[:] = _levels(torch.from_numpy(part), change.permute(1, 2, 0) * 127.5)
        return out
    light, colours = split(out)
    back = _matrix(picture)[1]
    part = light[top:bottom, left:right]
    part[:] = _levels(torch.from_numpy(part), (back[:1] @ change.flatten(1)).reshape(part.shape))
    pairs = change[:, ::2] + change[:, 1::2]
    small = (pairs[..., ::2] + pairs[..., 1::2]).div_(4)
    part = colours[:, top // 2 : bottom // 2, left // 2 : right // 2]
    part[:] = _levels(torch.from_numpy(part), (back[1:] @ small.flatten(1)).reshape(part.shape))
    return out


def _levels(part: Tensor, change: Tensor) -> Picture:
    """uint8 and what is added to it -> uint8."""
    return np.asarray(torch.add(change, part).round_().clamp_(0, 255).byte().numpy())


def _half(box: Box) -> Box:
    left, top, right, bottom = (side // 2 for side in box)
    return left, top, right, bottom


def _part(array: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """[H, W, ...] -> its part, contiguous; beyond the array its edge goes on."""
    (height, width), (left, top, right, bottom) = array.shape[:2], box
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(array[top:bottom, left:right])
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    return array[rows].take(np.clip(np.arange(left, right), 0, width - 1), 1)


def _matrix(picture: Picture) -> tuple[Tensor, Tensor]:
    height, width = size_of(picture)
    return _matrices(usual_matrix(width, height))


@cache
def _matrices(matrix: Matrix) -> tuple[Tensor, Tensor]:
    """Y U V 1 -> RGB [3, 4], and changes of RGB -> changes of Y U V [3, 3]."""
    there = torch.from_numpy(rgb_matrix(matrix))
    return there, torch.linalg.inv(there[:, :3])
