"""Eigenfaces (Turk and Pentland 1991) as a renderer: a linear autoencoder of whole frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.renderers.contract import Identity, Needs, RenderOptions, RenderState, from_frames


@dataclass(frozen=True)
class EigenfacesConfig:
    """Size of the frames and of the motion."""

    type: str = "eigenfaces"
    size: int = limited(64, 16, 256)  # side of the frames, pixels
    components: int = limited(32, 8, 512)  # numbers in a motion vector


class EigenfacesRenderer(nn.Module):
    """Frame <-> components of a frame; see `talkers.renderers.contract.FaceCodec`.

    Args:
        config: its size.
    """

    needs: Needs = "nothing"

    def __init__(self, config: EigenfacesConfig):
        super().__init__()
        self.config, self.size, self.motion_width = config, config.size, config.components
        pixels = 3 * config.size**2
        self.read = nn.Linear(pixels, config.components)
        self.write = nn.Linear(config.components, pixels)

    def prepare_for(self, device: torch.device) -> None:
        """See `Renderer.prepare_for`."""
        self.eval().requires_grad_(False).to(device)

    def identity(self, source: Tensor | None = None) -> Identity:
        """See `Renderer.identity`: the person is in the weights."""
        return Identity()

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """See `MotionEncoder.encode`."""
        components: Tensor = self.read(pictures.flatten(1))
        return components

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        """See `Renderer.render`; nothing is drawn by chance."""
        pixels: Tensor = self.write(motion.to(self.write.weight))
        return pixels.reshape(-1, 3, self.size, self.size).clamp(-1, 1)

    def training_loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `talkers.training.trainable.Trainable`."""
        pictures = from_frames(batch["frame"])
        # |x - W (R x)|^2, over all pixels; unclamped, so that every pixel learns
        again = self.write(self.encode(pictures)).reshape(pictures.shape)
        return {"pixels": (again - pictures).square().mean()}
