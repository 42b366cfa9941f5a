"""Face motion belongs to nobody: whoever performs, it says the same, and anybody can show it."""

from __future__ import annotations

import pytest
import torch

from faces import CONFIG, HEIGHT, act, fitted, performed, person
from talkers.face.landmarks import BLENDSHAPES
from talkers.runtime.retargeting import _shared_space
from talkers.space.contract import HEAD, FaceEdit, MotionSpace
from talkers.space.face_measures import (
    IRIS_POINTS,
    IRISES,
    LOOK,
    LOWER_LIDS,
    MOUTH_CORNERS,
    UPPER_LIDS,
)
from talkers.space.face_motion import BLINK, GAZE, SMILES, FaceMotionSpace


@pytest.fixture(scope="module")
def space() -> FaceMotionSpace:
    return fitted()


def test_it_is_a_motion_space(space: FaceMotionSpace) -> None:
    assert isinstance(space, MotionSpace)
    assert space.width == len(HEAD) + 2 + 1 + 2
    with pytest.raises(ValueError, match="12 numbers"):
        FaceMotionSpace(CONFIG, 13)


def test_heads_are_found_though_mouths_move(space: FaceMotionSpace) -> None:
    what = act(50)
    found = space.placement(performed(person(50), what).points)
    moved = found.angles - found.angles.mean(0) - (what.head.angles - what.head.angles.mean(0))
    assert moved.abs().mean() < 0.7  # degrees, of a person that was not seen


def test_two_people_who_do_the_same_have_the_same_motion(space: FaceMotionSpace) -> None:
    clips = [performed(person(k), act(60)) for k in (60, 61)]
    one, other = (space.motion_of(c.points, space.rest(c.points, c.still)) for c in clips)
    for part in (space.mouth, space.brows, slice(BLINK, BLINK + 1)):
        apart = (one[:, part] - other[:, part]).square().mean()
        assert apart < 0.05 * one[:, part].var(0).mean()


def test_motion_gives_the_key_points_again(space: FaceMotionSpace) -> None:
    clip = performed(person(70), act(70))
    rest = space.rest(clip.points, clip.still)
    again = space.points_of(space.motion_of(clip.points, rest), rest)
    lips = HEIGHT > 0.6
    moved = (clip.points - clip.points.mean(0))[:, lips]
    assert (again - clip.points)[:, lips].square().mean() < 0.02 * moved.square().mean()


def test_eyes_look_where_irises_say() -> None:
    """Hundreds of key points that stay do not outvote the ten of the irises."""
    space = _shared_space()
    rest, resting = space.mean, space.home[None]
    points = space.points_of(resting, rest)
    points[:, IRIS_POINTS, 0] += 0.5 * LOOK * float(resting[0, 5])
    seen = space.motion_of(points, rest)[0]
    assert float(seen[GAZE][0]) > 0.4
    assert float(seen[GAZE][1].abs()) < 0.1
    assert float(seen[BLINK].abs()) < 0.1


def test_a_motion_is_shown_by_another(space: FaceMotionSpace) -> None:
    """In units of the other's face: one that is twice as large moves twice as far."""
    clip, other = performed(person(80), act(80)), performed(person(81), act(81))
    rests = [space.rest(c.points, c.still) for c in (clip, other)]
    motion = space.motion_of(clip.points, rests[0])
    source, target = motion[0], motion[0].clone()
    target[5] *= 2
    shown = space.retarget(motion, source, target)
    assert torch.allclose(shown[:, :3], motion[:, :3], atol=1e-4)
    assert torch.allclose(shown[:, 3:5] - target[3:5], 2 * (motion - source)[:, 3:5], atol=1e-5)
    assert torch.allclose(shown[:, BLINK:], motion[:, BLINK:], atol=1e-4)
    points = space.points_of(shown, rests[1])
    apart = (space.motion_of(points, rests[1]) - motion)[:, space.mouth].square().mean()
    assert apart < 0.02 * motion[:, space.mouth].var(0).mean()


@pytest.mark.parametrize("wide", [0.5, 1.0, 2.0])
def test_a_blink_closes_the_eyes_of_everybody(space: FaceMotionSpace, wide: float) -> None:
    """However wide they are, and though the tracker moves irises along with lids."""
    rest = space.mean.clone()
    rest[list(UPPER_LIDS + LOWER_LIDS), 1] *= wide
    motion = space.home.repeat(4, 1)
    motion[:, BLINK] = torch.tensor([0.0, 0.5, 1.0, 3.0])
    points = space.points_of(motion, rest)
    gap = (points[:, list(LOWER_LIDS), 1] - points[:, list(UPPER_LIDS), 1]).mean(1)
    assert torch.allclose(gap / gap[0], torch.tensor([1.0, 0.6, 0.2, 0.0]), atol=0.12)
    assert gap[3] >= 0
    again = space.motion_of(points[:3], rest)
    assert torch.allclose(again[:, BLINK], motion[:3, BLINK], atol=0.02)
    assert torch.allclose(space.proportions(rest)[0], torch.tensor(wide), rtol=0.15)


