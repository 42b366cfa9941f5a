"""The decoder's U-Net and the image encoder of the diffusion autoencoder (DAE, table 6 of its appendix).

One implementation serves the paper's networks and the compact one; the compact recipe works on pixel-unshuffled
pictures and adds what makes small networks see what matters: learned positional channels, the latent entering also as
a spatial map at the bottom, and a learned picture that the latent warps (so that hair and clothes are moved, which is
sharp, rather than painted anew), to which the network adds the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talkers.codec.layers import Attention, ResBlock, TimeEmbedding, group_norm, zeroed


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the decoder's U-Net."""

    channels: int = 128  # of the first level
    multipliers: tuple[int | float, ...] = (1, 1, 2, 2, 4, 4)  # of each level's channels
    blocks: int = 2  # residual blocks a level on the way down; one more on the way up
    attention: tuple[int, ...] = (16,)  # sides of the maps that get self-attention
    middle_blocks: int = 2  # with attention between them
    resample_blocks: bool = True  # resample inside a residual block of its own (DAE), or plainly
    dropout: float = 0.1
    time_width: int = 512
    unshuffle: int = 1  # side of the pixel blocks folded into channels
    positional: int = 0  # learned channels that tell the network where it is
    latent_map: int = 0  # channels of the latent's own map at the bottom
    mean_picture: bool = False  # learn a picture that the network's output is added to (x0 prediction)
    warp: int = 0  # side of the grid of displacements that the latent moves that picture by; 0: it stays where it is


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the image encoder."""

    channels: int = 128
    multipliers: tuple[int | float, ...] = (1, 1, 2, 2, 4, 4, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (16,)
    resample_blocks: bool = True
    dropout: float = 0.1
    unshuffle: int = 1
    positional: int = 0
    pool: int = 1  # the last map is averaged to this side before the projection
    normalise: bool = False  # latents of zero mean and unit variance over their 512 numbers


class _Down(nn.Module):
    """One level on the way down."""

    def __init__(self, width: int, inputs: int, side: int, config: UNetConfig | EncoderConfig, time: int, latent: int, last: bool):
        super().__init__()
        self.blocks = nn.ModuleList([ResBlock(inputs if i == 0 else width, width, time, latent, config.dropout) for i in range(config.blocks)])
        self.attention = nn.ModuleList([Attention(width) if side in config.attention else nn.Identity() for _ in range(config.blocks)])
        self.down: nn.Module | None = None
        if not last:
            self.down = ResBlock(width, width, time, latent, config.dropout, "down") if config.resample_blocks else nn.AvgPool2d(2)

    def forward(self, x: Tensor, time: Tensor | None, latent: Tensor | None) -> list[Tensor]:
        outs = []
        for block, attend in zip(self.blocks, self.attention, strict=True):
            x = attend(block(x, time, latent))
            outs.append(x)
        if self.down is not None:
            outs.append(self.down(x, time, latent) if isinstance(self.down, ResBlock) else self.down(x))
        return outs


class Warp(nn.Module):
    """Latents [B, L] -> displacements [B, 2, grid, grid], in halves of the picture's side (x, y); none at first."""

    def __init__(self, grid: int, latent_width: int):
        super().__init__()
        self.grid, self.project = grid, nn.Linear(latent_width, 2 * grid**2)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, latent: Tensor) -> Tensor:
        with torch.autocast(latent.device.type, enabled=False):  # a tenth of a pixel matters
            flow: Tensor = self.project(latent.to(self.project.weight.dtype)).float()
        return 0.02 * flow.reshape(-1, 2, self.grid, self.grid)


def moved(picture: Tensor, flow: Tensor) -> Tensor:
    """A picture [1, C, H, W] seen through displacements [B, 2, g, g] -> float32 [B, C, H, W]."""
    side = picture.shape[2:]
    flow = F.interpolate(flow, size=side, mode="bicubic", align_corners=False)
    y, x = ((2 * torch.arange(n, device=flow.device, dtype=torch.float32) + 1) / n - 1 for n in side)
    grid = torch.stack([x[None] + flow[:, 0], y[:, None] + flow[:, 1]], -1)
    return F.grid_sample(picture.float().expand(len(flow), -1, -1, -1), grid, padding_mode="border", align_corners=False)


