"""What every renderer promises; see `talkers.renderers.contract`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from talkers.renderers.contract import FaceCodec, Renderer, RenderOptions, RenderState
from talkers.runtime.avatar import Avatar
from talkers.testing.avatars import bfloat16

LEVEL = 2 / 255  # one grey level of pictures in -1..1


class RendererContract:
    """Inherit it, and give a fixture `avatar`."""

    @pytest.fixture
    def motion(self, avatar: Avatar) -> Tensor:
        """Five frames of motion near what the avatar shows: [5, width]."""
        samples = np.random.default_rng(0).normal(0, 0.1, 3200).astype(np.float32)
        rows = torch.cat(list(avatar.speak(samples, live=True).motion()))
        noise = torch.randn(5, rows.shape[1], generator=torch.Generator().manual_seed(0))
        return rows[:5] + 0.02 * noise

    @pytest.fixture(autouse=True)
    def _no_gradients(self) -> Iterator[None]:
        with torch.inference_mode():
            yield

    def test_renderer_follows_its_protocol(self, avatar: Avatar) -> None:
        renderer = avatar.engine.renderer
        assert isinstance(renderer, Renderer)
        assert renderer.needs in ("nothing", "portrait", "frames", "video")
        assert (renderer.needs == "nothing") == (avatar.engine.identity is None)

    def test_renderer_makes_one_picture_a_frame_in_range(
        self, avatar: Avatar, motion: Tensor
    ) -> None:
        renderer = avatar.engine.renderer
        pictures = renderer.render(motion, RenderOptions(), avatar.engine.identity)
        assert pictures.shape == (5, 3, renderer.size, renderer.size)
        assert pictures.isfinite().all()
        assert pictures.abs().max() <= 1 + 1e-5

    def test_renderer_batch_equals_its_parts(self, avatar: Avatar, motion: Tensor) -> None:
        renderer, options = avatar.engine.renderer, RenderOptions(3)
        who = avatar.engine.identity
        together = renderer.render(motion, options, who)
        apart = torch.cat([renderer.render(row[None], options, who) for row in motion])
        assert (together - apart).abs().max() <= LEVEL

    def test_renderer_runs_equal_the_whole(self, avatar: Avatar, motion: Tensor) -> None:
        renderer, options, state = avatar.engine.renderer, RenderOptions(3), RenderState()
        who = avatar.engine.identity
        whole = renderer.render(motion, options, who, state=RenderState())
        parts = [
            renderer.render(part, options, who, state=state)
            for part in torch.split(motion, [2, 1, 2])
        ]
        assert (whole - torch.cat(parts)).abs().max() <= LEVEL

    def test_renderer_same_seed_same_frames(self, avatar: Avatar, motion: Tensor) -> None:
        first, again = (avatar.decode(motion, seed=5) for _ in range(2))
        assert np.array_equal(first, again)

    def test_renderer_shows_the_motion(self, avatar: Avatar, motion: Tensor) -> None:
        other = motion + 0.3 * motion.std().clamp(min=0.1)
        pictures = [
            avatar.engine.renderer.render(rows, RenderOptions(), avatar.engine.identity)
            for rows in (motion, other)
        ]
        assert (pictures[0] - pictures[1]).abs().max() > 1e-4

    def test_nothing_in_gives_nothing_out(self, avatar: Avatar) -> None:
        engine = avatar.engine
        empty = engine.decode(torch.zeros(0, engine.renderer.motion_width), RenderOptions())
        assert empty.shape == (0, avatar.size, avatar.size, 3)
        if isinstance(engine.renderer, FaceCodec):
            assert engine.encode(empty).shape == (0, engine.renderer.motion_width)

    def test_codec_batch_equals_its_parts(self, avatar: Avatar) -> None:
        if not isinstance(avatar.engine.renderer, FaceCodec):
            pytest.skip("this renderer does not encode")
        size = avatar.size
        frames = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
        together = avatar.encode(frames)
        assert together.shape == (3, avatar.engine.renderer.motion_width)
        apart = torch.cat([avatar.encode(frame[None]) for frame in frames])
        assert torch.allclose(together, apart, atol=1e-3)

    def test_bfloat16_shows_nearly_the_same(self, avatar: Avatar, motion: Tensor) -> None:
        frames = []
        for used in (False, True):
            with bfloat16(used):
                frames.append(Avatar.load(avatar.folder, device="cpu").decode(motion).astype(int))
        assert np.abs(frames[0] - frames[1]).mean() < 3  # grey levels

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_shows_nearly_the_same(self, avatar: Avatar, motion: Tensor) -> None:
        on_gpu = Avatar.load(avatar.folder, device="cuda").decode(motion)
        assert np.abs(on_gpu.astype(int) - avatar.decode(motion)).mean() < 3
