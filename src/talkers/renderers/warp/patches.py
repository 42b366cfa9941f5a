"""Mouth and eyes as squares of their own that go along with the head, and the lines in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from talkers.space.face_measures import IRIS_POINTS
from talkers.space.geometry import Placement, project, rotation

# Lines of MediaPipe's face mesh, from the picture's left to its right.
INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
RIGHT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)  # from the outer corner, as mirrored
LEFT_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_IRIS, LEFT_IRIS = 468, 473
LINE_REACH = 0.15  # of a patch's half side: how far from a line its map says how far
IRIS_REACH = 0.35
SHARP = 0.2  # of the reach of a line's map, over which what lies above goes over into below
LID_EDGE = 0.035  # inter-ocular distances from where a lid is tracked to where it ends, at most
SIDES = 4
BESIDE, ABOVE, BELOW, INSIDE = range(SIDES)
FEATHER = 0.25  # of a patch's half side, over which it goes over into the frame


@dataclass(frozen=True)
class Region:
    """A square of the face that moves with the head.

    Attributes:
        middle: canonical place of its middle, in inter-ocular distances.
        half: half its side, likewise.
        size: its side in pixels of a patch.
        lines: pairs or more of key points each, whose places a network is told.
        opening: which of them bound what opens and closes, above and below.
        iris: key point of the iris, or None.
        mirrored: whether the patch is held mirrored, so that both eyes look alike.
    """

    middle: tuple[float, float, float]
    half: float
    size: int
    lines: tuple[tuple[int, ...], ...]
    opening: tuple[int, int]
    iris: int | None = None
    mirrored: bool = False

    @property
    def maps(self) -> int:
        """How many maps say where its lines are."""
        return len(self.lines) + (self.iris is not None)

    @property
    def points(self) -> list[int]:
        """Key points of its lines, then that of its iris: those of both eyes in the same order."""
        known = [point for line in self.lines for point in line]
        return list(dict.fromkeys(known + ([] if self.iris is None else [self.iris])))


def places(region: Region, head: Placement) -> Tensor:
    """Where a region's pixels lie in the frame: [B, size, size, 2], shares of the side.

    The square turns with the head's roll and grows with its scale; a turn to the side moves it.
    """
    device = head.angles.device
    middle = project(torch.tensor([region.middle], device=device), head)  # [B, 1, 2]
    line = (torch.arange(region.size, device=device) + 0.5) / region.size * 2 - 1
    across = -line if region.mirrored else line
    square = torch.stack(torch.meshgrid(across, line, indexing="xy"), -1).reshape(-1, 2)
    flat = head.angles.clone()
    flat[..., :2] = 0
    turn = rotation(flat)[..., :2, :2]
    spread = region.half * head.scale[..., None] * (square @ turn.mT) + middle
    return spread.reshape(-1, region.size, region.size, 2)


def within(region: Region, head: Placement, points: Tensor) -> Tensor:
    """Points of frames [B, N, 2] in the region's own square, whose corners are -1 and 1."""
    middle = project(torch.tensor([region.middle], device=points.device), head)
    flat = head.angles.clone()
    flat[..., :2] = 0
    turn = rotation(flat)[..., :2, :2]
    own = (points - middle) @ turn / (region.half * head.scale[..., None])
    return own * torch.tensor([-1.0 if region.mirrored else 1.0, 1.0], device=points.device)


def line_maps(region: Region, head: Placement, points: Tensor) -> Tensor:
    """How far each pixel is above or below the region's lines, and how near the iris.

    Args:
        region: where.
        head: of the frames.
        points: [B, 478, 2] key points of the frames, shares of the side.

    Returns:
        [B, maps, size, size], -1 (far above) .. 1 (far below), and 0..1 for the iris.
    """
    own, size = within(region, head, points), region.size
    line = (torch.arange(size, device=points.device) + 0.5) / size * 2 - 1
    found = []
    for indices in region.lines:
        knots = own[:, list(indices)]
        # a head turned far may fold a line: its places must rise for it to be read along x
        across = knots[..., 0].cummax(1).values + 1e-4 * torch.arange(
            len(indices), device=points.device
        )
        height = _along(line, across, knots[..., 1])  # [B, size]
        found.append(((line[:, None] - height[:, None]) / LINE_REACH).clamp(-1, 1))
    if region.iris is not None:
        middle = own[:, region.iris, None, None]  # [B, 1, 1, 2]
        square = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
        far = (square - middle).norm(dim=-1) / IRIS_REACH
        found.append((1 - far).clamp(min=0))
    return torch.stack(found, 1)


