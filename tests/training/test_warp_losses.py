"""Losses of the warping renderer: pairs, clips, and experts that judge them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gradients import assert_learn_apart
from talkers import Avatar
from talkers.corpus import Corpus
from talkers.errors import UsageError
from talkers.experts.mouths import mouths_of
from talkers.face.landmarks import FaceTracker
from talkers.renderers.warp import WarpRenderer
from talkers.renderers.warp.regions import MOUTH, look
from talkers.runtime.bundle import base_folder
from talkers.systems.portrait import tiny_portrait
from talkers.systems.recipe import with_settings
from talkers.training.critic import PatchCritic
from talkers.training.train import train
from talkers.training.warp_losses import Beside, MouthJudges, Readers, _shown, warp_losses

PHOTO = files("talkers") / "avatars" / "default" / "preview.png"
WINDOW = 5


@pytest.fixture(scope="module")
def renderer() -> WarpRenderer:
    found = Avatar.load(base_folder(), "cpu").engine.renderer
    assert isinstance(found, WarpRenderer)
    return found


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """A picture, and as target a clip of it that goes to the right."""
    picture = np.asarray(Image.open(str(PHOTO)).convert("RGB"))
    with FaceTracker(1) as tracker:
        points = tracker.faces(picture)[0].landmarks
    frames = np.stack([np.roll(picture, k, 1) for k in range(WINDOW)])
    places = np.stack([points + np.float32([k, 0]) for k in range(WINDOW)])
    found = {
        "target": torch.from_numpy(frames)[None],
        "target_points": torch.from_numpy(places)[None],
    }
    for name in ("source", "reference"):
        found |= {name: found["target"][:, 0], f"{name}_points": found["target_points"][:, 0]}
    seen = torch.ones(1, WINDOW, dtype=torch.bool)
    return found | {"usable": seen, "silent": ~seen, "mel": torch.randn(1, 4 * WINDOW, 80)}


def test_a_clip_is_as_far_off_as_its_frames(
    renderer: WarpRenderer, batch: dict[str, Tensor]
) -> None:
    whole = warp_losses(renderer, batch)
    assert whole.keys() == {"mouth", "eyes"}
    each = []
    for k in range(WINDOW):
        frame = {n: batch[n][:, k : k + 1] for n in ("target", "target_points")}
        each.append(warp_losses(renderer, batch | frame)["mouth"])
    assert float(whole["mouth"]) == pytest.approx(float(torch.stack(each).mean()), rel=0.02)


def test_experts_see_painted_mouths_as_they_see_clips(
    renderer: WarpRenderer, batch: dict[str, Tensor]
) -> None:
    frames, points = (batch[n][0][[0] * WINDOW] for n in ("target", "target_points"))
    pictures = frames.permute(0, 3, 1, 2) / 127.5 - 1
    target = _shown(renderer, pictures, points / frames.shape[1], None)
    real = look(MOUTH, target).patch
    judges = MouthJudges(1.0, 0.5)
    seen: list[Tensor] = []
    judges.experts["lips-pixels"].backbone.register_forward_pre_hook(
        lambda _module, given: seen.append(given[0])
    )
    painted = real.clone().requires_grad_(True)
    same = judges(painted, real, target, batch)
    assert same.keys() == {"lips", "sync"}
    assert float(same["lips"]) == pytest.approx(0, abs=1e-5)
    wanted = mouths_of(frames.numpy(), points.numpy()).patches
    off = np.abs(seen[0][0].detach().numpy() - wanted).mean()
    still = np.abs(wanted - wanted.mean()).mean()
    assert off < 0.08 * still  # the same place, through a patch of 72 pixels
    with torch.no_grad():
        painted[:, :, 30:42, 20:50] = -1.0  # an open mouth
    other = judges(painted, real, target, batch)
    assert float(other["lips"]) > 1e-3
    other["lips"].backward()
    assert painted.grad is not None
    assert float(painted.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["stages.warp.reading_weight=0.1"], "experts judge 5 frames"),
        (["stages.warp.window=5", "stages.warp.pictures=faces"], "hold no 5 frames"),
    ],
)
def test_settings_that_do_not_go_together_are_told(
    corpus: Corpus, tmp_path: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        train(corpus, tmp_path / "base", with_settings(tiny_portrait(), settings))


def test_readers_look_at_mouths_and_eyes(renderer: WarpRenderer, batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    readers = Readers(0.5)
    found = warp_losses(renderer, batch, Beside(readers=readers))
    names = [f"{part}_{what}" for part in ("mouth", "eye") for what in ("reader", "points")]
    assert found.keys() == {"mouth", "eyes", *names}
    optimizer = torch.optim.Adam(readers.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        parts = warp_losses(renderer, batch, Beside(readers=readers))
        (parts["mouth_reader"] + parts["eye_reader"]).backward()
        optimizer.step()
    # what is seen is what the key points say, in the right square and in the right order
    for name in ("mouth_reader", "eye_reader"):
        assert float(parts[name]) < 0.3 * float(found[name]), name
    for name in ("mouth_points", "eye_points"):  # of the picture itself, which is its own target
        assert float(parts[name]) < 0.5 * float(found[name]), name


def test_a_critic_teaches_the_painter_and_itself_apart() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(4)
    painted = torch.zeros(2, 3, 16, 16, requires_grad=True)
    wanted, known = torch.randn(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    found = critic.losses(painted, wanted, known, torch.ones(2, 1, 16, 16))
    assert_learn_apart(critic, found["critic"], painted, found["real"])


def test_a_critic_learns_to_tell_noise_from_stripes() -> None:
    """And a painter that follows it leaves grey, the mean of both, behind."""
    torch.manual_seed(0)
    critic = PatchCritic(4)
    painted = torch.zeros(8, 3, 16, 16, requires_grad=True)
    stripes = torch.ones(16).reshape(-1, 2, 2) * torch.tensor([1.0, -1.0])
    real = stripes.flatten()[:16].expand(8, 3, 16, 16)
    known, weight = torch.zeros(8, 1, 16, 16), torch.ones(8, 1, 16, 16)
    optimizer = torch.optim.Adam([painted, *critic.parameters()], lr=2e-2)
    for _ in range(150):
        optimizer.zero_grad()
        sum(critic.losses(painted, real, known, weight).values()).backward()
        optimizer.step()
    assert float(painted.detach().std()) > 0.4
