"""A picture near the frame without any network on pixels: learned pictures that the latent mixes
and moves.

An active appearance model (Cootes, Edwards and Taylor 2001), learned by gradient descent together
with the autoencoder. Hair, clothes and skin are moved, which keeps them sharp and costs next to
nothing; the U-Net adds what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.configuration import limited

DISPLACEMENT_SCALE = 0.02  # in halves of the picture's side, of an output of 1
IMAGE_SCALE = 6.0
"""Images are held divided by this: pixels then learn as fast as they should at the networks'
learning rate."""


@dataclass(frozen=True)
class AppearanceConfig:
    """Shape of an appearance model."""

    basis_images: int = limited(0, 0, 256)  # that are mixed; 0: there is no appearance model
    grid: int = limited(32, 1, 256)  # side of the grid of displacements
    width: int = limited(512, 1, 4096)  # of the hidden layer


class AppearanceModel(nn.Module):
    """Latents [B, L] -> pictures [B, 3, S, S], float32, about -1..1.

    Args:
        config: its shape.
        size: side of the pictures, pixels.
        latent_width: numbers in a latent.
    """

    def __init__(self, config: AppearanceConfig, size: int, latent_width: int):
        super().__init__()
        self.config, self.size = config, size
        self.base_image = nn.Parameter(torch.zeros(1, 3, size, size))
        self.basis_images = nn.Parameter(torch.zeros(config.basis_images, 3, size, size))
        self.trunk = nn.Sequential(nn.Linear(latent_width, config.width), nn.SiLU())
        self.coefficients = nn.Linear(config.width, config.basis_images)
        self.displacement = nn.Linear(config.width, 2 * config.grid**2)
        nn.init.zeros_(self.displacement.weight)
        nn.init.zeros_(self.displacement.bias)

    def set_base_image(self, picture: Tensor) -> None:
        """Begin with this picture [1, 3, S, S], not moved."""
        self.base_image.data.copy_(picture / IMAGE_SCALE)

    def forward(self, latent: Tensor) -> Tensor:
        """Latents [B, L] -> pictures [B, 3, S, S]."""
        size, grid = self.size, self.config.grid
        with torch.autocast(latent.device.type, enabled=False):  # a tenth of a pixel matters
            h = self.trunk(latent.to(self.base_image.dtype))
            # I = I_0 + sum_k c_k I_k
            mixed = self.coefficients(h) @ self.basis_images.flatten(1)
            image = self.base_image + mixed.reshape(-1, 3, size, size)
            # I(p + d(p)), the displacements d interpolated from a coarse grid
            flow = DISPLACEMENT_SCALE * self.displacement(h).reshape(-1, 2, grid, grid)
            flow = F.interpolate(flow, size=(size, size), mode="bilinear", align_corners=False)
            line = torch.arange(size, device=latent.device, dtype=torch.float32)
            line = (2 * line + 1) / size - 1
            where = torch.stack([line[None] + flow[:, 0], line[:, None] + flow[:, 1]], -1)
            return F.grid_sample(
                IMAGE_SCALE * image, where, padding_mode="border", align_corners=False
            )
