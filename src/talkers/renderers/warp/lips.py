"""A film's own frames with other lips: the lower face moves, and the mouth is painted anew.

The frame itself is moved, so that light, pose and skin are its own. The lips are moved from another
frame of the film, a donor, whose mouth is like the wanted one (IP_LAP, section 3.3): the frame's
own would let its old words shine through. They are brought to the frame's light. Only the network's
part is made in the small square of the mouth; whatever is moved is taken from the film's own
pixels, so that a large film stays as sharp as it was. Only pixels under the mask are worked on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from talkers.renderers.warp.covers import Box, Cover, face_cover, linear_weights, lips_cover
from talkers.renderers.warp.motion import distance_of, sampled, whole_motion
from talkers.renderers.warp.patches import places, within
from talkers.renderers.warp.regions import FINE, MOUTH, Look, Shown, look, moved, row
from talkers.renderers.warp.renderer import WarpRenderer
from talkers.space.geometry import Placement

LIGHT_SIDE = 24  # places a side in which light is compared
SIDE = 41  # places a side where motion is worked out
SOFT = 0.04  # shares of the side within which a key point has the whole say


class Lips(NamedTuple):
    """A picture of a person, and the mouth in it.

    Attributes:
        shown: the picture.
        look: the mouth.
    """

    shown: Shown
    look: Look


class Plan(NamedTuple):
    """What is to change in B frames; their pictures are not needed to say it.

    Attributes:
        head: of the frames.
        covers: where each may change.
        lips: where each shows the donor's lips.
        steps: [B, g, h, 2] by how much what the frames show lies elsewhere in them, in a part of a
            grid of `SIDE` places a side.
        corner: row and column of the part's first place.
        spots: [B, P, P, 2] places of the mouth's square.
        mouth: [B, 5, P, P] in that square: by how much what it shows lies elsewhere in the donor,
            and what is added to that.
        patch: [B, 3, P, P] the mouth so made.
        around: for each frame left, top, right and bottom of the square, and how far its steps are.
        donor: whose lips are taken.
    """

    head: Placement
    covers: list[Cover]
    lips: list[Cover]
    steps: Tensor
    corner: tuple[int, int]
    spots: Tensor
    mouth: Tensor
    patch: Tensor
    around: list[list[float]]
    donor: Shown

    def needed(self, k: int, box: Box, size: int) -> Box:
        """Pixels of a frame from which a box of it is made.

        Args:
            k: which frame.
            box: of it, in pixels.
            size: side of the frame's square.
        """
        left, top, right, bottom, far = (value * size for value in self.around[k])
        return (
            math.floor(min(box[0], left) - far) - 1,
            math.floor(min(box[1], top) - far) - 1,
            math.ceil(max(box[2], right) + far) + 1,
            math.ceil(max(box[3], bottom) + far) + 1,
        )


class Part(NamedTuple):
    """A part of a frame's square that is to change.

    Attributes:
        picture: [3, h, w] in -1..1, with all pixels that `Plan.needed` names within the square.
        corner: its left and top in the square, pixels.
        box: left, top, right and bottom of what changes, likewise.
        size: side of the square, pixels.
        share: how far the donor's lips are taken; the rest are the frame's own.
    """

    picture: Tensor
    corner: tuple[int, int]
    box: Box
    size: int
    share: float


class LipPainter:
    """Paints other lips into pictures of a person.

    Args:
        renderer: a warping renderer, with its space.
    """

    def __init__(self, renderer: WarpRenderer):
        self.renderer, self.space = renderer, renderer.space

    def lips(self, picture: Tensor, points: Tensor) -> Lips:
        """What is known of a picture and the mouth in it.

        Args:
            picture: [3, S, S] in -1..1, cut around the face.
            points: [478, 2] key points, shares of the side.
        """
        points = points[None]
        shown = self._shown(picture[None], points, self.space.placement(points))
        return Lips(shown, look(MOUTH, shown))

    def _shown(self, pictures: Tensor, points: Tensor, head: Placement) -> Shown:
        return Shown(pictures, points, head, distance_of(points, self.space.depth, head))

    @torch.inference_mode()
    def plan(self, points: Tensor, wanted: Tensor, donor: Lips, widest: Lips) -> Plan:
        """What is to change in frames whose lower face is to be another.

        Args:
            points: [B, 478, 2] key points of the frames, shares of the side.
            wanted: [B, 478, 2] where they are to be.
            donor: another picture of the person, whose lips are taken.
            widest: a mouth of the person that shows the teeth.
        """
        head = self.space.placement(points)
        target = self._shown(points[:, :0], wanted, head)
        scales = head.scale[:, 0].tolist()
        covers = [face_cover(*three) for three in zip(points, wanted, scales, strict=True)]
        lips = [lips_cover(*both) for both in zip(wanted, scales, strict=True)]
        spots = places(MOUTH, head)
        rows, columns = _grid_part(covers, spots)
        both = head, head
        part = rows, columns
        steps = whole_motion(wanted, points, both, side=SIDE, closely=SOFT, part=part)
        found = moved(MOUTH, self.space.mean, donor.shown, target)
        added = self.renderer.added_to_mouth(found, donor.look, widest.look)
        fine = F.interpolate(found.steps, scale_factor=FINE, mode="bilinear")
        patch = (found.patch + added).clamp(-1, 1)
        mouth = torch.cat([fine, added], 1)
        far = steps.abs().amax((1, 2, 3))[:, None]
        around = torch.cat([spots.amin((1, 2)), spots.amax((1, 2)), far], 1).tolist()
        corner = rows.start, columns.start
        return Plan(head, covers, lips, steps, corner, spots, mouth, patch, around, donor.shown)

    @torch.inference_mode()
    def changes(self, plan: Plan, parts: list[Part]) -> list[Tensor]:
        """By how much pixels of frames change; beyond their covers they do not.

        Args:
            plan: of the frames.
            parts: of each.

        Returns:
            for each frame [3, h, w], for the pixels of its box.
        """
        mouths = plan.mouth.clone()
        mouths[:, 2:] += self._light(plan, parts)
        return [self._change(plan, k, part, mouths[k : k + 1]) for k, part in enumerate(parts)]

    def _change(self, plan: Plan, k: int, part: Part, mouth: Tensor) -> Tensor:
        """See `changes`; mouth: [1, 5, P, P] in the frame's light."""
        picture, (left, top, right, bottom), size = part.picture, part.box, part.size
        x, y = _middles(part.box, size, picture.device)
        # I'(q) = I(q + d(q))
        grid = _enlarged(plan.steps[k], plan.corner, x, y, _own_unit(part))
        frame = F.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]
        self._put_lips(frame, plan, k, part, mouth)
        first, second = part.corner
        own = picture[:, top - second : bottom - second, left - first : right - first]
        return frame.sub_(own).mul_(plan.covers[k].levels(part.box, size))

    def _light(self, plan: Plan, parts: list[Part]) -> Tensor:
        """How much lighter frames are around their lips than the made mouths: [B, 3, P, P]."""
        spots, (rows, columns) = plan.spots, plan.steps.shape[1:3]
        drawn = torch.stack([lips.drawn for lips in plan.lips])[:, None]
        known = 1 - F.grid_sample(drawn, spots * 2 - 1, align_corners=False)
        places_in = spots * (SIDE - 1) - spots.new_tensor(plan.corner[::-1])
        places_in = places_in / spots.new_tensor([columns - 1, rows - 1]) * 2 - 1
        field = plan.steps.permute(0, 3, 1, 2)
        steps = F.grid_sample(field, places_in, padding_mode="border", align_corners=True)
        origin, under = spots + steps.permute(0, 2, 3, 1), []
        for k, part in enumerate(parts):
            factor, offset = _own_unit(part)
            own = origin[k : k + 1] * spots.new_tensor(factor) + spots.new_tensor(offset)
            under.append(
                F.grid_sample(part.picture[None], own, padding_mode="border", align_corners=False)
            )
        return _spread_in(torch.cat(under) - plan.patch, known)

    def _put_lips(self, frame: Tensor, plan: Plan, k: int, part: Part, mouth: Tensor) -> None:
        """Put a donor's mouth, and what is added to it, into a part's frame [3, h, w], so far."""
        box, spot = part.box, plan.lips[k].box(part.size)
        left, top = (max(a, b) for a, b in zip(box[:2], spot[:2], strict=True))
        right, bottom = (min(a, b) for a, b in zip(box[2:], spot[2:], strict=True))
        if left >= right or top >= bottom:
            return
        inner = left, top, right, bottom
        x, y = _middles(inner, part.size, frame.device)
        # within() is affine: where it takes three corners says it for all pixels
        corners = x.new_tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
        origin, along_x, along_y = within(MOUTH, row(plan.head, k), corners)[0]
        own = (origin + x[:, None] * (along_x - origin)) + (y[:, None] * (along_y - origin))[
            :, None
        ]
        found = F.grid_sample(mouth, own[None], padding_mode="border", align_corners=False)[0]
        spots = torch.stack([found[0] + x, found[1] + y[:, None]], -1)
        near = sampled(plan.donor.pictures, spots[None])[0]
        made = near.add_(found[2:]).clamp_(-1, 1)
        rows, columns = slice(top - box[1], bottom - box[1]), slice(left - box[0], right - box[0])
        levels = plan.lips[k].levels(inner, part.size)
        frame[:, rows, columns].lerp_(made, levels.mul_(part.share))


