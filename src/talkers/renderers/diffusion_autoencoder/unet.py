"""The decoder's U-Net and the image encoder of the diffusion autoencoder (DAE, table 6 of its
appendix).

One implementation serves the paper's networks and the compact one. The compact recipe works on
pixel-unshuffled pictures and adds what makes small networks see what matters: learned positional
channels, the latent also as a spatial map at the bottom, and an appearance model that gives most
of the picture, to which the network adds the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.configuration import limited
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig, AppearanceModel
from talkers.renderers.diffusion_autoencoder.layers import (
    Attention,
    ResBlock,
    TimeEmbedding,
    group_norm,
    positions,
    zeroed,
)


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the decoder's U-Net."""

    channels: int = limited(128, 1, 1024)  # of the first level
    multipliers: tuple[int | float, ...] = limited((1, 1, 2, 2, 4, 4), 0.01, 16)
    """Of each level's channels."""
    blocks: int = limited(2, 1, 8)  # residual blocks a level on the way down; one more going up
    attention: tuple[int, ...] = limited((16,), 1, 4096, may_be_empty=True)
    """Sides of the maps that get self-attention."""
    middle_blocks: int = limited(2, 0, 4)  # with attention between them
    resample_blocks: bool = True  # resample inside a residual block of its own (DAE), or plainly
    dropout: float = limited(0.1, 0, 1)
    time_width: int = limited(512, 1, 4096)
    unshuffle: int = limited(1, 1, 32)  # side of the pixel blocks folded into channels
    positional: int = limited(0, 0, 512)  # learned channels that give the network its place
    latent_map: int = limited(0, 0, 1024)  # channels of the latent's own map at the bottom
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    """What the output is added to (x0 prediction)."""


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the image encoder."""

    channels: int = limited(128, 1, 1024)
    multipliers: tuple[int | float, ...] = limited((1, 1, 2, 2, 4, 4, 4), 0.01, 16)
    blocks: int = limited(2, 1, 8)
    attention: tuple[int, ...] = limited((16,), 1, 4096, may_be_empty=True)
    resample_blocks: bool = True
    dropout: float = limited(0.1, 0, 1)
    unshuffle: int = limited(1, 1, 32)
    positional: int = limited(0, 0, 512)
    pool: int = limited(1, 1, 16)  # the last map is averaged to this side before the projection
    normalise: bool = False  # latents of zero mean and unit variance over their numbers
    components: int = limited(0, 0, 1024)
    """Numbers of the latent to which a linear layer on a small picture is added."""
    small: int = limited(64, 1, 256)  # side of that picture


class _Down(nn.Module):
    """One level on the way down."""

    def __init__(
        self,
        width: int,
        inputs: int,
        side: int,
        config: UNetConfig | EncoderConfig,
        time: int,
        latent: int,
        last: bool,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                ResBlock(inputs if i == 0 else width, width, time, latent, config.dropout)
                for i in range(config.blocks)
            ]
        )
        self.attention = nn.ModuleList(
            [
                Attention(width) if side in config.attention else nn.Identity()
                for _ in range(config.blocks)
            ]
        )
        self.down: nn.Module | None = None
        if not last:
            self.down = (
                ResBlock(width, width, time, latent, config.dropout, "down")
                if config.resample_blocks
                else nn.AvgPool2d(2)
            )

    def forward(self, x: Tensor, time: Tensor | None, latent: Tensor | None) -> list[Tensor]:
        outs = []
        for block, attend in zip(self.blocks, self.attention, strict=True):
            x = attend(block(x, time, latent))
            outs.append(x)
        if self.down is not None:
            outs.append(
                self.down(x, time, latent) if isinstance(self.down, ResBlock) else self.down(x)
            )
        return outs


class Still(NamedTuple):
    """What the first convolution makes of that part of its input that is the same in all frames of
    a video when they are decoded in one pass: the noise and the positions.

    Attributes:
        map: its output for them, with the bias: [1, C, S', S'].
        weight: its weights for what differs, the appearance model's picture.
    """

    map: Tensor
    weight: Tensor


class UNet(nn.Module):
    """Noise-conditional decoder network: (x_t, t, latent) -> prediction of the shape of x_t.

    Args:
        config: its shape.
        size: side of the pictures, pixels.
        latent_width: numbers in a latent.
    """

    def __init__(self, config: UNetConfig, size: int, latent_width: int):
        super().__init__()
        self.config = config
        widths = [round(config.channels * m) for m in config.multipliers]
        side, tw = size // config.unshuffle, config.time_width
        pixels = 3 * config.unshuffle**2
        self.time = TimeEmbedding(config.channels, tw)
        self.position = positions(config.positional, side) if config.positional else None
        self.appearance = (
            AppearanceModel(config.appearance, size, latent_width)
            if config.appearance.basis_images
            else None
        )
        seen = pixels * (1 + (self.appearance is not None))
        self.in_proj = nn.Conv2d(seen + config.positional, widths[0], 3, padding=1)
        skips, inputs = [widths[0]], widths[0]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            self.down.append(_Down(width, inputs, side, config, tw, latent_width, last))
            skips += [width] * (config.blocks + (not last))
            inputs, side = width, side if last else side // 2
        self.bottom = side
        self.latent_map = (
            nn.Linear(latent_width, config.latent_map * side**2) if config.latent_map else None
        )
        middle = [
            ResBlock(
                inputs + (config.latent_map if i == 0 else 0),
                inputs,
                tw,
                latent_width,
                config.dropout,
            )
            for i in range(config.middle_blocks)
        ]
        self.middle = nn.ModuleList(middle)
        self.middle_attention = Attention(inputs)
        self.up = nn.ModuleList()
        self.up_attention = nn.ModuleList()
        self.widen = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(
                    ResBlock(inputs + skips.pop(), width, tw, latent_width, config.dropout)
                )
                self.up_attention.append(
                    Attention(width) if side in config.attention else nn.Identity()
                )
                inputs = width
            if level:
                self.widen.append(
                    ResBlock(width, width, tw, latent_width, config.dropout, "up")
                    if config.resample_blocks
                    else nn.Upsample(scale_factor=2)
                )
                side *= 2
        self.out_proj = nn.Sequential(
            group_norm(inputs), nn.SiLU(), zeroed(nn.Conv2d(inputs, pixels, 3, padding=1))
        )

    def still(self, x: Tensor) -> Still | None:
        """See `Still`; None where there is no appearance model: then little would be saved.

        Args:
            x: what all frames are decoded from [1, 3, S, S].
        """
        if self.appearance is None:
            return None
        nothing = torch.zeros_like(x)
        seen = x.shape[1] * self.config.unshuffle**2
        weight = self.in_proj.weight[:, seen : 2 * seen]
        return Still(
            self.in_proj(self._seen(x, nothing)),
            weight.contiguous(memory_format=torch.channels_last),
        )

    def _seen(self, x: Tensor, base_image: Tensor | None) -> Tensor:
        """What the first convolution sees."""
        unshuffle = self.config.unshuffle
        seen = [
            F.pixel_unshuffle(p, unshuffle) if unshuffle > 1 else p
            for p in (x, base_image)
            if p is not None
        ]
        h = torch.cat([p.to(x.dtype) for p in seen], 1)
        if self.position is not None:
            h = torch.cat([h, self.position.to(h.dtype).expand(len(h), -1, -1, -1)], 1)
        return h.contiguous(memory_format=torch.channels_last)

    def _first(self, x: Tensor, base_image: Tensor | None, still: Still | None) -> Tensor:
        """The first convolution's output."""
        if still is None or base_image is None:
            first: Tensor = self.in_proj(self._seen(x, base_image))
            return first
        picture = F.pixel_unshuffle(base_image.to(x.dtype), self.config.unshuffle)
        picture = picture.contiguous(memory_format=torch.channels_last)
        return F.conv2d(picture, still.weight, padding=1) + still.map

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        latent: Tensor,
        base_image: Tensor | None = None,
        still: Still | None = None,
    ) -> Tensor:
        """Predict from a noisy picture.

        Args:
            x: [B, 3, S, S].
            t: schedule positions [B].
            latent: [B, L].
            base_image: the appearance model's picture [B, 3, S, S], if it is computed already.
            still: of x, where all rows of x are the same.

        Returns:
            [B, 3, S, S]
        """
        config, time = self.config, self.time(t)
        if base_image is None and self.appearance is not None:
            base_image = self.appearance(latent)
        h = self._first(x, base_image, still)
        skips = [h]
        for level in self.down:
            skips += level(skips[-1], time, latent)
        h = skips[-1]
        for i, block in enumerate(self.middle):
            if i == 0 and self.latent_map is not None:
                spatial = self.latent_map(latent).reshape(len(h), -1, self.bottom, self.bottom)
                h = torch.cat([h, spatial.to(h.dtype)], 1)
            h = block(h, time, latent)
            if i == 0:
                h = self.middle_attention(h)
        per_level = config.blocks + 1
        for i, (block, attend) in enumerate(zip(self.up, self.up_attention, strict=True)):
            h = attend(block(torch.cat([h, skips.pop()], 1), time, latent))
            if i % per_level == per_level - 1 and i // per_level < len(self.widen):
                widen = self.widen[i // per_level]
                h = widen(h, time, latent) if isinstance(widen, ResBlock) else widen(h)
        out: Tensor = self.out_proj(h)
        if config.unshuffle > 1:
            out = F.pixel_shuffle(out, config.unshuffle)
        return out if base_image is None else out.float() + base_image


class ImageEncoder(nn.Module):
    """Frame -> latent: half of the U-Net without time, pooled and projected (DAE, section 3.1).

    Args:
        config: its shape.
        size: side of the pictures, pixels.
        latent_width: numbers in a latent.
    """

    centre: Tensor

    def __init__(self, config: EncoderConfig, size: int, latent_width: int):
        super().__init__()
        self.config = config
        widths = [round(config.channels * m) for m in config.multipliers]
        side = size // config.unshuffle
        self.position = positions(config.positional, side) if config.positional else None
        self.in_proj = nn.Conv2d(
            3 * config.unshuffle**2 + config.positional, widths[0], 3, padding=1
        )
        self.down = nn.ModuleList()
        inputs = widths[0]
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            self.down.append(_Down(width, inputs, side, config, 0, 0, last))
            inputs, side = width, side if last else side // 2
        self.norm = group_norm(inputs)
        self.middle = nn.Sequential(
            ResBlock(inputs, inputs, dropout=config.dropout),
            Attention(inputs),
            ResBlock(inputs, inputs, dropout=config.dropout),
        )
        self.project = nn.Conv2d(inputs * config.pool**2, latent_width, 1)
        self.components = (
            nn.Linear(3 * config.small**2, config.components) if config.components else None
        )
        if config.components:
            self.register_buffer("centre", torch.zeros(3 * config.small**2))

    def small(self, x: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] -> small ones, one row each."""
        return F.interpolate(x, (self.config.small, self.config.small), mode="area").flatten(1)

    def set_components(self, pictures: Tensor) -> None:
        """Begin with the principal components of these pictures, each of unit variance.

        From the first step on latents say where everything is: what reads them need not wait for
        the convolutions.

        Args:
            pictures: [N, 3, S, S].
        """
        if self.components is None:
            return
        # latent_k = a_k^T (x - mean) / std_k, a_k the principal axes of small pictures x
        rows = self.small(pictures)
        self.centre.copy_(rows.mean(0))
        count = min(self.config.components, len(rows) - 1)
        _, spread, axes = torch.pca_lowrank(rows - self.centre, count, center=False, niter=3)
        with torch.no_grad():
            self.components.bias.zero_()
            self.components.weight.zero_()[:count] = (
                axes / (spread / len(rows) ** 0.5).clamp(min=1e-3)
            ).T

    def forward(self, x: Tensor) -> Tensor:
        """x [B, 3, S, S] in -1..1 -> latents [B, L]."""
        picture = x
        h = F.pixel_unshuffle(x, self.config.unshuffle) if self.config.unshuffle > 1 else x
        if self.position is not None:
            h = torch.cat([h, self.position.to(h.dtype).expand(len(h), -1, -1, -1)], 1)
        h = self.in_proj(h.contiguous(memory_format=torch.channels_last))
        for level in self.down:
            h = level(h, None, None)[-1]
        h = F.silu(self.norm(self.middle(h)))
        pooled = F.adaptive_avg_pool2d(h, self.config.pool).flatten(1)[:, :, None, None]
        latent: Tensor = self.project(pooled).flatten(1).float()
        if self.components is not None:
            with torch.autocast(x.device.type, enabled=False):
                linear = self.components(self.small(picture).float() - self.centre)
            latent = latent + F.pad(linear, (0, latent.shape[1] - linear.shape[1]))
        return F.layer_norm(latent, latent.shape[1:]) if self.config.normalise else latent
