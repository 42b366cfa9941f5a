"""What every motion model has: a corpus's statistics, where in the latents the mouth is, and the look of its takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

HEAD = ("yaw", "pitch", "roll", "x", "y", "scale", "blink")
"""What a user steers: three angles in degrees, position and scale as shares of the frame's side, blink 0..1."""

MOUTH = 6  # principal shapes of the mouth
LOOK = 64  # principal ways in which takes differ that are neither head nor mouth: hair, clothes, light

Adjust = Callable[[Tensor], Tensor]


class Motion(NamedTuple):
    """latents: [B, T, L]. head: [B, T, 7], what the model itself would do (adjusted), in the order of HEAD. state:
    [B, T, C], what a model that samples wants to know of frames that are settled when it goes on."""

    latents: Tensor
    head: Tensor
    state: Tensor | None = None


class Look(NamedTuple):
    """What stays as it is throughout a take. worn: [LOOK], hair, clothes, light. shift: [L], added to all latents."""

    worn: Tensor
    shift: Tensor


class MotionModel(Protocol):
    """What every motion model does."""

    def __call__(self, features: Tensor, head: Tensor | None = None, mask: Tensor | None = None, adjust: Adjust | None = None,
                 known: Tensor | None = None, first: int = 0, seed: int = 0) -> Motion:  # fmt: skip
        """Speak.

        Args:
            features: [B, 2 T, F], two a frame.
            head: [B, T, 7] poses to take; NaN asks for the model's own value, None for all of them.
            mask: bool [B, T], which frames exist (None: all).
            adjust: the model's own head poses [B, T, 7] -> the ones to take in their place.
            known: state of the first frames, which are settled.
            first: number of the first frame in the whole talk, and
            seed: of what is sampled: each frame has its own noise, whatever window it is in.
        """
        ...


class LatentSpace(nn.Module):
    """Latents and head values are normalised by statistics of the corpus, kept as buffers.

    Args:
        features: width of the speech features.
        latent: numbers in a latent.
        width: of the network.
    """

    latent_mean: Tensor
    latent_std: Tensor
    head_mean: Tensor
    head_std: Tensor
    mouth_read: Tensor
    mouth_write: Tensor
    mouth_rest: Tensor
    look_axes: Tensor
    look_worn: Tensor

    def __init__(self, features: int, latent: int, width: int, dropout: float):
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width), nn.SiLU(), nn.Dropout(dropout))
        self.downsample = nn.Conv1d(width, width, 3, stride=2, padding=1)  # 50 Hz -> 25 Hz
        for name, count in (("latent", latent), ("head", len(HEAD))):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_std", torch.ones(count))
        self.register_buffer("mouth_read", torch.zeros(latent, MOUTH))
        self.register_buffer("mouth_write", torch.zeros(MOUTH, latent))
        self.register_buffer("mouth_rest", torch.zeros(MOUTH))
        self.register_buffer("look_axes", torch.zeros(latent, LOOK))
        self.register_buffer("look_worn", torch.zeros(LOOK))

    def hear(self, features: Tensor) -> Tensor:
        """Speech features [B, 2 T, F] -> [B, T, width]."""
        heard: Tensor = self.downsample(self.enter(features).transpose(1, 2)).transpose(1, 2)
        return heard

    def set_statistics(self, latents: Tensor, head: Tensor) -> None:
        """Take normalisation from a corpus: latents [N, L], head [N, 7]."""
        self.latent_mean.copy_(latents.mean(0))
        self.latent_std.copy_(latents.std(0).clamp(min=1e-4))
        self.head_mean.copy_(head.mean(0))
        self.head_std.copy_(head.std(0).clamp(min=1e-4))

    def set_mouth(self, latents: Tensor, mouth: Tensor, still: Tensor) -> None:
        """Learn where in the latents the mouth is.

        Args:
            latents: [N, L]. mouth: [N, K] its measured shape. still: bool [N], frames in which it rests (silence).
        """
        x = (latents - self.latent_mean) / self.latent_std
        y = (mouth - mouth.mean(0)) / mouth.std(0).clamp(min=1e-3)
        _, _, axes = torch.pca_lowrank(y, MOUTH, center=False)
        scores = y @ axes  # [N, MOUTH]
        eye = torch.eye(x.shape[1])
        self.mouth_read.copy_(torch.linalg.solve(x.T @ x / len(x) + 1e-2 * eye, x.T @ scores / len(x)))
        told = x @ self.mouth_read
        self.mouth_write.copy_(torch.linalg.lstsq(told, latents - latents.mean(0)).solution)
        self.mouth_rest.copy_(told[still].mean(0) if still.any() else told.mean(0))

    def set_look(self, clips: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Learn how takes differ apart from head and mouth, and which look is the commonest; that one will be worn.

        Speech does not say how the hair was combed that day; left to itself, a regressor wanders from one take's look to
        another's while it speaks.

        Args:
            clips: latents [T, L] and head values [T, 7] of each.
        """
        pairs = [((x - self.latent_mean) / self.latent_std, (h - self.head_mean) / self.head_std) for x, h in clips if len(x)]
        pairs = [(x, torch.cat([h, x @ self.mouth_read], 1)) for x, h in pairs]
        within = [torch.cat([p[k] - p[k].mean(0) for p in pairs]) for k in (0, 1)]
        moved = torch.linalg.lstsq(within[1], within[0]).solution  # [7 + MOUTH, L]: what head and mouth do to latents
        taken = torch.linalg.qr(moved.T).Q
        looks = torch.stack([x.mean(0) for x, _ in pairs])
        free = looks - looks @ taken @ taken.T
        spread = free - free.mean(0)
        axes = torch.linalg.svd(spread, full_matrices=False).Vh[:LOOK].T
        count = min(axes.shape[1], max(0, len(pairs) - 1))
        axes = axes[:, :count]
        told = free @ axes
        commonest = torch.cdist(told, told).median(1).values.argmin()
        self.look_axes.zero_()
        self.look_worn.zero_()
        self.look_axes[:, :count] = axes
        self.look_worn[:count] = told[commonest]

    def look_of(self, latents: Tensor) -> Look:
        """What a take wears, from its latents [T, L]; not shifted."""
        return Look((((latents - self.latent_mean) / self.latent_std) @ self.look_axes).mean(0), torch.zeros_like(self.latent_mean))

    def articulate(self, latents: Tensor, amplitude: float, look: Look | None = None) -> Tensor:
        """Latents [T, L] with the mouth moved `amplitude` times as far from where it rests, and one look throughout.

        Args:
            look: see `look_of` (default: the commonest of the footage).
        """
        normal = (latents - self.latent_mean) / self.latent_std
        worn = (self.look_worn if look is None else look.worn) - normal @ self.look_axes
        opened = (amplitude - 1) * (normal @ self.mouth_read - self.mouth_rest) @ self.mouth_write
        out = latents + opened + worn @ self.look_axes.T * self.latent_std
        return out if look is None else out + look.shift
