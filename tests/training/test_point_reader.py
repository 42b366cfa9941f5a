"""A reader of key points off patches, and what painting learns from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gradients import assert_learn_apart
from talkers.renderers.warp.patches import LEFT_IRIS, RIGHT_IRIS, within
from talkers.renderers.warp.regions import LEFT_EYE, RIGHT_EYE
from talkers.space.geometry import Placement
from talkers.training.point_reader import PointReader

SIDE = 32


def dots(places: Tensor) -> Tensor:
    """Patches [B, 3, S, S] that each show a dot at a place [B, 1, 2]."""
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    square = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    far = (square - places[:, :, None]).square().sum(-1)
    return (2 * torch.exp(-far / 0.02) - 1)[:, None].expand(-1, 3, -1, -1)


def test_painted_patches_come_to_show_the_points_they_were_painted_by() -> None:
    """Where those who follow an error in pixels show half of it, as key points tremble."""
    torch.manual_seed(0)
    reader = PointReader(1)
    gain = {name: torch.tensor(0.5, requires_grad=True) for name in ("pixels", "points")}
    optimizer = torch.optim.Adam(
        [{"params": list(reader.parameters()), "lr": 2e-3}, {"params": gain.values(), "lr": 1e-2}]
    )
    for _ in range(400):
        real = 0.2 * torch.randn(16, 1, 2)
        points = real + 0.2 * torch.randn(16, 1, 2)
        shown = {name: dots(share * points) for name, share in gain.items()}
        found = reader.losses(shown["points"], dots(real), points)
        pixels = (shown["pixels"] - dots(real)).square().mean()
        optimizer.zero_grad()
        (found["reader"] + found["points"] + 10 * pixels).backward()
        optimizer.step()
    reached = {name: float(share) for name, share in gain.items()}
    assert reached["pixels"] < 0.7
    assert reached["points"] > 0.85
    still = torch.tensor([[[0.2, -0.3]]])
    assert float((reader(dots(still)) - still).abs().max()) < 0.1


def test_reader_and_painter_learn_apart() -> None:
    torch.manual_seed(0)
    reader = PointReader(2)
    painted = torch.zeros(2, 3, SIDE, SIDE, requires_grad=True)
    found = reader.losses(painted, torch.randn(2, 3, SIDE, SIDE), torch.zeros(2, 2, 2))
    assert_learn_apart(reader, found["reader"], painted, found["points"])


def test_both_eyes_have_alike_points_in_the_same_order() -> None:
    """A face and its mirror image: what one shows at the right, the other shows at the left."""
    head = Placement(torch.zeros(1, 3), torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25]]))
    points = torch.rand(1, 478, 2)
    mirrored = points.clone()
    pairs = [(RIGHT_IRIS, LEFT_IRIS)]
    for right, left in zip(RIGHT_EYE.lines, LEFT_EYE.lines, strict=True):
        pairs += zip(right, left, strict=True)
    for right, left in pairs:
        mirrored[0, left] = points[0, right] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    seen = within(RIGHT_EYE, head, points[:, RIGHT_EYE.points])
    other = within(LEFT_EYE, head, mirrored[:, LEFT_EYE.points])
    assert torch.allclose(other, seen, atol=1e-5)
    iris = seen[0, -1] * RIGHT_EYE.half * 0.25 + torch.tensor([0.5 - 0.34 * 0.25, 0.5])
    assert iris.tolist() == pytest.approx(points[0, RIGHT_IRIS].tolist(), abs=1e-5)
