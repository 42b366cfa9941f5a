"""Motion that is sampled: a flow-matching transformer (Lipman et al. 2023) over the principal
components of motion and the head values of all frames of a window at once. A regressor averages
what speech does not determine; this draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.motion.conformer import ConformerBlock, check_shape
from talkers.motion.contract import Conditions, Context, Motion, MotionModel
from talkers.motion.speech_embedding import SpeechEmbedding
from talkers.space.contract import HEAD
from talkers.space.normalised import NormalisedSpace

TIME_WIDTH = 64  # numbers of the embedding of the flow's time
NOISE_CHUNK = 64  # frames whose noise is drawn together
NOISE_REACH = 9  # frames on either side that a frame's noise depends on


@dataclass(frozen=True)
class FlowConfig:
    """Shape of a flow-matching motion model."""

    type: str = "flow"
    width: int = limited(256, 1, 4096)
    blocks: int = limited(4, 1, 24)
    heads: int = limited(4, 1, 64)
    kernel: int = limited(13, 1, 63)  # of the Conformers' convolutions, frames; odd
    dropout: float = limited(0.1, 0, 1)
    components: int = limited(64, 1, 8192)  # principal components of motion that are sampled
    steps: int = limited(8, 1, 1000)  # of the flow, network passes (two each with guidance)
    guidance: float = 1.7  # weight of speech; 1: as in the data

    def __post_init__(self) -> None:
        check_shape(self.width, self.heads, self.kernel)


def smooth_noise(white: Tensor) -> Tensor:
    """White noise [B, T + 2 NOISE_REACH, C] -> unit noise [B, T, C] that changes slowly.

    Faces change slowly, with some trembling: a flow that begins with such noise need not learn
    first that frames follow each other.
    """
    kernel = torch.arange(-NOISE_REACH, NOISE_REACH + 1, device=white.device) / 3.0
    kernel = torch.exp(-(kernel**2) / 2)
    kernel = 0.9 * kernel / kernel.norm()
    kernel[NOISE_REACH] += 0.4
    b, count, width = white.shape
    rows = white.transpose(1, 2).reshape(b * width, 1, count)
    mixed = F.conv1d(rows, (kernel / kernel.norm())[None, None])
    return mixed.float().reshape(b, width, -1).transpose(1, 2)


def frame_noise(first: int, count: int, width: int, seed: int) -> Tensor:
    """Noise of frames first..first + count: [count, width].

    A frame's noise is the same whatever run of frames it is asked for.
    """
    start, end, drawn = first - NOISE_REACH, first + count + NOISE_REACH, []
    for chunk in range(start // NOISE_CHUNK, (end - 1) // NOISE_CHUNK + 1):
        # There are chunks before the first: their seeds must not be negative.
        generator = torch.Generator().manual_seed(seed * 1_000_003 + chunk + 2 * NOISE_CHUNK)
        drawn.append(torch.randn(NOISE_CHUNK, width, generator=generator))
    start -= start // NOISE_CHUNK * NOISE_CHUNK
    return smooth_noise(torch.cat(drawn)[None, start : start + count + 2 * NOISE_REACH])[0]


class FlowMotion(MotionModel):
    """Samples motion and head values given speech.

    A frame's state x holds `components` principal components of its normalised motion and its
    normalised head values. What is observed of a state (committed frames, head values that a
    user gives) follows the straight path to its value.

    Args:
        config: its shape.
        features: width of the speech features.
        space: of the motion.
    """

    accepts = frozenset({"speech", "head", "reference"})
    context = Context(hop=3.0, stream_hop=0.08)  # it costs more, and goes on from its own frames
    component_axes: Tensor
    component_back: Tensor

    def __init__(self, config: FlowConfig, features: int, space: NormalisedSpace):
        super().__init__(space)
        self.config, w = config, config.width
        self.state_width = config.components + len(HEAD)
        self.register_buffer("component_axes", torch.zeros(space.width, config.components))
        self.register_buffer("component_back", torch.zeros(config.components, space.width))
        self.null_speech = nn.Parameter(torch.zeros(w))
        self.speech = SpeechEmbedding(features, w, config.dropout)
        self.state_proj = nn.Linear(3 * self.state_width, w)
        self.time = nn.Sequential(
            nn.Linear(TIME_WIDTH, w), nn.SiLU(), nn.Linear(w, 2 * w * config.blocks)
        )
        block = (w, config.heads, config.kernel, config.dropout)
        self.blocks = nn.ModuleList([ConformerBlock(*block) for _ in range(config.blocks)])
        self.norm, self.out_proj = nn.LayerNorm(w), nn.Linear(w, self.state_width)

    @property
    def space(self) -> NormalisedSpace:
        """Of the motion."""
        space = self._space[0]
        assert isinstance(space, NormalisedSpace)
        return space

    def fit_components(self, motion: Tensor) -> None:
        """Learn the principal components of motion [N, width].

        A model that was trained has some already: the new ones are turned among themselves until
        they say most nearly the same (Procrustes).
        """
        normal = self.space.normalise(motion)
        _, spread, axes = torch.pca_lowrank(normal, self.config.components, center=False, niter=4)
        scale = (spread / len(normal) ** 0.5).clamp(min=1e-4)
        axes, back = axes / scale, (axes * scale).T
        if self.component_axes.any():
            # R = U V^T of the cross-covariance of new and old components.
            u, _, v = torch.linalg.svd((normal @ axes).T @ (normal @ self.component_axes))
            axes, back = axes @ (u @ v), (u @ v).T @ back
        self.component_axes.copy_(axes)
        self.component_back.copy_(back)

    def states(self, motion: Tensor, head: Tensor) -> Tensor:
        """Motion [B, T, width] and head values [B, T, 7] -> states [B, T, C]."""
        components = self.space.normalise(motion) @ self.component_axes
        return torch.cat([components, self.space.normalise_head(head)], -1)

    def motion_of(self, states: Tensor) -> Tensor:
        """States [B, T, C] -> motion [B, T, width]."""
        components = states[..., : self.config.components]
        return self.space.denormalise(components @ self.component_back)

    def head_of(self, states: Tensor) -> Tensor:
        """States [B, T, C] -> head values [B, T, 7]."""
        return self.space.denormalise_head(states[..., self.config.components :])

    def velocity(
        self,
        x: Tensor,
        t: Tensor,
        observed: tuple[Tensor, Tensor],
        speech_emb: Tensor,
        exists: Tensor,
    ) -> Tensor:
        """Direction of the flow: v(x, t | observed, speech).

        Args:
            x: states [B, T, C].
            t: times of the flow [B], 0..1.
            observed: values [B, T, C], and a mask [B, T, C] that is 1 where they hold.
            speech_emb: [B, T, W].
            exists: bool [B, T].

        Returns:
            [B, T, C]
        """
        values, mask = observed
        half = TIME_WIDTH // 2
        frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=x.device) / half)
        angles = t[:, None] * 1000 * frequencies
        modulation = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        modulation = modulation.reshape(len(x), -1, 2, 1, self.config.width)
        h = self.state_proj(torch.cat([x, values * mask, mask], -1)) + speech_emb
        for i, block in enumerate(self.blocks):
            h = block(h * (1 + modulation[:, i, 0]) + modulation[:, i, 1], exists)
        out: Tensor = self.out_proj(self.norm(h))
        return out

    def generate(
        self,
        conditions: Conditions,
        observed: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """See `MotionModel.generate`. The reference comes before everything that is said: its
        style is taken up (in-filling, as in Voicebox, Le et al. 2023)."""
        self.check(conditions)
        speech_emb = self.speech(conditions.speech)
        b, count = speech_emb.shape[:2]
        device, exists = speech_emb.device, conditions.exists
        if exists is None:
            exists = torch.ones(b, count, dtype=torch.bool, device=device)
        noise = frame_noise(first, count, self.state_width, seed).to(device).expand(b, -1, -1)
        values, mask = torch.zeros_like(noise), torch.zeros_like(noise)
        if conditions.head is not None:
            head = self.space.normalise_head(conditions.head)
            values[..., self.config.components :] = head.nan_to_num()
            mask[..., self.config.components :] = (~head.isnan()).float()
        if observed is not None and observed.shape[1]:
            values[:, : observed.shape[1]], mask[:, : observed.shape[1]] = observed, 1.0
        before = 0
        if conditions.reference is not None:
            state = conditions.reference.state.expand(b, -1, -1)
            before = state.shape[1]
            reference_emb = self.speech(conditions.reference.speech).expand(b, -1, -1)
            speech_emb = torch.cat([reference_emb, speech_emb], 1)
            exists = torch.cat([exists.new_ones(b, before), exists], 1)
            early = frame_noise(-NOISE_CHUNK * NOISE_CHUNK, before, self.state_width, seed)
            noise = torch.cat([early.to(device).expand(b, -1, -1), noise], 1)
            values = torch.cat([state, values], 1)
            mask = torch.cat([torch.ones_like(state), mask], 1)
        x = self._integrate(noise, (values, mask), speech_emb, exists)[:, before:]
        # Head values are adjusted when all is drawn: what is drawn next must not go on from what
        # was adjusted, and be adjusted again.
        head = self.head_of(x)
        adjust = conditions.adjust_head
        return Motion(self.motion_of(x), head if adjust is None else adjust(head), x)

    def _integrate(
        self,
        noise: Tensor,
        observed: tuple[Tensor, Tensor],
        speech_emb: Tensor,
        exists: Tensor,
    ) -> Tensor:
        """Follow the flow from noise at t = 0 to states at t = 1, by Euler's method."""
        x, steps, weight = noise, self.config.steps, self.config.guidance
        values, mask = observed
        for k in range(steps):
            t = torch.full((len(x),), k / steps, device=x.device)
            v = self.velocity(x, t, observed, speech_emb, exists)
            if weight != 1:
                # Classifier-free guidance: v = v0 + w (v - v0).
                null = self.null_speech.expand_as(speech_emb)
                without = self.velocity(x, t, observed, null, exists)
                v = without + weight * (v - without)
            # x(t) = (1 - t) x(0) + t x(1): go on to t + 1/steps on the line through both ends.
            end = x + (1 - k / steps) * v
            begin = torch.lerp(x - k / steps * v, noise, mask)
            x = torch.lerp(begin, torch.lerp(end, values, mask), (k + 1) / steps)
        return x
