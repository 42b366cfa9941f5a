"""Windows and streams of motion: no seams, exact time, the same however the features are cut."""

from __future__ import annotations

import pytest
import torch

from talkers.motion import (
    Conditions,
    Context,
    Motion,
    MotionModel,
    MotionRequest,
    MotionStream,
    at_frames,
    motion_of_speech,
)
from talkers.motion.contract import AdjustHead
from talkers.space.contract import HEAD
from talkers.space.linear import LinearSpace, LinearSpaceConfig


class Echo(MotionModel):
    """Its motion is the features that it is given: what streams make of it shows their timing."""

    def __init__(self, hop: float):
        super().__init__(LinearSpace(LinearSpaceConfig(), 1))
        self.context = Context(hop=hop)

    def generate(
        self,
        conditions: Conditions,
        observed: torch.Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        width = conditions.speech.shape[-1]
        frames = conditions.speech.reshape(1, -1, 2, width).mean(2)
        head = torch.zeros(1, frames.shape[1], len(HEAD))
        adjust = conditions.adjust_head
        return Motion(frames, head if adjust is None else adjust(head))


@pytest.mark.parametrize("frames", [1, 10, 75, 100, 101, 130, 475, 1000])
@pytest.mark.parametrize(
    ("rate", "hop"), [(25.0, 2.0), (25.0, 3.0), (24.0, 3.0), (24.0, 2.0), (30.0, 2.0), (50.0, 2.0)]
)
def test_streams_have_no_seams_and_keep_time(frames: int, rate: float, hop: float) -> None:
    count = int(frames / rate * 50) + 1
    # Each feature says its time in seconds.
    ramp = (torch.arange(count, dtype=torch.float32) + 0.5)[:, None] / 50
    blocks = [ramp[i : i + 100] for i in range(0, count, 100)]
    request = MotionRequest(Echo(hop), rate)
    out = torch.cat([motion for motion, _ in motion_of_speech(request, blocks, frames)])[:, 0]
    wanted = (torch.arange(frames) + 0.5) / rate
    assert len(out) == frames
    middle = slice(1, max(1, frames - 2))
    assert torch.allclose(out[middle], wanted[middle], atol=0.011)


@pytest.mark.parametrize("rate", [24.0, 25.0, 30.0, 50.0, 60.0])
def test_live_streams_keep_time_at_every_rate(rate: float) -> None:
    ramp = (torch.arange(400, dtype=torch.float32) + 0.5)[:, None] / 50
    stream = MotionStream(MotionRequest(Echo(2.0), rate))
    out = torch.cat([stream.push(part)[0] for part in ramp.split(3)])[:, 0]
    wanted = (torch.arange(len(out)) + 0.5) / rate
    assert torch.allclose(out[1:], wanted[1:], atol=0.011)
    # A frame comes as soon as its look-ahead has.
    assert len(out) >= (8 - 0.16 - 0.04) * rate - stream.hop - 1


@pytest.mark.parametrize("adjust", [None, lambda head: head - 1.5])
def test_heads_are_adjusted_once(adjust: AdjustHead | None) -> None:
    """What was adjusted is not what the next window goes on from."""
    features, request = torch.randn(500, 4), MotionRequest(Echo(2.0), 25.0, adjust_head=adjust)
    whole = torch.cat([head for _, head in motion_of_speech(request, [features], 250)])
    live = MotionStream(request).push(features)[1]
    for head in (whole, live):
        assert torch.allclose(head, torch.full_like(head, 0.0 if adjust is None else -1.5))


def test_at_frames_interpolates() -> None:
    ramp = torch.arange(100, dtype=torch.float32)[:, None]
    assert torch.equal(at_frames(ramp, 50, 25, 10, 5)[:, 0], torch.arange(20.0, 30))
    slow = at_frames(ramp, 50, 20, 0, 10)[:, 0]
    assert torch.allclose(slow.diff(), torch.full((19,), 1.25))
