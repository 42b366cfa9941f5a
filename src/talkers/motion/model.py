"""speech2latent, stage 2 of DAE-Talker (its figure 2): speech features -> convolutional downsampling -> Conformer
encoder -> pose adaptor -> Conformer decoder -> one latent a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.motion.conformer import ConformerBlock

HEAD = ("yaw", "pitch", "roll", "x", "y", "scale", "blink")
"""What the pose adaptor steers: three angles in degrees, position and scale as shares of the frame's side, blink 0..1."""

MOUTH = 6  # principal shapes of the mouth
LOOK = 16  # principal ways in which takes differ that are neither head nor mouth: hair, clothes, light


@dataclass(frozen=True)
class MotionConfig:
    """Shape of speech2latent."""

    width: int = 256
    encoder_blocks: int = 2
    decoder_blocks: int = 2
    heads: int = 4
    kernel: int = 13  # of the Conformers' convolutions, frames
    dropout: float = 0.1
    pose_hidden: int = 64  # width of the pose predictor's and projector's LSTMs


class Motion(NamedTuple):
    """latents: [B, T, L]. head: [B, T, 7], what the pose predictor would do, in the order of HEAD."""

    latents: Tensor
    head: Tensor


class MotionModel(Protocol):
    """What every motion model does."""

    def __call__(self, features: Tensor, head: Tensor | None = None, mask: Tensor | None = None, adjust: Callable[[Tensor], Tensor] | None = None) -> Motion:
        """Speech features and, if given, head poses -> latents; see `Speech2Latent.forward`."""
        ...


class Speech2Latent(nn.Module):
    """Regresses latents from frozen speech features, with a pose adaptor; see `MotionModel`.

    Latents and head values are normalised inside by statistics of the corpus, kept as buffers.

    Args:
        features: width of the speech features.
        latent: numbers in a latent.
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

    def __init__(self, config: MotionConfig, features: int, latent: int):
        super().__init__()
        self.config, w = config, config.width
        block = (w, config.heads, config.kernel, config.dropout)
        self.enter = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, w), nn.SiLU(), nn.Dropout(config.dropout))
        self.downsample = nn.Conv1d(w, w, 3, stride=2, padding=1)  # 50 Hz -> 25 Hz
        self.encoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.encoder_blocks)])
        self.predictor = nn.LSTM(w, config.pose_hidden, 2, batch_first=True)
        self.predict = nn.Linear(config.pose_hidden, len(HEAD))
        self.projector = nn.LSTM(len(HEAD), config.pose_hidden, 2, batch_first=True)
        self.project = nn.Linear(config.pose_hidden, w)
        self.decoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.decoder_blocks)])
        self.leave = nn.Linear(w, latent)
        for name, count in (("latent", latent), ("head", len(HEAD))):
            self.register_buffer(f"{name}_mean", torch.zeros(count))
            self.register_buffer(f"{name}_std", torch.ones(count))
        self.register_buffer("mouth_read", torch.zeros(latent, MOUTH))
        self.register_buffer("mouth_write", torch.zeros(MOUTH, latent))
        self.register_buffer("mouth_rest", torch.zeros(MOUTH))
        self.register_buffer("look_axes", torch.zeros(latent, LOOK))
        self.register_buffer("look_worn", torch.zeros(LOOK))

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

    def look_of(self, latents: Tensor) -> Tensor:
        """The look of a take, from its latents [T, L]: [LOOK]."""
        return (((latents - self.latent_mean) / self.latent_std) @ self.look_axes).mean(0)

    def articulate(self, latents: Tensor, amplitude: float, look: Tensor | None = None) -> Tensor:
        """Latents [T, L] with the mouth moved `amplitude` times as far from where it rests, and one look throughout.

        Args:
            look: [LOOK], see `look_of` (default: the commonest of the footage).
        """
        normal = (latents - self.latent_mean) / self.latent_std
        worn = (self.look_worn if look is None else look) - normal @ self.look_axes
        opened = (amplitude - 1) * (normal @ self.mouth_read - self.mouth_rest) @ self.mouth_write
        return latents + opened + worn @ self.look_axes.T * self.latent_std

    def forward(self, features: Tensor, head: Tensor | None = None, mask: Tensor | None = None, adjust: Callable[[Tensor], Tensor] | None = None) -> Motion:
        """Speak.

        Args:
            features: [B, 2 T, F], two a frame.
            head: [B, T, 7] poses to take (measured ones in training: teacher forcing); NaN asks for the predicted
                value, None for all of them.
            mask: bool [B, T], which frames exist (None: all).
            adjust: predicted head poses [B, T, 7] -> the ones to take in their place.

        Returns:
            latents in the codec's units and the head poses predicted, adjusted if they are.
        """
        x = self.enter(features)
        x = self.downsample(x.transpose(1, 2)).transpose(1, 2)
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        for block in self.encoder:
            x = block(x, mask)
        predicted = self.predict(self.predictor(x)[0])  # normalised
        if adjust is not None:
            predicted = (adjust(predicted * self.head_std + self.head_mean) - self.head_mean) / self.head_std
        used = predicted
        if head is not None:
            given = (head - self.head_mean) / self.head_std
            used = torch.where(given.isnan(), predicted, given)
        x = x + self.project(self.projector(used)[0])
        for block in self.decoder:
            x = block(x, mask)
        latents = self.leave(x)
        return Motion(latents * self.latent_std + self.latent_mean, predicted * self.head_std + self.head_mean)


def at_frames(features: Tensor, feature_rate: float, frame_rate: float, first: int, count: int) -> Tensor:
    """Speech features two a frame, by linear interpolation at quarter and three-quarter of each frame.

    Args:
        features: [N, F] at feature_rate a second.
        first, count: frames wanted; beyond the end the last feature is repeated.

    Returns:
        [2 count, F]
    """
    if feature_rate == 2 * frame_rate and len(features) >= 2 * (first + count):
        return features[2 * first : 2 * (first + count)]
    times = (first + (torch.arange(2 * count, device=features.device) + 0.5) / 2) / frame_rate
    position = (times * feature_rate - 0.5).clamp(0, len(features) - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=len(features) - 1)
    return torch.lerp(features[low], features[high], (position - low)[:, None])


def velocity(x: Tensor) -> Tensor:
    """Frame-to-frame differences: [B, T, C] -> [B, T - 1, C]."""
    return x[:, 1:] - x[:, :-1]


def masked_mse(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of [B, T, C] over the frames in mask [B, T]."""
    error = F.mse_loss(a, b, reduction="none").mean(-1)
    return (error * mask).sum() / mask.sum().clamp(min=1)
