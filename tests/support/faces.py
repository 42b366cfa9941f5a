"""Synthetic people who move: key points with known heads, lids, gaze, brows and mouths."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from talkers.space.face_measures import (
    LOWER_LIDS,
    MOUTH_CORNERS,
    POINTS,
    UPPER_LIDS,
    FaceClip,
)
from talkers.space.face_motion import SHAPES, FaceMotionConfig, FaceMotionSpace
from talkers.space.geometry import Placement, project

CONFIG = FaceMotionConfig(brows=1, mouth=2, seen=400)


class Person(NamedTuple):
    """A synthetic person's canonical key points [478, 3]."""

    shape: Tensor


class Act(NamedTuple):
    """What somebody does: head values, blink, gaze, brows and mouth, a row a frame."""

    head: Placement
    blink: Tensor
    gaze: Tensor
    brows: Tensor
    mouth: Tensor


def face() -> Tensor:
    """Key points of a mean face: rows from above the brows to below the chin."""
    random = torch.Generator().manual_seed(0)
    across = torch.rand(POINTS, generator=random) * 1.6 - 0.8
    down = torch.rand(POINTS, generator=random) * 2 - 0.6
    deep = 0.5 * across.square() + 0.2 * torch.rand(POINTS, generator=random)
    shape = torch.stack([across, down, deep], 1)
    for row, place in ((33, -0.5), (133, -0.2), (362, 0.2), (263, 0.5), (468, -0.35), (473, 0.35)):
        shape[row] = torch.tensor([place, 0, 0])
    shape[list(MOUTH_CORNERS), :2] = torch.tensor([[-0.3, 0.8], [0.3, 0.8]])
    for lids, way in ((UPPER_LIDS, -1), (LOWER_LIDS, 1)):
        for k, row in enumerate(lids):
            outer, inner = ((-0.5, -0.2), (0.5, 0.2))[k // 7]
            along = (k % 7 + 1) / 8
            height = way * 0.08 * math.sin(math.pi * along)
            shape[row] = torch.tensor([outer + along * (inner - outer), height, 0])
    return shape


MEAN = face()
HEIGHT = MEAN[:, 1]


def movement(where: Tensor, way: tuple[float, float]) -> Tensor:
    return where[:, None] * torch.tensor([*way, 0.0])


LIDS = movement((HEIGHT.abs() < 0.15).float(), (0.0, 0.05))
LIDS[list(UPPER_LIDS + LOWER_LIDS), 1] = -0.8 * HEIGHT[list(UPPER_LIDS + LOWER_LIDS)]
LOOK = movement((HEIGHT.abs() < 0.08).float(), (0.06, 0.0))
LOOK[list(UPPER_LIDS + LOWER_LIDS)] = 0
BROWS = movement((HEIGHT < -0.3).float(), (0.0, -0.08))
JAW = movement((HEIGHT > 0.8).float() * (HEIGHT - 0.8), (0.0, 0.3))
LIPS = movement(((HEIGHT - 0.8).abs() < 0.1).float() * MEAN[:, 0], (0.15, 0.0))
for _moved in (LIDS, LOOK, BROWS, JAW, LIPS):
    _moved[[33, 133, 362, 263]] = 0


def person(seed: int) -> Person:
    offset = 0.06 * torch.randn(POINTS, 3, generator=torch.Generator().manual_seed(seed))
    offset[:, 2] = 0
    offset[[33, 263, *UPPER_LIDS, *LOWER_LIDS]] = 0
    return Person(MEAN + offset)


def act(seed: int, frames: int = 120) -> Act:
    random = torch.Generator().manual_seed(100 + seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    angles = noise(frames, 3) * torch.tensor([5.0, 4.0, 3.0])
    head = Placement(angles, 0.5 + 0.02 * noise(frames, 2), 0.2 + 0.005 * noise(frames, 1))
    mouth = noise(frames, 2).abs()
    mouth[:20] = 0
    blink = (noise(frames) > 1.2).float()
    return Act(head, blink, 0.5 * noise(frames, 2), noise(frames, 1).abs(), mouth)


def performed(who: Person, what: Act) -> FaceClip:
    shape = who.shape + what.blink[:, None, None] * LIDS + what.gaze[:, :1, None] * LOOK
    shape = shape + what.brows[:, :1, None] * BROWS
    shape = shape + what.mouth[:, :1, None] * JAW + what.mouth[:, 1:, None] * LIPS
    still = torch.arange(len(what.blink)) < 20
    # what the tracker would call this: a blendshape for each way to move
    known = torch.cat([what.mouth, what.brows, what.blink[:, None], what.gaze], 1)
    shapes = torch.cat([known, torch.zeros(len(known), SHAPES - known.shape[1])], 1)
    return FaceClip(project(shape, what.head), what.blink, still, shapes)


def fitted(config: FaceMotionConfig = CONFIG, people: int = 8) -> FaceMotionSpace:
    """A space that has learnt from synthetic people."""
    space = FaceMotionSpace(config)
    space.fit([performed(person(k), act(k)) for k in range(people)], MEAN[:, 2])
    return space
