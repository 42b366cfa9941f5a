"""Key points in space: projecting and its inverse agree, and angles mean what `HEAD` says."""

from __future__ import annotations

import pytest
import torch

from talkers.space.geometry import (
    Placement,
    angles_of,
    fit_placement,
    project,
    rotation,
    unproject,
)

ANGLES = torch.tensor([[0.0, 0, 0], [15, 0, 0], [0, -12, 0], [0, 0, 20], [-20, 10, -7]])


@pytest.fixture
def face() -> torch.Tensor:
    return torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head() -> Placement:
    count = len(ANGLES)
    shift = torch.rand(count, 2, generator=torch.Generator().manual_seed(1))
    return Placement(ANGLES, shift, torch.linspace(0.1, 0.4, count)[:, None])


def test_a_nose_goes_where_the_angles_say() -> None:
    nose, crown = torch.tensor([0.0, 0.0, -1.0]), torch.tensor([0.0, -1.0, 0.0])
    assert (rotation(torch.tensor([20.0, 0, 0])) @ nose)[0] > 0.3  # to the picture's right
    assert (rotation(torch.tensor([0.0, 20, 0])) @ nose)[1] < -0.3  # up
    assert (rotation(torch.tensor([0.0, 0, 20])) @ crown)[0] > 0.3  # the head leans to the right


def test_rotations_are_rotations_and_give_their_angles() -> None:
    turned = rotation(ANGLES)
    assert torch.allclose(turned @ turned.mT, torch.eye(3).expand_as(turned), atol=1e-6)
    assert torch.allclose(torch.linalg.det(turned), torch.ones(len(ANGLES)), atol=1e-6)
    assert torch.allclose(angles_of(turned), ANGLES, atol=1e-3)


def test_a_placement_is_found_again(face: torch.Tensor, head: Placement) -> None:
    found = fit_placement(project(face.expand(5, -1, -1), head), face, torch.rand(60) + 0.1)
    assert torch.allclose(found.angles, head.angles, atol=1e-2)
    assert torch.allclose(found.shift, head.shift, atol=1e-4)
    assert torch.allclose(found.scale, head.scale, atol=1e-4)


def test_points_of_no_weight_do_not_turn_the_head(face: torch.Tensor, head: Placement) -> None:
    points, weights = project(face.expand(5, -1, -1), head), torch.ones(60)
    points[:, 40:] += 0.2
    weights[40:] = 0
    assert torch.allclose(fit_placement(points, face, weights).angles, head.angles, atol=1e-2)
    assert not torch.allclose(
        fit_placement(points, face, torch.ones(60)).angles, head.angles, atol=1
    )


def test_what_is_projected_is_unprojected(face: torch.Tensor, head: Placement) -> None:
    points = project(face.expand(5, -1, -1), head)
    assert torch.allclose(unproject(points, face[:, 2], head), face.expand(5, -1, -1), atol=1e-4)
