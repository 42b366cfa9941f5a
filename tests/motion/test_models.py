"""The regressor and the flow model: what they promise beyond the contract in `talkers.testing`."""

from __future__ import annotations

import pytest
import torch

from talkers.motion import (
    Conditions,
    FlowConfig,
    FlowMotion,
    Motion,
    MotionModel,
    RegressorConfig,
    Speech2Latent,
)
from talkers.motion.flow import frame_noise
from talkers.space.linear import LinearSpace, LinearSpaceConfig


@pytest.fixture(scope="module", params=["regressor", "flow"])
def model(request: pytest.FixtureRequest) -> MotionModel:
    torch.manual_seed(0)
    space = LinearSpace(LinearSpaceConfig(), 16)
    space.set_statistics(torch.randn(100, 16) * 3 + 1, torch.randn(100, 7) * 2)
    if request.param == "regressor":
        shape = RegressorConfig(
            width=32, encoder_blocks=1, decoder_blocks=1, heads=2, dropout=0.1, pose_hidden=8
        )
        return Speech2Latent(shape, 20, space).eval()
    flow = FlowMotion(FlowConfig(width=32, blocks=2, heads=2, components=8, steps=3), 20, space)
    flow.fit_components(torch.randn(100, 16) * 3 + 1)
    return flow.eval()


def generate(model: MotionModel, features: torch.Tensor, **conditions: torch.Tensor) -> Motion:
    """Motion of features [B, 2 T, F]."""
    return model.generate(Conditions(features, **conditions))  # type: ignore[arg-type]


def test_head_values_that_are_given_are_taken(model: MotionModel) -> None:
    features = torch.randn(1, 40, 20)
    predicted = generate(model, features)
    poses = predicted.head.detach()
    if isinstance(model, Speech2Latent):
        given = generate(model, features, head=poses)
        assert torch.allclose(given.values, predicted.values, atol=1e-3)
    else:
        assert torch.allclose(generate(model, features, head=poses + 3).head, poses + 3, atol=1e-3)
    far = generate(model, features, head=poses + 20).values
    assert not torch.allclose(far, predicted.values, atol=1e-2)


def test_frames_that_do_not_exist_change_nothing(model: MotionModel) -> None:
    features, exists = torch.randn(1, 40, 20), torch.ones(1, 20, dtype=torch.bool)
    exists[:, 12:] = False
    other = features.clone()
    # From 26 on: the downsampling sees one feature around a frame's own.
    other[:, 26:] = torch.randn(1, 14, 20)
    one, two = (generate(model, x, exists=exists).values[:, :12] for x in (features, other))
    assert torch.allclose(one, two, atol=1e-4)


def test_every_weight_learns(model: MotionModel) -> None:
    exists = torch.ones(2, 20, dtype=torch.bool)
    motion = generate(model, torch.randn(2, 40, 20), exists=exists)
    (motion.values.square().sum() + motion.head.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.zero_grad()


def test_motion_spaces_are_not_saved_with_the_models(model: MotionModel) -> None:
    assert not [name for name in model.state_dict() if "motion_mean" in name]


def test_a_frame_has_its_own_noise_in_whatever_window() -> None:
    whole, part = frame_noise(0, 200, 3, 5), frame_noise(50, 100, 3, 5)
    assert torch.allclose(whole[50:150], part, atol=1e-5)
    assert not torch.equal(frame_noise(0, 10, 3, 5), frame_noise(0, 10, 3, 6))
    many = frame_noise(0, 4000, 8, 1)
    assert many.std() == pytest.approx(1, abs=0.05)
    assert 0.5 < (many[1:] * many[:-1]).mean() < 0.95
