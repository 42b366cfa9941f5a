"""The linear space: each movement is read and written alone, and appearance stays."""

from __future__ import annotations

import pytest
import torch

from talkers.space.contract import FaceEdit
from talkers.space.linear import LinearSpace, LinearSpaceConfig


def new_space() -> LinearSpace:
    torch.manual_seed(0)
    return LinearSpace(LinearSpaceConfig(), 24)


def test_one_appearance_is_shown_and_head_and_mouth_are_left_alone() -> None:
    space = new_space()
    clips, every = [], []
    # Dimensions 0..6 move with the head, 7..9 with the mouth, 10..13 with brows and gaze; 20..22
    # are the take's appearance.
    for k in range(12):
        head, mouth, eyes = torch.randn(40, 7), torch.randn(40, 3), torch.randn(40, 4)
        latents = 0.01 * torch.randn(40, 24)
        latents[:, :7] += head
        latents[:, 7:10] += mouth
        latents[:, 10:14] += eyes
        latents[:, 20:23] += (
            torch.tensor([3.0, 1, -2]) if k % 4 else torch.randn(3)
        ) + 0.01 * torch.randn(3)
        clips.append((latents, head))
        every.append((latents, head, mouth, eyes))
    latents, head, mouth, eyes = (torch.cat(x) for x in zip(*every, strict=True))
    space.set_statistics(latents, head)
    parts = {
        "mouth": torch.cat([mouth, mouth @ torch.randn(3, 9)], 1),
        "brows": eyes[:, :2],
        "gaze": eyes[:, 2:],
    }
    space.fit_probes(latents, head, parts, torch.ones(len(mouth), dtype=torch.bool))
    assert torch.allclose(space.edit(latents), latents, atol=1e-5)  # before it is set
    space.fit_appearance(clips)
    edited = space.edit(latents)
    assert (edited[:, 20:23] - torch.tensor([3.0, 1, -2])).abs().max() < 0.3
    assert (edited[:, :10] - latents[:, :10]).abs().quantile(0.99) < 0.6
    own = space.edit(latents[:40], appearance=space.estimate_appearance(latents[:40]))
    assert (own[:, 20:23].mean(0) - latents[:40, 20:23].mean(0)).abs().max() < 0.05
    shifted = space.estimate_appearance(latents[:40])._replace(shift=torch.arange(24.0))
    assert torch.allclose(
        space.edit(latents[:40], appearance=shifted) - own,
        torch.arange(24.0).expand(40, -1),
        atol=1e-4,
    )


def test_mouth_brows_and_gaze_move_alone() -> None:
    """Each has numbers of its own in the latents. Head and gaze go together, as eyes stay on what
    they look at, and so do head and mouth."""
    space = new_space()
    head, mouth, brows = torch.randn(2000, 7), torch.randn(2000, 6), torch.randn(2000, 2)
    gaze = 0.5 * torch.randn(2000, 2) - head[:, :2]
    mouth = (
        mouth + 0.8 * head[:, 1:2]
    )  # a head that nods when it speaks must not be moved by its mouth
    latents = torch.cat([head, mouth, brows, gaze, 0.1 * torch.randn(2000, 7)], 1)
    still = torch.arange(2000) < 500
    mouth[still] = latents[still, 7:13] = -1.0
    space.set_statistics(latents, head)
    space.fit_probes(latents, head, {"mouth": mouth, "brows": brows, "gaze": gaze}, still)
    assert (space.read_head(latents) - head).abs().max() < 0.3
    space.fit_appearance([(latents[k::10], head[k::10]) for k in range(10)])
    space.appearance_basis.zero_()  # appearance is left alone
    shut = space.edit(latents, FaceEdit(amplitude=0.0)) - latents
    assert torch.allclose(shut[:, 7:13], -1 - mouth, atol=0.15)
    assert shut[:, :7].abs().mean() < 0.1
    raised = space.edit(latents, FaceEdit(brow_amplitude=2.0)) - latents
    assert torch.allclose(raised[:, 13:15], brows - brows.mean(0), atol=0.2)
    assert raised[:, :13].abs().mean() < 0.1
    gazing = space.edit(latents, FaceEdit(gaze=(1.0, 0.0))) - latents
    assert gazing[:, 15] == pytest.approx(
        1.0, abs=0.1
    )  # two standard deviations of what the head does not explain
    assert gazing[:, :15].abs().mean() < 0.1
    wanted = torch.zeros(2000, 7)
    wanted[:, 1] = 2.0
    shown = space.read_head(space.edit(latents, head=wanted))
    assert torch.allclose(shown[:, :5], wanted[:, :5], atol=1e-3)
    assert torch.allclose(
        shown[:, 5], space.read_head(latents)[:, 5], atol=0.1
    )  # a size is not steered
    assert torch.allclose(shown[:, 6], wanted[:, 6], atol=0.1)
    assert (space.edit(latents, head=wanted) - latents)[:, 7:15].abs().mean() < 0.1