def sides_of(region: Region, canonical: Tensor) -> Tensor:
    """Which key points lie above and which below what opens and closes in a region.

    Args:
        region: where.
        canonical: [478, 2] of a mean face.

    Returns:
        int [478]: `ABOVE`, `BELOW`, `INSIDE` (irises), or `BESIDE`.
    """
    own = (canonical - canonical.new_tensor(region.middle[:2])) / region.half
    own = own * own.new_tensor([-1.0 if region.mirrored else 1.0, 1.0])
    upper, lower = (list(region.lines[k]) for k in region.opening)
    heights = [
        _along(own[:, 0], own[None, line, 0], own[None, line, 1])[0] for line in (upper, lower)
    ]
    found = torch.where(own[:, 1] < sum(heights) / 2, ABOVE, BELOW)
    found[upper], found[lower] = ABOVE, BELOW
    first, last = own[upper[0], 0], own[upper[-1], 0]
    found[(own[:, 0] <= first) | (own[:, 0] >= last)] = BESIDE
    found[IRIS_POINTS] = INSIDE
    return found


def visibility(region: Region, maps: Tensor) -> Tensor:
    """How far key points of each side have a say at places: not those beyond a closed opening.

    Where lids or lips meet, points of both lie at one place. The upper ones alone say what is seen
    above it, and the lower ones below it; else the eye would be seen through the lid.

    Args:
        region: where.
        maps: [B, M, h, w] where its lines are, see `line_maps`.

    Returns:
        [B, h w, 4], by the sides `BESIDE`, `ABOVE`, `BELOW` and `INSIDE`
    """
    upper, lower = (maps[:, k].flatten(1) for k in region.opening)
    over, under = (0.5 - upper / SHARP).clamp(0, 1), (0.5 + lower / SHARP).clamp(0, 1)
    kinds = [torch.ones_like(over), 1 - under, 1 - over, (1 - over) * (1 - under)]
    return torch.stack(kinds, -1)


def widened_lids(region: Region, source: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """Key points of pictures, lids farther apart as far as they close.

    A face tracker sees lids where the eye ends, or within it. Those that meet would leave a line
    of the eye between them.

    Args:
        region: where; one without an iris keeps its points.
        source: [B or 1, 478, 2] key points of the pictures.
        target: [B, 478, 2] of the frames.
        scale: [B or 1, 1] inter-ocular distances in the pictures.

    Returns:
        [B, 478, 2]
    """
    found = source.expand_as(target)
    if region.iris is None:
        return found
    upper, lower = (list(region.lines[k][1:-1]) for k in region.opening)
    across = source[:, upper] - source[:, lower]
    was = across.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    now = (target[:, upper] - target[:, lower]).norm(dim=-1, keepdim=True)
    closed = 1 - now.mean(1, keepdim=True) / was.mean(1, keepdim=True)
    step = LID_EDGE * scale[:, None] * closed.clamp(0, 1) * across / was
    found = found.clone()
    found[:, upper] += step
    found[:, lower] -= step
    return found


def _along(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Values [B, K] at rising knots [B, K], interpolated at x [n]: [B, n]; beyond them the last."""
    wanted = x.expand(len(knots), -1).contiguous()
    above = torch.searchsorted(knots.contiguous(), wanted).clamp(1, knots.shape[1] - 1)
    low, high = knots.gather(1, above - 1), knots.gather(1, above)
    share = ((wanted - low) / (high - low)).clamp(0, 1)
    return torch.lerp(values.gather(1, above - 1), values.gather(1, above), share)


def feather(size: int, device: torch.device) -> Tensor:
    """How far a patch covers the frame: 1 in its middle, 0 on its edge; [1, size, size]."""
    line = ((torch.arange(size, device=device) + 0.5) / size * 2 - 1).abs()
    edge = ((1 - line) / FEATHER).clamp(0, 1)
    smooth = edge.square() * (3 - 2 * edge)
    return (smooth[:, None] * smooth)[None]
