"""Frames of a film with other mouths, painted several at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor

from talkers.renderers.contract import from_frames
from talkers.renderers.warp.lips import LipPainter, Lips, Part, Plan
from talkers.runtime.donors import DonorChoice, Mouth
from talkers.runtime.film import FilmFace
from talkers.runtime.film_box import (
    Box,
    Picture,
    added,
    cut_out,
    even_box,
    moved_box,
    within_picture,
)
from talkers.runtime.threads import one_core_left
from talkers.space.face_motion import FaceMotionSpace

BATCH = 8  # frames that are painted together
HELD = 4  # donors that are held ready


class Dub(NamedTuple):
    """A frame that is to be dubbed.

    Attributes:
        picture: planes or RGB.
        number: of the film's frame.
        mouth: [M] what the mouth is to do.
        weight: how far of all, 0..1.
    """

    picture: Picture
    number: int
    mouth: Tensor
    weight: float


class FilmPainter:
    """Paints a film's mouths; frames are to be given in the order in which they are shown.

    Args:
        painter: of lips.
        space: of face motion.
        face: of the film.
        device: on which to paint.
    """

    def __init__(
        self, painter: LipPainter, space: FaceMotionSpace, face: FilmFace, device: torch.device
    ):
        self._painter, self._space, self._face, self._device = painter, space, face, device
        self._choice, self._widest = DonorChoice(face.donors), self._lips(face.widest)
        self._donors: OrderedDict[int, Lips] = OrderedDict()

    def _lips(self, mouth: Mouth) -> Lips:
        """A mouth of the film as the painter wants it."""
        picture = from_frames(torch.from_numpy(mouth.square)[None])[0].to(self._device)
        return self._painter.lips(picture, mouth.points.to(self._device))

    def _donor(self, number: int) -> Lips:
        """One of the film's donors."""
        if number not in self._donors:
            self._donors[number] = self._lips(self._face.donors[number])
            if len(self._donors) > HELD:
                self._donors.popitem(last=False)
        self._donors.move_to_end(number)
        return self._donors[number]

    def painted(self, dubs: list[Dub]) -> list[Picture]:
        """The frames, dubbed.

        Args:
            dubs: frames one after the other.
        """
        with one_core_left():
            return self._painted(dubs)

    def _painted(self, dubs: list[Dub]) -> list[Picture]:
        face, space = self._face, self._space
        shares = torch.stack([face.shares(d.number, face.crop(d.number)) for d in dubs])
        own = space.motion_of(shares, face.rest)
        wanted, mouths = own.clone(), torch.stack([d.mouth for d in dubs])
        weights = torch.tensor([[d.weight] for d in dubs])
        wanted[:, space.mouth] = torch.lerp(own[:, space.mouth], mouths, weights)
        # what the space does not say of a frame's key points stays as it is
        moved = space.points_of(wanted, face.rest) - space.points_of(own, face.rest)
        points = shares.to(self._device)
        targets = (shares + moved).to(self._device)
        donors = [
            self._choice.choose(int(face.shot[d.number]), float(face.yaw[d.number])) for d in dubs
        ]
        found: list[tuple[Box, Tensor] | None] = [None for _ in dubs]
        for donor in dict.fromkeys(number for some in donors for number, _ in some):
            rows = [k for k, some in enumerate(donors) if donor in dict(some)]
            plan = self._painter.plan(points[rows], targets[rows], self._donor(donor), self._widest)
            parts = [self._part(dubs[k], plan, at) for at, k in enumerate(rows)]
            changes = self._painter.changes(plan, parts)
            for k, part, change in zip(rows, parts, changes, strict=True):
                crop, before = face.crop(dubs[k].number), found[k]
                box = moved_box(part.box, crop.left, crop.top)
                change = change * dict(donors[k])[donor]
                found[k] = box, change if before is None else before[1] + change
        return [
            added(dub.picture, box, change.cpu())
            for dub, (box, change) in zip(dubs, filter(None, found), strict=True)
        ]

    def _part(self, dub: Dub, plan: Plan, k: int) -> Part:
        """What of a frame changes by a plan for it and others."""
        crop = self._face.crop(dub.number)
        left, top = crop.left, crop.top
        cover = moved_box(plan.covers[k].box(crop.side), left, top)
        box = moved_box(within_picture(even_box(cover), dub.picture), -left, -top)
        # beyond the square its edge goes on
        inside = [max(min(side, crop.side), 0) for side in plan.needed(k, box, crop.side)]
        first, second = min(inside[0], box[0]), min(inside[1], box[1])
        last = max(inside[2], box[2]), max(inside[3], box[3])
        part = even_box(moved_box((first, second, *last), left, top))
        picture = cut_out(dub.picture, part).to(self._device)
        return Part(picture, (part[0] - left, part[1] - top), box, crop.side, dub.weight)