def test_eyes_stay_on_the_camera_while_the_head_turns() -> None:
    """In the footage the head turns little within a take, its eyes always on the camera. A turn
    by which the eyes went with the head was never seen."""
    space = new_space()
    takes = [torch.randn(1, 7) + 0.2 * torch.randn(300, 7) for _ in range(10)]
    head, mouth = torch.cat(takes), torch.randn(3000, 6)
    gaze = 0.03 * torch.randn(3000, 2) - head[:, :2]
    latents = torch.cat([head, mouth, torch.randn(3000, 2), gaze, 0.1 * torch.randn(3000, 7)], 1)
    space.set_statistics(latents, head)
    space.fit_probes(
        latents,
        head,
        {"mouth": mouth, "brows": latents[:, 13:15], "gaze": gaze},
        torch.ones(3000, dtype=torch.bool),
    )
    space.fit_appearance([(latents[k : k + 300], head[k : k + 300]) for k in range(0, 3000, 300)])
    space.appearance_basis.zero_()
    turned = [torch.full((3000, 7), float("nan")) for _ in range(2)]
    for yaw, wanted in zip((0.0, 1.0), turned, strict=True):
        wanted[:, 0] = yaw
    step = (space.edit(latents, head=turned[1]) - space.edit(latents, head=turned[0])).mean(0)
    assert step[0] == pytest.approx(1, abs=0.25)
    assert step[15] == pytest.approx(-1, abs=0.25)
    assert step[7:15].abs().max() < 0.1


def test_closed_eyes_are_learnt_from_blinks_alone() -> None:
    """The person's eyes are half closed when the cheeks are raised, and closed now and then."""
    space = new_space()
    count = 3000
    blink = torch.zeros(count)
    for start in range(20, count - 20, 60):
        blink[start : start + 5] = torch.tensor([0.4, 0.8, 1.0, 0.7, 0.3])
    mouth, head = torch.randn(count, 6).cumsum(0).sin(), 0.3 * torch.randn(count, 7)
    head[:, 6] = blink
    cheeks = torch.randn(count, 1).cumsum(0).div(20).sin()
    head[:, 6:] += 0.2 * cheeks
    latents = torch.cat(
        [head[:, :6], blink[:, None], mouth, 2 * cheeks.expand(-1, 4), 0.1 * torch.randn(count, 7)],
        1,
    )
    space.set_statistics(latents, head)
    parts = {"mouth": mouth, "brows": torch.randn(count, 2), "gaze": torch.randn(count, 2)}
    space.fit_probes(latents, head, parts, torch.ones(count, dtype=torch.bool))
    space.fit_appearance([(latents[k : k + 300], head[k : k + 300]) for k in range(0, count, 300)])
    space.appearance_basis.zero_()
    wanted = torch.full((count, 7), float("nan"))
    wanted[:, 6] = 1.0
    closed = (space.edit(latents, head=wanted) - latents)[blink == 0]
    assert closed[:, 6].mean() == pytest.approx(1.0, abs=0.25)
    assert closed[:, 7:17].mean(0).abs().max() < 0.2
    assert closed[:, :6].mean(0).abs().max() < 0.1
