"""The flow model, trained for a moment: what speech says is followed, the rest is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_model, save_model

from talkers.motion import Conditions, FlowConfig, FlowMotion, Motion, Reference
from talkers.space.linear import LinearSpace, LinearSpaceConfig
from talkers.systems.stages import FlowTraining
from talkers.training.flow_stage import FlowModule, with_suffix_prompts
from talkers.training.progress import TrainingProgress


def features_of(speech: torch.Tensor) -> torch.Tensor:
    """Speech [B, T, 1] as features [B, 2 T, 4]."""
    twice = speech.repeat_interleave(2, 1)
    return torch.cat([twice, torch.tensor([1.0, -1, 0]).expand(*twice.shape[:2], 3)], -1)


def generate(model: FlowMotion, features: torch.Tensor, seed: int = 0, **more: object) -> Motion:
    """Motion of features [B, 2 T, F]."""
    observed = more.pop("observed", None)
    assert observed is None or isinstance(observed, torch.Tensor)
    return model.generate(Conditions(features, **more), observed, seed=seed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sampler(shared: Path) -> FlowMotion:
    """Trained on a face whose mouth follows speech, and whose head turns to either side; once for
    all processes."""
    torch.manual_seed(0)
    space = LinearSpace(LinearSpaceConfig(), 6)
    config = FlowConfig(
        width=32, blocks=2, heads=2, dropout=0.0, components=4, steps=8, guidance=1.0
    )
    model, kept = FlowMotion(config, 4, space), shared / "sampler.safetensors"
    with FileLock(shared / "sampler.lock"):
        if not kept.exists():
            learn(model, space)
            save_model(torch.nn.ModuleList([model, space]), str(kept))
    load_model(torch.nn.ModuleList([model, space]), str(kept))
    torch.manual_seed(1)
    return model.eval().requires_grad_(False)


def learn(model: FlowMotion, space: LinearSpace) -> None:
    """Four hundred steps on drawn clips."""

    def clips(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        speech = torch.randn(count, 24, 1)
        side = torch.where(torch.rand(count, 1, 1) < 0.5, -1.0, 1.0).expand(-1, 24, -1)
        side = side + 0.1 * torch.randn(count, 24, 1)
        rest = 0.01 * torch.randn(count, 24, 3)
        motion = torch.cat([3 * speech, side, speech - side, rest], -1)
        head = torch.cat([10 * side, 0.1 * torch.randn(count, 24, 6)], -1)
        return features_of(speech), motion, head

    _, motion, head = clips(200)
    space.set_statistics(motion.reshape(-1, 6), head.reshape(-1, 7))
    model.fit_components(motion.reshape(-1, 6))
    training = FlowTraining(batch=32, window=24)
    module = FlowModule(model, training, TrainingProgress(1), 0, torch.eye(6))
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    every = torch.ones(32, 24, dtype=torch.bool)
    for _ in range(400):
        features, motion, head = clips(32)
        batch = {"features": features, "latents": motion, "head": head}
        loss = module.training_step(batch | {"exists": every, "usable": every}, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_what_speech_determines_follows_it_and_the_rest_is_drawn(sampler: FlowMotion) -> None:
    speech = torch.randn(1, 24, 1)
    features = features_of(speech)
    takes = [generate(sampler, features, seed) for seed in range(24)]
    for take in takes:
        both = torch.stack([take.values[0, :, 0], speech[0, :, 0]])
        assert torch.corrcoef(both)[0, 1] > 0.9
    yaw = torch.stack([take.head[0, :, 0].mean() for take in takes])
    assert yaw.abs().mean() > 6  # a regressor would predict 0
    assert 4 <= int((yaw > 0).sum()) <= 20


def state(model: FlowMotion, sides: torch.Tensor, yaw: float) -> torch.Tensor:
    """States of frames whose heads are turned to these sides [N]: [1, N, C]."""
    motion = torch.zeros(1, len(sides), 6)
    motion[0, :, 1], motion[0, :, 2] = sides, -sides
    head = torch.tensor([yaw, *[0.0] * 6]).expand(1, len(sides), 7)
    return model.states(motion, head)


def test_it_goes_on_as_it_began_and_takes_the_head_that_is_given(sampler: FlowMotion) -> None:
    features = features_of(torch.randn(1, 24, 1))
    for side in (-10.0, 10.0):
        observed = sampler.states(
            torch.tensor([0, side / 10, 0, 0, 0, 0]).expand(1, 6, 6),
            torch.tensor([side, *[0] * 6]).expand(1, 6, 7),
        )
        takes = [generate(sampler, features, seed, observed=observed) for seed in range(8)]
        expected = torch.tensor(side)
        assert all(torch.allclose(m.head[0, :6, 0], expected, atol=0.1) for m in takes)
        assert sum(float(m.head[0, 6:, 0].mean() * side) > 0 for m in takes) >= 7
        given = torch.full((1, 24, 7), float("nan"))
        given[..., 0] = side
        enforced = generate(sampler, features, 1, head=given)
        assert torch.allclose(enforced.head[..., 0], expected, atol=0.1)
        assert enforced.values[0, :, 1].mean() * side > 0
    limited = generate(sampler, features, 3, adjust_head=lambda head: head.clamp(-2, 2))
    assert limited.head.abs().max() < 2.1


def test_it_takes_up_the_style_of_a_reference_clip(sampler: FlowMotion) -> None:
    """A head that is turned in a clip of other words stays turned; no frame of it comes back."""
    for side in (-10.0, 10.0):
        turned = state(sampler, torch.full((8,), side / 10), side)
        reference = Reference(features_of(torch.zeros(1, 8, 1)), turned)
        takes = [
            generate(sampler, features_of(torch.randn(1, 16, 1)), seed, reference=reference)
            for seed in range(8)
        ]
        for take in takes:
            assert take.values.shape == (1, 16, 6)
            assert take.state is not None
            assert take.state.shape == (1, 16, sampler.state_width)
        assert sum(float(take.head[0, :, 0].mean() * side) > 0 for take in takes) >= 7


def test_some_windows_are_learnt_with_their_end_first() -> None:
    torch.manual_seed(0)
    rows = torch.arange(24.0)[None, :, None].expand(16, -1, 1)
    batch = {
        "latents": rows,
        "features": torch.arange(48.0)[None, :, None].expand(16, -1, 1),
        "exists": torch.ones(16, 24, dtype=torch.bool),
    }
    turned = with_suffix_prompts(batch, 0.5)
    begins = turned["latents"][:, 0, 0]
    assert 3 <= int((begins > 0).sum()) <= 13
    assert torch.equal(turned["features"][:, ::2, 0], 2 * turned["latents"][..., 0])
    assert torch.equal(turned["latents"].sort(1).values, rows)
