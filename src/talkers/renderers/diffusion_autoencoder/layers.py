"""Building blocks of the diffusion autoencoder: residual blocks, attention, time embedding."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def zeroed(module: nn.Conv2d) -> nn.Conv2d:
    """A convolution that starts as zero, so that its block starts as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups, as in DAE, or the most that divide the channels."""
    return nn.GroupNorm(math.gcd(32, channels), channels)


def positions(channels: int, side: int) -> nn.Parameter:
    """Learned channels that give a network its place in the picture: [1, channels, side, side]."""
    return nn.Parameter(nn.init.uniform_(torch.empty(1, channels, side, side), -1, 1))


class TimeEmbedding(nn.Module):
    """Schedule positions [B] -> [B, width]: sinusoid -> Linear -> SiLU -> Linear (DAE)."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.channels = channels
        self.register_buffer(
            "frequencies", self.sinusoid().to(torch.get_default_device()), persistent=False
        )
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))

    frequencies: Tensor

    def sinusoid(self) -> Tensor:
        """Angular frequencies, from 1 down to 1e-4: [channels / 2]."""
        return torch.exp(
            -math.log(10_000)
            * torch.arange(self.channels // 2, device="cpu")
            / (self.channels // 2)
        )

    def forward(self, t: Tensor) -> Tensor:
        """Schedule positions [B] -> [B, width]."""
        angles = t.float()[:, None] * self.frequencies.float()
        out: Tensor = self.mlp(
            torch.cat([angles.cos(), angles.sin()], -1).to(next(self.mlp.parameters()).dtype)
        )
        return out


class ResBlock(nn.Module):
    """Residual block of DAE: GN, SiLU, (resample), conv, AdaGN, SiLU, dropout, zero conv.

    AdaGN (DAE, equation 7): h = GN(h) (1 + t_scale) + t_shift, then h (1 + c_scale). Without any
    condition, as in the image encoder, the block is its first half: GN, SiLU, (resample), conv.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        time_width: int = 0,
        latent_width: int = 0,
        dropout: float = 0.0,
        resample: str = "",
    ):
        super().__init__()
        self.resample = resample
        self.norm1, self.conv1 = group_norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = self.conv2 = None
        if time_width or latent_width:
            self.norm2, self.conv2 = (
                group_norm(outputs),
                zeroed(nn.Conv2d(outputs, outputs, 3, padding=1)),
            )
        self.time = nn.Linear(time_width, 2 * outputs) if time_width else None
        self.latent = nn.Linear(latent_width, outputs) if latent_width else None
        self.dropout = nn.Dropout(dropout)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample == "up":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.resample == "down" else x

    def forward(
        self, x: Tensor, time: Tensor | None = None, latent: Tensor | None = None
    ) -> Tensor:
        """Apply the block.

        Args:
            x: [B, C, H, W].
            time: [B, time_width].
            latent: [B, latent_width].

        Returns:
            [B, outputs, H', W']
        """
        h = self.conv1(self._resampled(F.silu(self.norm1(x))))
        # AdaGN: (GN(h) (1 + t_scale) + t_shift) (1 + c_scale), as one scale and one shift
        scale = shift = None
        if self.time is not None and time is not None:
            t_scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, 1)
            scale = 1 + t_scale
        if self.latent is not None and latent is not None:
            c_scale = 1 + self.latent(F.silu(latent))[:, :, None, None]
            scale = c_scale if scale is None else scale * c_scale
            shift = shift * c_scale if shift is not None else None
        if self.norm2 is not None and self.conv2 is not None:
            h = self.norm2(h)
            if scale is not None:
                h = h * scale if shift is None else torch.addcmul(shift, h, scale)
            h = self.conv2(self.dropout(F.silu(h)))
        out: Tensor = self.skip(self._resampled(x)) + h
        return out


class Attention(nn.Module):
    """Self-attention over the pixels of a map, one head, residual (as in DAE at 16 x 16)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, c, h * w).transpose(2, 3).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)  # [B, HW, C]
        out: Tensor = x + self.out(y.transpose(1, 2).reshape(b, c, h, w))
        return out
