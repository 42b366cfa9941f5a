"""speech2latent, stage 2 of DAE-Talker (its figure 2): speech features -> convolutional downsampling -> Conformer
encoder -> pose adaptor -> Conformer decoder -> one latent a frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.motion.conformer import ConformerBlock
from talkers.motion.contract import Motion
from talkers.space.linear import HEAD, Adjust, LatentSpace


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
    pose_adaptor: bool = True  # False: the decoder is not told of the head (the paper's ablation)


class Speech2Latent(LatentSpace):
    """Regresses latents from frozen speech features, with a pose adaptor; see `MotionModel`."""

    def __init__(self, config: MotionConfig, features: int, latent: int):
        super().__init__(features, latent, config.width, config.dropout)
        self.config, w = config, config.width
        block = (w, config.heads, config.kernel, config.dropout)
        self.encoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.encoder_blocks)])
        self.predictor = nn.LSTM(w, config.pose_hidden, 2, batch_first=True)
        self.predict = nn.Linear(config.pose_hidden, len(HEAD))
        self.projector = nn.LSTM(len(HEAD), config.pose_hidden, 2, batch_first=True)
        self.project = nn.Linear(config.pose_hidden, w)
        self.decoder = nn.ModuleList([ConformerBlock(*block) for _ in range(config.decoder_blocks)])
        self.leave = nn.Linear(w, latent)

    def forward(
        self,
        features: Tensor,
        head: Tensor | None = None,
        mask: Tensor | None = None,
        adjust: Adjust | None = None,
        known: Tensor | None = None,
        first: int = 0,
        seed: int = 0,
    ) -> Motion:
        """See `MotionModel`; `head` is the measured one in training (teacher forcing). Nothing is sampled here: `known`,
        `first` and `seed` change nothing."""
        x = self.hear(features)
        if mask is None:
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        for block in self.encoder:
            x = block(x, mask)
        predicted = self.predict(self.predictor(x)[0])  # normalised
        if adjust is not None:
            predicted = (
                adjust(predicted * self.head_std + self.head_mean) - self.head_mean
            ) / self.head_std
        used = predicted
        if head is not None:
            given = (head - self.head_mean) / self.head_std
            used = torch.where(given.isnan(), predicted, given)
        if self.config.pose_adaptor:
            x = x + self.project(self.projector(used)[0])
        for block in self.decoder:
            x = block(x, mask)
        latents = self.leave(x)
        return Motion(
            latents * self.latent_std + self.latent_mean, predicted * self.head_std + self.head_mean
        )


def velocity(x: Tensor) -> Tensor:
    """Frame-to-frame differences: [B, T, C] -> [B, T - 1, C]."""
    return x[:, 1:] - x[:, :-1]


def masked_mse(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of [B, T, C] over the frames in mask [B, T]."""
    error = F.mse_loss(a, b, reduction="none").mean(-1)
    return (error * mask).sum() / mask.sum().clamp(min=1)
