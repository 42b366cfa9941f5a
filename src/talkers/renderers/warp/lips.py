"""A film's own frames with other lips: the lower face moves, and the mouth is painted anew.

The frame itself is moved, so that light, pose and skin are its own. The lips are moved from another
frame of the film, a donor, whose mouth is like the wanted one (IP_LAP, section 3.3): the frame's
own would let its old words shine through. They are brought to the frame's light. Only the network's
part is made in the small square of the mouth; whatever is moved is taken from the film's own
pixels, so that a large film stays as sharp as it was.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from talkers.renderers.warp.motion import (
    distance_of,
    enlarged,
    pixel_places,
    sampled,
    whole_motion,
)
from talkers.renderers.warp.patches import OUTER_LOWER, OUTER_UPPER, places, within
from talkers.renderers.warp.regions import MOUTH, Look, Shown, look, moved
from talkers.renderers.warp.renderer import WarpRenderer
from talkers.space.geometry import Placement

JAW = (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)
CHEEKS = (187, 205, 98, 2, 327, 425, 411)  # from the picture's left to its right, below the nose
GROWN, SOFT = 0.14, 0.07  # inter-ocular distances: the mask reaches so far beyond the mesh, softly
COVER_SIDE = 160  # pixels of the square in which the mask is drawn
LIPS_GROWN, LIPS_SOFT = 0.16, 0.08  # likewise, of what is taken from a donor
LIGHT_SIDE = 24  # pixels a side in which light is compared
SIDE = 41  # places a side where motion is worked out


class Lips(NamedTuple):
    """A picture of a person, and the mouth in it.

    Attributes:
        shown: the picture.
        look: the mouth.
    """

    shown: Shown
    look: Look


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
        shown = self.shown(picture, points)
        return Lips(shown, look(MOUTH, shown))

    def shown(self, picture: Tensor, points: Tensor) -> Shown:
        """What is known of a picture; see `lips`."""
        return self._shown(picture[None], points[None])

    def _shown(self, picture: Tensor, points: Tensor, head: Placement | None = None) -> Shown:
        head = self.space.placement(points) if head is None else head
        return Shown(picture, points, head, distance_of(points, self.space.depth, head))

    @torch.inference_mode()
    def paint(
        self, source: Shown, wanted: Tensor, donor: Lips, widest: Lips, share: float = 1.0
    ) -> Tensor:
        """A picture whose lower face is another; nothing else of it changes.

        Args:
            source: the picture, see `shown`.
            wanted: [478, 2] where its key points are to be.
            donor: another picture of the person, whose lips are taken.
            widest: a mouth of the person that shows the teeth.
            share: how far the donor's lips are taken; the rest are the picture's own.

        Returns:
            [3, S, S]
        """
        picture, head = source.pictures[0], source.head
        size = picture.shape[-1]
        target = self._shown(source.pictures, wanted[None], head)
        coarse = whole_motion(target.points, source.points, (head, head), side=SIDE, closely=True)
        origin = pixel_places(size, picture.device) + enlarged(coarse, size)
        frame = sampled(source.pictures, origin)[0]
        found = moved(MOUTH, self.space.mean, donor.shown, target)
        added = self.renderer.added_to_mouth(found, donor.look, widest.look)
        self._put(frame, target, donor.shown, found.steps, added, share)
        cover = self.cover(source.points[0], wanted, head, size).to(frame)
        return torch.lerp(picture, frame, cover)

    def _put(
        self,
        frame: Tensor,
        target: Shown,
        donor: Shown,
        steps: Tensor,
        added: Tensor,
        share: float,
    ) -> None:
        """Put a donor's mouth, and what is added to it, into a frame [3, S, S], so far."""
        size, device = frame.shape[-1], frame.device
        around = places(MOUTH, target.head).flatten(1, 2)[0]
        left, top = (around.amin(0) * size).floor().long().clamp(min=0).tolist()
        right, bottom = (around.amax(0) * size).ceil().long().clamp(max=size).tolist()
        if left >= right or top >= bottom:
            return
        box = pixel_places(size, device)[top:bottom, left:right]
        own = within(MOUTH, target.head, box.reshape(1, -1, 2)).reshape(1, *box.shape)
        step = F.grid_sample(steps, own, padding_mode="border", align_corners=False)
        near = sampled(donor.pictures, box + step.permute(0, 2, 3, 1))
        more = F.grid_sample(added, own, align_corners=False)
        mouth, under = (near + more).clamp(-1, 1), frame[:, top:bottom, left:right]
        inside = self._lips(target, (left, top, right, bottom), size).to(frame)
        known = (own.abs().amax(-1) < 1)[:, None] * (1 - inside)
        light = _spread_in(under - mouth[0], known)
        under.lerp_((mouth[0] + light).clamp(-1, 1), share * inside[0])

    def _lips(self, target: Shown, box: tuple[int, int, int, int], size: int) -> Tensor:
        """Where a donor's lips are shown: the lips of a frame, grown, in a box of it.

        Returns:
            [1, 1, h, w], 0..1
        """
        left, top, right, bottom = box
        canvas = Image.new("L", (right - left, bottom - top))
        unit = float(target.head.scale[0, 0]) * size
        corner = target.points.new_tensor([left, top])
        outline = target.points[0, [*OUTER_UPPER, *OUTER_LOWER[::-1]]] * size - corner
        ImageDraw.Draw(canvas).polygon([tuple(place) for place in outline.tolist()], fill=255)
        canvas = canvas.filter(ImageFilter.GaussianBlur(LIPS_GROWN * unit))
        canvas = canvas.point(lambda level: 255 if level > 20 else 0)
        canvas = canvas.filter(ImageFilter.GaussianBlur(LIPS_SOFT * unit))
        return torch.from_numpy(np.asarray(canvas, np.float32) / 255)[None, None]

    def cover(self, points: Tensor, wanted: Tensor, head: Placement, size: int) -> Tensor:
        """Where a picture may change: the mesh's lower face, grown, as it was and as it will be.

        Returns:
            [1, size, size], 0..1; exactly 0 outside
        """
        canvas = Image.new("L", (COVER_SIDE, COVER_SIDE))
        draw, unit = ImageDraw.Draw(canvas), float(head.scale[0, 0]) * COVER_SIDE
        for shape in (points, wanted):
            outline = [tuple(shape[k].mul(COVER_SIDE).tolist()) for k in (*JAW, *CHEEKS)]
            draw.polygon(outline, fill=255)
        for radius in (GROWN, SOFT):
            canvas = canvas.filter(ImageFilter.GaussianBlur(radius * unit))
            if radius == GROWN:  # what is blurred over its edge has grown by the blur's width
                canvas = canvas.point(lambda level: 255 if level > 40 else 0)
        levels = torch.from_numpy(np.asarray(canvas, np.float32) / 255)[None, None]
        whole = F.interpolate(levels, (size, size), mode="bilinear", align_corners=False)[0]
        return ((whole - 0.02) / 0.96).clamp(0, 1)


def _spread_in(difference: Tensor, known: Tensor) -> Tensor:
    """A smooth difference of colours that is known around a hole, for all places.

    Args:
        difference: [3, h, w].
        known: [1, 1, h, w] how far it is known, 0..1.

    Returns:
        [3, h, w]
    """
    height, width = difference.shape[1:]
    both = torch.cat([difference[None] * known, known], 1)
    total = F.adaptive_avg_pool2d(both, LIGHT_SIDE)
    spread = total
    for _ in range(LIGHT_SIDE // 3):  # what is known goes on growing into what is not
        blurred = F.avg_pool2d(F.pad(spread, (1,) * 4, "replicate"), 3, 1)
        spread = torch.lerp(blurred, total, total[:, 3:].clamp(0, 1))
    smooth = spread[:, :3] / spread[:, 3:].clamp(min=1e-3)
    return F.interpolate(smooth, (height, width), mode="bilinear", align_corners=False)[0]