class UNet(nn.Module):
    """Noise-conditional decoder network: (x_t, t, latent) -> prediction of the shape of x_t."""

    def __init__(self, config: UNetConfig, size: int, latent_width: int):
        super().__init__()
        self.config = config
        widths = [round(config.channels * m) for m in config.multipliers]
        side, tw = size // config.unshuffle, config.time_width
        pixels = 3 * config.unshuffle**2
        self.time = TimeEmbedding(config.channels, tw)
        self.position = nn.Parameter(0.5 * torch.randn(1, config.positional, side, side)) if config.positional else None
        self.mean = nn.Parameter(torch.zeros(1, 3, size, size)) if config.mean_picture else None
        self.warp = Warp(config.warp, latent_width) if config.warp else None
        self.enter = nn.Conv2d(pixels + config.positional, widths[0], 3, padding=1)
        self.enter_mean = zeroed(nn.Conv2d(pixels, widths[0], 3, padding=1)) if config.warp else None
        skips, inputs = [widths[0]], widths[0]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            self.down.append(_Down(width, inputs, side, config, tw, latent_width, last))
            skips += [width] * (config.blocks + (not last))
            inputs, side = width, side if last else side // 2
        self.bottom = side
        self.latent_map = nn.Linear(latent_width, config.latent_map * side**2) if config.latent_map else None
        middle = [ResBlock(inputs + (config.latent_map if i == 0 else 0), inputs, tw, latent_width, config.dropout) for i in range(config.middle_blocks)]
        self.middle = nn.ModuleList(middle)
        self.middle_attention = Attention(inputs)
        self.up = nn.ModuleList()
        self.up_attention = nn.ModuleList()
        self.widen = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(ResBlock(inputs + skips.pop(), width, tw, latent_width, config.dropout))
                self.up_attention.append(Attention(width) if side in config.attention else nn.Identity())
                inputs = width
            if level:
                self.widen.append(ResBlock(width, width, tw, latent_width, config.dropout, "up") if config.resample_blocks else nn.Upsample(scale_factor=2))
                side *= 2
        self.leave = nn.Sequential(group_norm(inputs), nn.SiLU(), zeroed(nn.Conv2d(inputs, pixels, 3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, latent: Tensor) -> Tensor:
        """x [B, 3, S, S], t [B] schedule positions, latent [B, L] -> [B, 3, S, S]."""
        config, time = self.config, self.time(t)
        h = F.pixel_unshuffle(x, config.unshuffle) if config.unshuffle > 1 else x
        position: Tensor | None = self.position
        mean: Tensor | None = self.mean
        if self.warp is not None and mean is not None:
            flow = self.warp(latent)
            mean = moved(mean, flow)
            position = moved(position, flow) if position is not None else None
        if position is not None:
            h = torch.cat([h, position.to(h.dtype).expand(len(h), -1, -1, -1)], 1)
        h = self.enter(h.contiguous(memory_format=torch.channels_last))
        if self.enter_mean is not None and mean is not None:
            seen = F.pixel_unshuffle(mean, config.unshuffle) if config.unshuffle > 1 else mean
            h = h + self.enter_mean(seen.to(h.dtype).contiguous(memory_format=torch.channels_last))
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
        out: Tensor = self.leave(h)
        if config.unshuffle > 1:
            out = F.pixel_shuffle(out, config.unshuffle)
        if mean is not None:
            out = out.float() + mean.float()
        return out


class ImageEncoder(nn.Module):
    """Frame -> latent: half of the U-Net without time, pooled and projected (DAE, section 3.1)."""

    def __init__(self, config: EncoderConfig, size: int, latent_width: int):
        super().__init__()
        self.config = config
        widths = [round(config.channels * m) for m in config.multipliers]
        side = size // config.unshuffle
        self.position = nn.Parameter(0.5 * torch.randn(1, config.positional, side, side)) if config.positional else None
        self.enter = nn.Conv2d(3 * config.unshuffle**2 + config.positional, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        inputs = widths[0]
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            self.down.append(_Down(width, inputs, side, config, 0, 0, last))
            inputs, side = width, side if last else side // 2
        self.norm = group_norm(inputs)
        self.middle = nn.Sequential(ResBlock(inputs, inputs, dropout=config.dropout), Attention(inputs), ResBlock(inputs, inputs, dropout=config.dropout))
        self.project = nn.Conv2d(inputs * config.pool**2, latent_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, 3, S, S] in -1..1 -> latents [B, L]."""
        h = F.pixel_unshuffle(x, self.config.unshuffle) if self.config.unshuffle > 1 else x
        if self.position is not None:
            h = torch.cat([h, self.position.to(h.dtype).expand(len(h), -1, -1, -1)], 1)
        h = self.enter(h.contiguous(memory_format=torch.channels_last))
        for level in self.down:
            h = level(h, None, None)[-1]
        h = F.silu(self.norm(self.middle(h)))
        pooled = F.adaptive_avg_pool2d(h, self.config.pool).flatten(1)[:, :, None, None]
        latent: Tensor = self.project(pooled).flatten(1).float()
        return F.layer_norm(latent, latent.shape[1:]) if self.config.normalise else latent
