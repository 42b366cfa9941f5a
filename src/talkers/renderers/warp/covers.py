"""Where a dubbed frame may change, and where another frame's lips are shown in it.

Both are soft shapes, drawn small from the face's mesh; `Cover.levels` enlarges a part of one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from talkers.renderers.warp.patches import OUTER_LOWER, OUTER_UPPER

JAW = (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)
CHEEKS = (187, 205, 98, 2, 327, 425, 411)  # from the picture's left to its right, below the nose
LIPS = (*OUTER_UPPER, *OUTER_LOWER[::-1])
GROWN, SOFT = 0.14, 0.07  # inter-ocular distances: a face's shape reaches beyond the mesh, softly
LIPS_GROWN, LIPS_SOFT = 0.16, 0.08  # likewise, of lips
EDGE, LIPS_EDGE = 40, 20  # of 255: what is blurred over its edge has grown by the blur's width
SIDE = 160  # pixels of the square in which they are drawn
NOTHING = 0.02  # below it a cover is 0

Box = tuple[int, int, int, int]  # left, top, right, bottom


class Cover(NamedTuple):
    """A soft shape in a square picture.

    Attributes:
        drawn: [SIDE, SIDE], 0..1, of the whole picture; exactly 0 outside of the shape.
        rows, columns: of `drawn` between which the shape lies.
    """

    drawn: Tensor
    rows: slice
    columns: slice

    def box(self, size: int) -> Box:
        """Pixels of a picture of a side beyond which the shape is 0."""
        step = size / SIDE
        return (
            math.floor((self.columns.start - 0.5) * step),
            math.floor((self.rows.start - 0.5) * step),
            math.ceil((self.columns.stop + 0.5) * step),
            math.ceil((self.rows.stop + 0.5) * step),
        )

    def levels(self, box: Box, size: int) -> Tensor:
        """The shape in a box of a picture of a side: [h, w], 0..1."""
        left, top, right, bottom = box
        down = weights_along(top, bottom, size, SIDE, self.drawn.device)[:, self.rows]
        across = weights_along(left, right, size, SIDE, self.drawn.device)[:, self.columns]
        return down @ self.drawn[self.rows, self.columns] @ across.T


def weights_along(first: int, last: int, size: int, count: int, device: torch.device) -> Tensor:
    """What enlarges a line of so many values to pixels of a side: [last - first, count]."""
    middles = (torch.arange(first, last, device=device) + 0.5) * (count / size) - 0.5
    return linear_weights(middles.clamp(0, count - 1), count)


def linear_weights(positions: Tensor, count: int) -> Tensor:
    """Shares of a line's values at positions between them: [n] -> [n, count]."""
    apart = positions[:, None] - torch.arange(count, device=positions.device)
    return (1 - apart.abs()).clamp(min=0)


def face_cover(points: Tensor, wanted: Tensor, scale: float) -> Cover:
    """Where a picture may change: the mesh's lower face, grown, as it was and as it will be.

    Args:
        points: [478, 2] key points of the picture, shares of the side.
        wanted: [478, 2] where they are to be.
        scale: inter-ocular distance, likewise.
    """
    outline = [*JAW, *CHEEKS]
    levels = _drawn([points[outline], wanted[outline]], scale, (GROWN, SOFT), EDGE)
    return _cover(((levels - NOTHING) / (1 - 2 * NOTHING)).clip(0, 1), points.device)


def lips_cover(wanted: Tensor, scale: float) -> Cover:
    """Where another picture's lips are shown: lips [478, 2] of the frame, grown."""
    levels = _drawn([wanted[list(LIPS)]], scale, (LIPS_GROWN, LIPS_SOFT), LIPS_EDGE)
    return _cover(levels, wanted.device)


def _drawn(
    shapes: list[Tensor], scale: float, widths: tuple[float, float], edge: int
) -> np.ndarray:
    """Shapes, grown and then blurred: float32 [SIDE, SIDE], 0..1."""
    canvas = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(canvas)
    for shape in shapes:
        draw.polygon([(x, y) for x, y in (shape * SIDE).tolist()], fill=255)
    grown, soft = (ImageFilter.GaussianBlur(width * scale * SIDE) for width in widths)
    canvas = canvas.filter(grown).point(lambda level: 255 if level > edge else 0).filter(soft)
    return np.asarray(canvas, np.float32) / 255


def _cover(levels: np.ndarray, device: torch.device) -> Cover:
    rows, columns = (np.flatnonzero(levels.any(axis)) for axis in (1, 0))
    found = [slice(int(a[0]), int(a[-1]) + 1) if len(a) else slice(0, 0) for a in (rows, columns)]
    return Cover(torch.from_numpy(levels).to(device), *found)
