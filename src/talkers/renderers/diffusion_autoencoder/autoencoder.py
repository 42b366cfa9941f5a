"""The diffusion autoencoder (Preechakul et al. 2022), stage 1 of DAE-Talker: an image encoder and
a conditional DDIM decoder, trained on single frames, decoded with one noise x_T shared by all
frames of a video."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.hardware import bfloat16_pays
from talkers.renderers.contract import Identity, Needs, RenderOptions, RenderState
from talkers.renderers.diffusion_autoencoder import schedule
from talkers.renderers.diffusion_autoencoder.graphs import GraphedDecoder
from talkers.renderers.diffusion_autoencoder.samplers import ddim_encode, ddim_sample
from talkers.renderers.diffusion_autoencoder.unet import (
    EncoderConfig,
    ImageEncoder,
    Still,
    UNet,
    UNetConfig,
)


@dataclass(frozen=True)
class CodecConfig:
    """Everything that shapes a diffusion autoencoder."""

    type: str = "diffusion_autoencoder"
    size: int = limited(256, 1, 2048)  # side of the frames, pixels
    latent: int = limited(512, 1, 8192)  # numbers in a latent
    prediction: schedule.Prediction = "eps"  # what the U-Net outputs
    unet: UNetConfig = field(default_factory=UNetConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)

    def __post_init__(self) -> None:
        if self.encoder.components > self.latent:
            raise ValueError("encoder.components must not be more than latent")
        cells = self.unet.unshuffle * 2 ** (len(self.unet.multipliers) - 1)
        if cells > 0 and self.size % cells:
            raise ValueError(
                "size cannot be halved as often as unet asks for: use a multiple of 32, or fewer "
                "multipliers"
            )


class DiffusionAutoencoder(nn.Module):
    """Frame <-> latent by diffusion: a renderer and a motion encoder; see `FaceCodec`."""

    needs: Needs = "nothing"
    levels: Tensor  # alpha_bar of every schedule position, [1000]

    def __init__(self, config: CodecConfig):
        super().__init__()
        self.config, self.size, self.motion_width = config, config.size, config.latent
        self.encoder = ImageEncoder(config.encoder, config.size, config.latent)
        self.unet = UNet(config.unet, config.size, config.latent)
        levels = schedule.alpha_bars().to(torch.get_default_device())
        self.register_buffer("levels", levels, persistent=False)
        self._graphed: GraphedDecoder | None = None

    def reset_constants(self) -> None:
        """Compute again what is not saved: after a model made on the meta device was filled, or
        changed its precision."""
        device = self.unet.in_proj.weight.device
        self.levels = schedule.alpha_bars().to(device)
        self.unet.time.frequencies = self.unet.time.sinusoid().to(device)

    def prepare_for(self, device: torch.device) -> None:
        """See `Renderer.prepare_for`: bfloat16 where it pays, CUDA graphs on a GPU."""
        self.eval().requires_grad_(False).to(device)
        # A tenth of a pixel, a grey level: these parts need full precision.
        exact = deepcopy(self.unet.appearance), deepcopy(self.encoder.components)
        centre = self.encoder.state_dict().get("centre")
        dtype = torch.bfloat16 if bfloat16_pays(device) else torch.float32
        self.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.unet.appearance, self.encoder.components = exact
        if centre is not None:
            self.encoder.centre = centre
        self.reset_constants()
        self._graphed = GraphedDecoder(self.decode) if device.type == "cuda" else None

    def identity(self, source: Tensor | None = None, landmarks: Tensor | None = None) -> Identity:
        """See `Renderer.identity`: the person is in the weights."""
        return Identity()

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        """See `Renderer.render`; motion are latents, identity and background change nothing."""
        held = state.values if state is not None else {}
        if "noise" not in held:
            held["noise"] = shared_noise(self.size, options.seed).to(self.levels.device)
        motion = motion.to(self.levels.device)
        if self._graphed is not None:
            return self._graphed(motion, held["noise"], options.steps)
        if options.steps > 1 or self.levels.device.type != "cpu":
            return self.decode(motion, held["noise"], options.steps)
        if "still" not in held:
            held["still"] = self.unet.still(held["noise"].to(self.unet.in_proj.weight.dtype))
        return self.decode(motion, held["noise"], 1, held["still"])

    def encode(self, pictures: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """Pictures [B, 3, S, S] in -1..1 -> latents [B, L]; landmarks are not used."""
        latents: Tensor = self.encoder(pictures)
        return latents

    def output(
        self,
        x_t: Tensor,
        t: Tensor,
        latents: Tensor,
        base_image: Tensor | None = None,
        still: Still | None = None,
    ) -> Tensor:
        """The U-Net's raw prediction (x0, eps or v, see `CodecConfig.prediction`).

        Args:
            x_t: [B, 3, S, S].
            t: schedule positions [B].
            latents: [B, L].
            base_image, still: as in `UNet.forward`.
        """
        out: Tensor = self.unet(x_t, t, latents, base_image, still)
        return out

    def denoise(
        self, x_t: Tensor, t: Tensor, latents: Tensor, still: Still | None = None
    ) -> Tensor:
        """The clean picture that the network sees in x_t: [B, 3, S, S] float32."""
        dtype = self.unet.in_proj.weight.dtype
        out = self.output(x_t.to(dtype), t, latents.to(dtype), still=still).float()
        return schedule.x0_of(self.config.prediction, out, x_t, self.levels[t])

    def decode(
        self, latents: Tensor, x_T: Tensor, steps: int, still: Still | None = None
    ) -> Tensor:
        """Latents [B, L] -> pictures [B, 3, S, S] in -1..1 by DDIM from x_T [B or 1, 3, S, S].

        `still` is of x_T, for one step: see `UNet.still`.
        """
        noise = x_T.expand(len(latents), -1, -1, -1)
        denoise = partial(self.denoise, still=still)
        return ddim_sample(denoise, noise, latents, self.levels, steps)

    def encode_noise(self, pictures: Tensor, latents: Tensor, steps: int) -> Tensor:
        """The x_T that holds what the latents do not: decoding from it gives the pictures back
        (DAE, section 3.2)."""
        return ddim_encode(self.denoise, pictures, latents, self.levels, steps)


def shared_noise(size: int, seed: int) -> Tensor:
    """The one x_T of a video: [1, 3, size, size], the same on every machine for the same seed."""
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
