"""A person is told from what lies behind."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from talkers.errors import MissingComponent
from talkers.face.matte import _connected, _filled, _without, layers_of
from talkers.face.portrait import portrait_of

PHOTO = Path(str(files("talkers") / "avatars" / "default" / "preview.png"))


def test_a_person_is_told_from_the_wall_behind() -> None:
    try:
        found = portrait_of(PHOTO, 128)
        layers = layers_of(found.picture, found.points)
    except MissingComponent as error:
        pytest.skip(str(error))
    assert layers is not None
    matte, ground = layers
    side = len(found.picture)
    face = (found.points * side).astype(int)
    assert matte[face[:, 1], face[:, 0]].mean() > 240
    corner = (slice(0, side // 8), slice(0, side // 8))
    assert matte[corner].max() < 20
    assert np.abs(ground[corner].astype(int) - found.picture[corner]).max() <= 1
    wall = found.picture[corner].reshape(-1, 3).mean(0)
    behind = ground[face[:, 1], face[:, 0]].mean(0)  # a blue wall, where the face was
    skin = found.picture[face[:, 1], face[:, 0]].mean(0)
    assert np.abs(behind - wall).sum() < np.abs(skin - wall).sum() / 2


def test_who_is_not_seen_is_not_cut_out() -> None:
    wall = np.full((256, 256, 3), 90, np.uint8)
    wall.flags.writeable = False  # as frames of a video are
    try:
        assert layers_of(wall, np.full((478, 2), 0.5, np.float32)) is None
    except MissingComponent as error:
        pytest.skip(str(error))


def test_what_does_not_hang_together_with_the_face_is_left_out() -> None:
    matte = torch.zeros(64, 64)
    matte[20:60, 20:40], matte[5:15, 50:60] = 1, 1  # a person, and another one
    matte[20:60, 40:43] = 0.3  # a soft edge
    kept = _connected(matte, np.array([[30, 30]]))
    assert torch.equal(kept[:, :43], matte[:, :43])
    assert kept[:, 48:].max() == 0


def test_holes_are_filled_with_colours_from_around() -> None:
    across = torch.linspace(0, 200, 50).expand(1, 3, 50, 50)
    known = torch.ones(1, 1, 50, 50)
    known[..., 20:30, 20:30] = 0
    spoilt = torch.where(known > 0, across, torch.tensor(255.0))
    filled = _filled(spoilt, known)
    assert torch.equal(filled[..., :20, :], across[..., :20, :])
    hole = filled[..., 20:30, 20:30]
    assert float((hole - across[..., 20:30, 20:30]).abs().max()) < 25


def test_what_is_near_a_person_is_not_taken_along() -> None:
    """Beside the rim, what lies behind is the picture's own, stripe by stripe."""
    stripes = (torch.arange(200) % 8 < 4).float().expand(3, 200, 200) * 255
    matte = torch.zeros(200, 200)
    matte[50:, 70:130] = 1
    ground = _without(stripes, matte)
    beside = torch.ones(200, 200, dtype=torch.bool)
    beside[47:, 67:133] = False
    assert torch.equal(ground[:, beside], stripes[:, beside])
    inside = ground[:, 80:, 90:110]
    assert 60 < float(inside.mean()) < 200  # the wall's colour, mixed
    assert float(inside.std()) < 40  # and no stripes of the picture
