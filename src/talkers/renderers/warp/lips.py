"""A film's own frames with other lips: the lower face moves, and the mouth is painted anew.

The frame itself is the source that is moved, so that light, pose and skin are its own. Only the
network's part is made in the small square of the mouth; whatever it moves is taken from the film's
own pixels, so that a large film stays as sharp as it was.
"""

from __future__ import annotations

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
from talkers.renderers.warp.patches import feather, places, within
from talkers.renderers.warp.renderer import MOUTH, Look, Shown, WarpRenderer, look
from talkers.space.geometry import Placement

JAW = (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)
CHEEKS = (187, 205, 98, 2, 327, 425, 411)  # from the picture's left to its right, below the nose
GROWN, SOFT = 0.14, 0.07  # inter-ocular distances: the mask reaches so far beyond the mesh, softly
COVER_SIDE = 160  # pixels of the square in which the mask is drawn
SIDE = 65  # places a side where motion is worked out


class LipPainter:
    """Paints other lips into pictures of a person.

    Args:
        renderer: a warping renderer, with its space.
    """

    def __init__(self, renderer: WarpRenderer):
        self.renderer, self.space = renderer, renderer.space

    def look(self, picture: Tensor, points: Tensor) -> Look:
        """What a mouth looks like, as reference of the person's teeth.

        Args:
            picture: [3, S, S] in -1..1.
            points: [478, 2] key points, shares of the side.
        """
        return look(MOUTH, self._shown(picture[None], points[None]))

    def _shown(self, picture: Tensor, points: Tensor, head: Placement | None = None) -> Shown:
        head = self.space.placement(points) if head is None else head
        return Shown(picture, points, head, distance_of(points, self.space.depth, head))

    @torch.inference_mode()
    def paint(self, picture: Tensor, points: Tensor, wanted: Tensor, reference: Look) -> Tensor:
        """A picture whose lower face is another; nothing else of it changes.

        Args:
            picture: [3, S, S] in -1..1, cut around the face.
            points: [478, 2] its key points, shares of the side.
            wanted: [478, 2] where they are to be.
            reference: another mouth of the person, as `look` sees it.

        Returns:
            [3, S, S]
        """
        size = picture.shape[-1]
        source = self._shown(picture[None], points[None])
        target = self._shown(picture[None], wanted[None], source.head)
        heads = source.head, source.head
        coarse = whole_motion(target.points, source.points, heads, side=SIDE, closely=True)
        frame = sampled(
            source.pictures, pixel_places(size, picture.device) + enlarged(coarse, size)
        )
        found = self.renderer.moved(MOUTH, source, target, None)
        added = self.renderer.added_to_mouth(found, look(MOUTH, source), reference)
        self._put(frame[0], source, found.steps, added)
        cover = self.cover(points, wanted, source.head, size).to(frame)
        return torch.lerp(picture, frame[0], cover)

    def _put(self, frame: Tensor, source: Shown, steps: Tensor, added: Tensor) -> None:
        """Put the mouth into a frame [3, S, S]: the source's own pixels, and what is added."""
        size, device = frame.shape[-1], frame.device
        around = places(MOUTH, source.head).flatten(1, 2)[0]
        left, top = (around.amin(0) * size).floor().long().clamp(min=0).tolist()
        right, bottom = (around.amax(0) * size).ceil().long().clamp(max=size).tolist()
        if left >= right or top >= bottom:
            return
        box = pixel_places(size, device)[top:bottom, left:right]
        own = within(MOUTH, source.head, box.reshape(1, -1, 2)).reshape(1, *box.shape)
        step = F.grid_sample(steps, own, padding_mode="border", align_corners=False)
        near = sampled(source.pictures, box + step.permute(0, 2, 3, 1))[0]
        soft = feather(MOUTH.size, device)[None]
        more = F.grid_sample(torch.cat([added, soft], 1), own, align_corners=False)[0]
        frame[:, top:bottom, left:right].lerp_((near + more[:3]).clamp(-1, 1), more[3:])

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