def test_small_mouths_move_less(space: FaceMotionSpace) -> None:
    """Those of drawings: people's move alike."""
    found = []
    for wide in (1.2, 1.0, 0.5):
        rest = space.mean.clone()
        rest[list(MOUTH_CORNERS), 0] *= wide
        found.append(float(space.proportions(rest)[-1]))
    assert found == pytest.approx([1.0, 1.0, 0.67], abs=0.05)


def test_each_movement_is_edited_alone(space: FaceMotionSpace) -> None:
    clip = performed(person(90), act(90))
    motion = space.motion_of(clip.points, space.rest(clip.points, clip.still))
    shut = space.edit(motion, FaceEdit(amplitude=0.0))
    assert (shut[:, space.mouth] == 0).all()
    assert torch.equal(shut[:, : space.mouth.start], motion[:, : space.mouth.start])
    raised = space.edit(motion, FaceEdit(brow_amplitude=2.0))
    assert torch.allclose(raised[:, space.brows], 2 * motion[:, space.brows])
    gazing = space.edit(motion, FaceEdit(gaze=(1.0, 0.0)))
    assert torch.allclose((gazing - motion)[:, GAZE.start], torch.ones(len(motion)))
    rest = torch.zeros(1, space.width)
    rest[0, : len(HEAD) - 1] = space.home[: len(HEAD) - 1]
    aside = space.edit(rest, FaceEdit(gaze=(-1.0, 0.0)))
    points = [space.points_of(row, space.mean)[0] for row in (rest, aside)]
    irises = (points[1] - points[0])[list(IRISES)] / space.home[5]
    assert torch.allclose(irises[:, 0], torch.full((2,), -LOOK), rtol=0.2)  # the picture's left
    head = torch.full((len(motion), len(HEAD)), float("nan"))
    head[:, 0] = 12.0
    turned = space.edit(motion, head=head)
    assert (turned[:, 0] == 12).all()
    assert torch.equal(turned[:, 1:], motion[:, 1:])


def test_a_smile_raises_the_corners_of_a_mouth_that_speaks_or_not() -> None:
    """As the people of the shipped base smile: up and outwards, and down where it is negative."""
    assert [BLENDSHAPES[k] for k in SMILES] == ["mouthSmileLeft", "mouthSmileRight"]
    base = _shared_space()
    spoken = base.home.repeat(2, 1)
    spoken[1, base.mouth] = base.seen[7]
    corners = {}
    for smile in (-1.0, 0.0, 0.5, 1.0):
        points = base.points_of(base.edit(spoken, FaceEdit(smile=smile)), base.mean)
        corners[smile] = points[:, list(MOUTH_CORNERS)] / base.home[5]
    heights = torch.stack([at[..., 1].mean(1) for at in corners.values()])
    assert (heights.diff(dim=0) < -0.015).all()  # y points down
    apart = {s: at[:, 1, 0] - at[:, 0, 0] for s, at in corners.items()}
    assert (apart[1.0] - apart[0.0] > 0.05).all()
    still = base.edit(spoken, FaceEdit(smile=1.0), moving=0.0)
    assert torch.allclose(still[0], still[1])


def test_a_mouth_that_no_face_makes_is_pulled_back(space: FaceMotionSpace) -> None:
    clip = performed(person(95), act(95))
    motion = space.motion_of(clip.points, space.rest(clip.points, clip.still))
    spread = space.seen.std(0)
    kept = space.pulled_back(motion)
    assert (kept - motion)[:, space.mouth].square().mean() < 0.1 * spread.square().mean()
    assert torch.equal(kept[:, : space.mouth.start], motion[:, : space.mouth.start])
    wild = motion.clone()
    wild[:, space.mouth] += 20 * spread
    back = space.pulled_back(wild)[:, space.mouth]
    highest, lowest = space.seen.max(0).values, space.seen.min(0).values
    assert ((back <= highest + 1e-4) & (back >= lowest - 1e-4)).all()
    half = space.pulled_back(wild, 0.5)[:, space.mouth]
    assert torch.allclose(half, (wild[:, space.mouth] + back) / 2, atol=1e-4)


def test_the_rest_of_one_picture_is_told_from_its_blendshapes(space: FaceMotionSpace) -> None:
    """A picture with an open mouth gives nearly the rest that the whole clip gives."""
    clip = performed(person(90), act(90))
    rest = space.rest(clip.points, clip.still)
    open_most = int(clip.blendshapes[:, 0].argmax())
    points, shapes = clip.points[open_most], clip.blendshapes[open_most]
    lips = HEIGHT > 0.6
    plain = (space.canonical(points) - rest)[lips].square().mean()
    told = (space.rest_of_picture(points, shapes) - rest)[lips].square().mean()
    assert told < 0.2 * plain


def test_motion_of_one_home_is_that_of_another(space: FaceMotionSpace) -> None:
    there = torch.tensor([3.0, -2.0, 1.0, 0.4, 0.5, 2 * float(space.home[5])])
    moved = space.at_home_in(there)
    motion = space.denormalise(torch.randn(5, space.width))
    other = moved.denormalise(space.normalise(motion))
    assert torch.allclose(other, space.retarget(motion, space.home, moved.home), atol=1e-3)
    assert torch.allclose(moved.home[:6], there)
