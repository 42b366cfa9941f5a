"""Options of the warping renderer: geometry as attention, and a memory of faces."""

from __future__ import annotations

import torch

import faces
from talkers.renderers.warp.motion import distance_of, spread
from talkers.renderers.warp.networks import CELL, TONE, PatchNetwork, recoloured
from talkers.renderers.warp.patches import ABOVE, BELOW, line_maps, sides_of, visibility
from talkers.renderers.warp.regions import RIGHT_EYE
from talkers.space.face_measures import LOWER_LIDS, UPPER_LIDS
from talkers.space.geometry import Placement, project

SIDE = 4 * CELL


def awake(network: PatchNetwork) -> PatchNetwork:
    """The network with no layer at zero, where mistakes would hide."""
    torch.manual_seed(1)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


def test_options_begin_where_a_network_without_them_stands() -> None:
    """So that a trained base can go on with them."""
    torch.manual_seed(0)
    seen, depth = torch.randn(2, 5, SIDE, SIDE), torch.randn(2, 2, 4, 4)
    plain = awake(PatchNetwork(5, 16, 1))
    rich = PatchNetwork(5, 16, 1, depth=True, memory=8, tone=True).eval()
    rich.load_state_dict(rich.state_dict() | plain.state_dict())
    tone = torch.randn(2, TONE)
    assert torch.allclose(rich(seen, depth, tone), plain(seen, depth), atol=1e-4)


def test_the_same_patch_of_a_darker_face_is_painted_otherwise() -> None:
    """Its colours are taken away from a patch; the tone tells what they were."""
    network = awake(PatchNetwork(5, 16, 1, tone=True))
    seen = torch.randn(1, 5, SIDE, SIDE)
    light, dark = (torch.tensor([[mean, mean, mean, 0.3]]) for mean in (0.5, -0.5))
    assert not torch.allclose(network(seen, tone=light), network(seen, tone=dark), atol=1e-2)


def test_recoloured_pictures_keep_what_is_paler() -> None:
    """Other casts and exposures, but white stays less coloured than red."""
    torch.manual_seed(0)
    white, red = (torch.tensor(c)[None, :, None, None] for c in ((0.6, 0.6, 0.6), (0.6, 0.0, 0.0)))
    both = recoloured([p.expand(200, -1, 1, 1) for p in (white, red)], 0.5)
    spread_of = [float((p.amax(1) - p.amin(1)).mean()) for p in both]
    assert spread_of[0] < 0.7 * spread_of[1]


def test_depth_says_where_to_look() -> None:
    network = awake(PatchNetwork(5, 16, 1, depth=True))
    torch.manual_seed(2)
    seen, depth = torch.randn(1, 5, SIDE, SIDE), torch.randn(1, 2, 4, 4)
    assert not torch.allclose(network(seen, depth), network(seen, 3 * depth), atol=1e-3)


def test_memory_is_asked_for_each_person_apart() -> None:
    network = awake(PatchNetwork(5, 16, 1, memory=8))
    torch.manual_seed(3)
    seen = torch.randn(2, 5, SIDE, SIDE)
    both = network(seen)
    assert torch.allclose(both, torch.cat([network(one[None]) for one in seen]), atol=1e-4)
    with torch.no_grad():
        network.memory.slots.zero_()
    assert not torch.allclose(network(seen), both, atol=1e-3)


def test_what_is_behind_is_farther() -> None:
    """Of a head that turns, one side comes nearer and the other goes away."""
    canonical = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    shift, scale = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.2]])
    for yaw in (-20.0, 0.0, 20.0):
        head = Placement(torch.tensor([[yaw, 0.0, 0.0]]), shift, scale)
        far = distance_of(project(canonical, head), canonical[:, 2], head)[0, :, 0]
        assert far[2] > 0.9
        assert torch.sign(far[1] - far[0]) == torch.sign(torch.tensor(yaw))
    near = spread(
        torch.tensor([[[0.1, 0.0]]]),
        torch.tensor([[[0.1, 0.0], [0.9, 0.0]]]),
        torch.tensor([[[1.0], [5.0]]]),
    )
    assert torch.allclose(near, torch.tensor(1.0), atol=1e-2)


def test_beyond_closed_lids_the_eye_does_not_show() -> None:
    """Where upper and lower lid meet, each visibility what is seen on its own side alone."""
    space = faces.fitted()
    points = space.points_of(space.home.repeat(2, 1), space.mean)
    shut = points[1]
    shut[list(UPPER_LIDS), 1] = shut[list(LOWER_LIDS), 1]
    head = space.placement(points[:1])
    maps = line_maps(RIGHT_EYE, head, points)
    sides = sides_of(RIGHT_EYE, space.mean)
    assert (sides[list(UPPER_LIDS[:7])] == ABOVE).all()
    assert (sides[list(LOWER_LIDS[:7])] == BELOW).all()
    said = visibility(RIGHT_EYE, maps)[..., sides].reshape(2, *maps.shape[2:], -1)
    upper, lower, iris = (said[..., row] for row in (UPPER_LIDS[3], LOWER_LIDS[3], 468))
    middle = RIGHT_EYE.size // 2
    # in the eye's column, from above to below: one lid, both (and the eye between), the other
    assert iris[0, middle, middle] == upper[0, middle, middle] == lower[0, middle, middle] == 1
    for which in (0, 1):
        assert upper[which, 0, middle] == lower[which, -1, middle] == 1
        assert upper[which, -1, middle] == lower[which, 0, middle] == 0
    assert (upper[1] * lower[1]).amax() <= 0.25
    assert iris[1].amax() <= 0.25
