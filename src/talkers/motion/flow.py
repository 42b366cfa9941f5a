"""Motion that is sampled: a flow-matching transformer (Lipman et al. 2023) over the shapes of the face and the head pose of
all frames of a window at once. A regressor averages what speech does not determine; this draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.motion.conformer import ConformerBlock
from talkers.motion.contract import Context, Motion
from talkers.space.linear import HEAD, Adjust, LatentSpace

TIME = 64  # numbers that tell the time of the flow
CHUNK = 64  # frames whose noise is drawn together
NEAR = 9  # frames on either side that a frame's noise has a share of


@dataclass(frozen=True)
class FlowConfig:
    """Shape of a motion sampler."""

    width: int = 256
    blocks: int = 4
    heads: int = 4
    kernel: int = 13  # of the Conformers' convolutions, frames
    dropout: float = 0.1
    shapes: int = 64  # principal components of the latents that are sampled
    steps: int = 8  # of the flow, network passes (two each with guidance)
    guidance: float = 1.7  # how much more than the data's own weight speech has; 1: its own


def smoothed(white: Tensor) -> Tensor:
    """White noise [B, T + 2 NEAR, C] -> unit noise [B, T, C] that changes slowly, as faces do, with some trembling left: a
    flow that begins with it need not learn first that frames follow each other."""
    kernel = torch.exp(-((torch.arange(-NEAR, NEAR + 1, device=white.device) / 3.0) ** 2) / 2)
    kernel = 0.9 * kernel / kernel.norm()
    kernel[NEAR] += 0.4
    b, count, width = white.shape
    mixed = F.conv1d(
        white.transpose(1, 2).reshape(b * width, 1, count), (kernel / kernel.norm())[None, None]
    )
    return mixed.float().reshape(b, width, -1).transpose(1, 2)


def frame_noise(first: int, count: int, width: int, seed: int) -> Tensor:
    """Noise of frames first..first + count, the same whatever run of frames it is asked for: [count, width]."""
    start, end, drawn = first - NEAR, first + count + NEAR, []
    for chunk in range(start // CHUNK, (end - 1) // CHUNK + 1):
        generator = torch.Generator().manual_seed(
            seed * 1_000_003 + chunk + 2 * CHUNK
        )  # there are chunks before the first
        drawn.append(torch.randn(CHUNK, width, generator=generator))
    start -= start // CHUNK * CHUNK
    return smoothed(torch.cat(drawn)[None, start : start + count + 2 * NEAR])[0]


class FlowMotion(LatentSpace):
    """Samples latents and head poses given speech; see `MotionModel`.

    A frame's row x holds `shapes` principal components of its normalised latent and its normalised head values. Rows that
    are known (settled frames, head values that a user gives) follow the straight path to what is known.
    """

    shape_axes: Tensor
    shape_back: Tensor

    def __init__(self, config: FlowConfig, features: int, latent: int):
        super().__init__(features, latent, config.width, config.dropout)
        self.config, w = config, config.width
        self.row = config.shapes + len(HEAD)
        self.register_buffer("shape_axes", torch.zeros(latent, config.shapes))
        self.register_buffer("shape_back", torch.zeros(config.shapes, latent))
        self.unheard = nn.Parameter(torch.zeros(w))
        self.place = nn.Linear(3 * self.row, w)
        self.time = nn.Sequential(
            nn.Linear(TIME, w), nn.SiLU(), nn.Linear(w, 2 * w * config.blocks)
        )
        self.blocks = nn.ModuleList(
            [
                ConformerBlock(w, config.heads, config.kernel, config.dropout)
                for _ in range(config.blocks)
            ]
        )
        self.norm, self.leave = nn.LayerNorm(w), nn.Linear(w, self.row)

    def set_statistics(self, latents: Tensor, head: Tensor) -> None:
        """Take normalisation and principal components from a corpus: latents [N, L], head [N, 7]. Where it has some already, with
        which it was trained, the new ones are turned among themselves until what they tell is most like that (Procrustes)."""
        super().set_statistics(latents, head)
        normal = (latents - self.latent_mean) / self.latent_std
        _, spread, axes = torch.pca_lowrank(normal, self.config.shapes, center=False, niter=4)
        scale = (spread / len(normal) ** 0.5).clamp(min=1e-4)
        axes, back = axes / scale, (axes * scale).T
        if self.shape_axes.any():
            u, _, v = torch.linalg.svd((normal @ axes).T @ (normal @ self.shape_axes))
            axes, back = axes @ (u @ v), (u @ v).T @ back
        self.shape_axes.copy_(axes)
        self.shape_back.copy_(back)

    def rows(self, latents: Tensor, head: Tensor) -> Tensor:
        """Latents [B, T, L] and head values [B, T, 7] -> rows [B, T, C]."""
        return torch.cat(
            [
                (latents - self.latent_mean) / self.latent_std @ self.shape_axes,
                (head - self.head_mean) / self.head_std,
            ],
            -1,
        )

    def _latents(self, rows: Tensor) -> Tensor:
        return (
            rows[..., : self.config.shapes] @ self.shape_back * self.latent_std + self.latent_mean
        )

    def _heads(self, rows: Tensor) -> Tensor:
        return rows[..., self.config.shapes :] * self.head_std + self.head_mean

    def velocity(
        self, x: Tensor, t: Tensor, known: Tensor, given: Tensor, heard: Tensor, mask: Tensor
    ) -> Tensor:
        """Direction of the flow at rows x [B, T, C] and times t [B] in 0..1.

        Args:
            known: [B, T, C], where given [B, T, C] is 1: what the rows will be.
            heard: [B, T, W], see `hear`. mask: bool [B, T].
        """
        angles = (
            t[:, None]
            * 1000
            * torch.exp(-math.log(10_000) * torch.arange(TIME // 2, device=x.device) / (TIME // 2))
        )
        told = self.time(torch.cat([angles.cos(), angles.sin()], -1)).reshape(
            len(x), -1, 2, 1, self.config.width
        )
        h = self.place(torch.cat([x, known * given, given], -1)) + heard
        for i, block in enumerate(self.blocks):
            h = block(h * (1 + told[:, i, 0]) + told[:, i, 1], mask)
        out: Tensor = self.leave(self.norm(h))
        return out

    def forward(
        self,
        features: Tensor,
        head: Tensor | None = None,
        mask: Tensor | None = None,
        adjust: Adjust | None = None,
        known: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
        context: Context | None = None,
    ) -> Motion:
        """See `MotionModel`; state holds the rows.

        Args:
            context: a reference clip, which comes before everything that is said: its style is taken up (in-filling, as
                in Voicebox, Le et al. 2023).
        """
        heard = self.hear(features)
        b, count = heard.shape[:2]
        if mask is None:
            mask = torch.ones(b, count, dtype=torch.bool, device=heard.device)
        noise = frame_noise(first, count, self.row, seed).to(heard.device).expand(b, -1, -1)
        goal, given = torch.zeros_like(noise), torch.zeros_like(noise)
        if head is not None:
            asked = (head - self.head_mean) / self.head_std
            goal[..., self.config.shapes :], given[..., self.config.shapes :] = (
                asked.nan_to_num(),
                (~asked.isnan()).float(),
            )
        if known is not None and known.shape[1]:
            goal[:, : known.shape[1]], given[:, : known.shape[1]] = known, 1.0
        before = 0
        if context is not None:
            before = context.state.shape[1]
            state = context.state.expand(b, -1, -1)
            heard = torch.cat([self.hear(context.features).expand(b, -1, -1), heard], 1)
            mask = torch.cat([mask.new_ones(b, before), mask], 1)
            noise = torch.cat(
                [
                    frame_noise(-CHUNK * CHUNK, before, self.row, seed)
                    .to(heard.device)
                    .expand(b, -1, -1),
                    noise,
                ],
                1,
            )
            goal, given = torch.cat([state, goal], 1), torch.cat([torch.ones_like(state), given], 1)
        x, steps, weight = noise, self.config.steps, self.config.guidance
        for k in range(steps):
            t = torch.full((b,), k / steps, device=x.device)
            v = self.velocity(x, t, goal, given, heard, mask)
            if weight != 1:
                without = self.velocity(x, t, goal, given, self.unheard.expand_as(heard), mask)
                v = without + weight * (v - without)
            end = x + (1 - k / steps) * v  # where the flow would end
            begun = torch.lerp(x - k / steps * v, noise, given)
            x = torch.lerp(begun, torch.lerp(end, goal, given), (k + 1) / steps)
        x = x[:, before:]
        heads = self._heads(
            x
        )  # adjusted when all is drawn: what is drawn next must not go on from what was adjusted, and be adjusted again
        return Motion(self._latents(x), heads if adjust is None else adjust(heads), x)
