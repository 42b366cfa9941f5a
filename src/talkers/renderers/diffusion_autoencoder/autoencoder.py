"""The diffusion autoencoder (Preechakul et al. 2022), stage 1 of DAE-Talker: an image encoder and a conditional
DDIM decoder, trained on single frames, decoded with one noise x_T shared by all frames of a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from talkers.renderers.diffusion_autoencoder import schedule
from talkers.renderers.diffusion_autoencoder.samplers import ddim_encode, ddim_sample
from talkers.renderers.diffusion_autoencoder.unet import (
    EncoderConfig,
    ImageEncoder,
    UNet,
    UNetConfig,
)


class FaceCodec(Protocol):
    """What every codec does. Pictures are float [B, 3, S, S] in -1..1, latents float [B, L]."""

    size: int
    latent_width: int

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures -> latents."""
        ...

    def decode(self, latents: Tensor, x_T: Tensor, steps: int) -> Tensor:
        """Latents and noise [B or 1, 3, S, S] -> pictures, by `steps` network passes."""
        ...


@dataclass(frozen=True)
class CodecConfig:
    """Everything that shapes a diffusion autoencoder."""

    size: int = 256  # side of the frames, pixels
    latent: int = 512  # numbers in a latent
    prediction: schedule.Prediction = "eps"  # what the U-Net outputs
    unet: UNetConfig = field(default_factory=UNetConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)


class DiffusionAutoencoder(nn.Module):
    """Frame <-> latent by diffusion; see `FaceCodec`."""

    levels: Tensor  # alpha_bar of every schedule position, [1000]

    def __init__(self, config: CodecConfig):
        super().__init__()
        self.config, self.size, self.latent_width = config, config.size, config.latent
        self.encoder = ImageEncoder(config.encoder, config.size, config.latent)
        self.unet = UNet(config.unet, config.size, config.latent)
        self.register_buffer(
            "levels", schedule.alpha_bars().to(torch.get_default_device()), persistent=False
        )

    def reset_constants(self) -> None:
        """Recompute what is not saved: after a model made on the meta device was filled, or changed its precision."""
        device = self.unet.enter.weight.device
        self.levels = schedule.alpha_bars().to(device)
        self.unet.time.frequencies = self.unet.time.sinusoid().to(device)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] in -1..1 -> latents [B, L]."""
        latents: Tensor = self.encoder(pictures)
        return latents

    def output(self, x_t: Tensor, t: Tensor, latents: Tensor, near: Tensor | None = None) -> Tensor:
        """The U-Net's raw prediction (x0, eps or v, see `CodecConfig.prediction`) at schedule positions t [B]; `near` as
        in `UNet.forward`."""
        out: Tensor = self.unet(x_t, t, latents, near)
        return out

    def denoise(self, x_t: Tensor, t: Tensor, latents: Tensor) -> Tensor:
        """The clean picture that the network sees in x_t: [B, 3, S, S] float32."""
        dtype = self.unet.enter.weight.dtype
        out = self.output(x_t.to(dtype), t, latents.to(dtype)).float()
        return schedule.x0_of(self.config.prediction, out, x_t, self.levels[t])

    def decode(self, latents: Tensor, x_T: Tensor, steps: int) -> Tensor:
        """Latents [B, L] -> pictures [B, 3, S, S] in -1..1 by DDIM from x_T [B or 1, 3, S, S]."""
        return ddim_sample(
            self.denoise, x_T.expand(len(latents), -1, -1, -1), latents, self.levels, steps
        )

    def encode_noise(self, pictures: Tensor, latents: Tensor, steps: int) -> Tensor:
        """The x_T that holds what the latents do not: decoding from it gives the pictures back (DAE, section 3.2)."""
        return ddim_encode(self.denoise, pictures, latents, self.levels, steps)


def shared_noise(size: int, seed: int) -> Tensor:
    """The one x_T of a video, [1, 3, size, size]; the same seed gives the same noise on every machine."""
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def from_frames(frames: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in -1..1."""
    return frames.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_frames(pictures: Tensor) -> Tensor:
    """float [B, 3, H, W] in -1..1 -> uint8 [B, H, W, 3]."""
    return (
        ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    )