def _own_unit(part: Part) -> tuple[tuple[float, float], tuple[float, float]]:
    """By which factors and offsets places in a square (shares of its side) become those of a part
    of it, whose corners are -1 and 1."""
    height, width = part.picture.shape[1:]
    return (
        (2 * part.size / width, 2 * part.size / height),
        (-2 * part.corner[0] / width - 1, -2 * part.corner[1] / height - 1),
    )


def _middles(box: Box, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The middles of a box's pixels, across and down, in shares of the square's side."""
    left, top, right, bottom = box
    x, y = (
        (torch.arange(a, b, device=device) + 0.5) / size for a, b in ((left, right), (top, bottom))
    )
    return x, y


def _grid_part(covers: list[Cover], mouths: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the grid of motion that have a say in what changes, or in its light."""
    drawn = covers[0].drawn.shape[0]
    found = []
    for axis, spans in ((1, [c.rows for c in covers]), (0, [c.columns for c in covers])):
        low = min([float(mouths[..., axis].min()), *(span.start / drawn for span in spans)])
        high = max([float(mouths[..., axis].max()), *(span.stop / drawn for span in spans)])
        first, last = math.floor(low * (SIDE - 1)) - 1, math.ceil(high * (SIDE - 1)) + 2
        first = min(max(first, 0), SIDE - 2)
        found.append(slice(first, max(min(last, SIDE), first + 2)))
    return found[0], found[1]


def _enlarged(
    steps: Tensor,
    corner: tuple[int, int],
    x: Tensor,
    y: Tensor,
    unit: tuple[tuple[float, float], tuple[float, float]],
) -> Tensor:
    """Where pixels come from, in the unit of a part of a picture (see `_own_unit`).

    Args:
        steps: [g, h, 2], a part of a grid's motion.
        corner: row and column of its first place.
        x, y: [w] and [n] places of the pixels.
        unit: factors and offsets.

    Returns:
        [1, n, w, 2]
    """
    rows, columns = steps.shape[:2]
    down = linear_weights((y * (SIDE - 1) - corner[0]).clamp(0, rows - 1), rows)
    across = linear_weights((x * (SIDE - 1) - corner[1]).clamp(0, columns - 1), columns)
    factor, offset = unit
    grid = steps.new_empty(1, len(y), len(x), 2)
    for axis, middle in enumerate((x, y[:, None])):
        step = down @ (steps[..., axis] * factor[axis]) @ across.T
        torch.add(step, middle * factor[axis] + offset[axis], out=grid[0, ..., axis])
    return grid


def _spread_in(difference: Tensor, known: Tensor) -> Tensor:
    """A smooth difference of colours that is known around a hole, for all places.

    Args:
        difference: [B, 3, h, w].
        known: [B, 1, h, w] how far it is known, 0..1.

    Returns:
        [B, 3, h, w]
    """
    both = torch.cat([difference * known, known], 1)
    total = F.adaptive_avg_pool2d(both, LIGHT_SIDE)
    spread = total
    for _ in range(LIGHT_SIDE // 3):  # what is known goes on growing into what is not
        blurred = F.avg_pool2d(F.pad(spread, (1,) * 4, "replicate"), 3, 1)
        spread = torch.lerp(blurred, total, total[:, 3:].clamp(0, 1))
    smooth = spread[:, :3] / spread[:, 3:].clamp(min=1e-3)
    return F.interpolate(smooth, difference.shape[2:], mode="bilinear", align_corners=False)
