"""A picture near the frame without any network on pixels: learned pictures that the latent mixes and moves.

An active appearance model (Cootes, Edwards and Taylor 2001), learned by gradient descent together with the codec: hair,
clothes and skin are moved, which keeps them sharp and costs next to nothing; the U-Net adds what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH = 0.02  # displacements, in halves of the picture's side, that belong to an output of 1
GAIN = 6.0  # pictures are held divided by this, so that pixels learn as fast as they should at the networks' learning rate


@dataclass(frozen=True)
class AppearanceConfig:
    """Shape of an appearance model."""

    pictures: int = 0  # that are mixed, beside the mean one; 0: there is no appearance model
    grid: int = 32  # side of the grid of displacements
    width: int = 512  # of the hidden layer that tells both from the latent


class AppearanceModel(nn.Module):
    """Latents [B, L] -> pictures [B, 3, S, S], float32, about -1..1."""

    def __init__(self, config: AppearanceConfig, size: int, latent_width: int):
        super().__init__()
        self.config, self.size = config, size
        self.mean = nn.Parameter(torch.zeros(1, 3, size, size))
        self.pictures = nn.Parameter(torch.zeros(config.pictures, 3, size, size))
        self.read = nn.Sequential(nn.Linear(latent_width, config.width), nn.SiLU())
        self.mix = nn.Linear(config.width, config.pictures)
        self.flow = nn.Linear(config.width, 2 * config.grid**2)
        nn.init.zeros_(self.flow.weight)
        nn.init.zeros_(self.flow.bias)

    def set_mean(self, picture: Tensor) -> None:
        """Begin with this picture [1, 3, S, S], not moved."""
        self.mean.data.copy_(picture / GAIN)

    def forward(self, latent: Tensor) -> Tensor:
        with torch.autocast(latent.device.type, enabled=False):  # a tenth of a pixel matters
            h = self.read(latent.to(self.mean.dtype))
            mixed = self.mean + (self.mix(h) @ self.pictures.flatten(1)).reshape(
                -1, 3, self.size, self.size
            )
            flow = REACH * self.flow(h).reshape(-1, 2, self.config.grid, self.config.grid)
            flow = F.interpolate(
                flow, size=(self.size, self.size), mode="bilinear", align_corners=False
            )
            line = (
                2 * torch.arange(self.size, device=latent.device, dtype=torch.float32) + 1
            ) / self.size - 1
            where = torch.stack([line[None] + flow[:, 0], line[:, None] + flow[:, 1]], -1)
            return F.grid_sample(GAIN * mixed, where, padding_mode="border", align_corners=False)
