"""Conformer blocks (Gulati et al. 2020): half feed-forward, attention, convolution, half
feed-forward.

Positions enter as rotary embeddings (Su et al. 2021), so that only distances matter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def check_shape(width: int, heads: int, kernel: int) -> None:
    """Raises ValueError: blocks of this shape cannot be built."""
    if heads < 1 or width % heads or width // heads % 2 or kernel % 2 == 0:
        raise ValueError("width must be an even multiple of heads, and kernel odd")


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(4 * width, width),
        nn.Dropout(dropout),
    )


def rotate(x: Tensor) -> Tensor:
    """Rotary position embedding of queries or keys: [B, heads, T, D] -> the same shape."""
    half = x.shape[-1] // 2
    frequencies = 10_000 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = torch.arange(x.shape[-2], device=x.device)[:, None] * frequencies
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class ConformerBlock(nn.Module):
    """One block: [B, T, width] -> [B, T, width]; `mask` [B, T] is true for frames that exist."""

    def __init__(self, width: int, heads: int, kernel: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.feed1, self.feed2 = _feed_forward(width, dropout), _feed_forward(width, dropout)
        self.norm_attention, self.qkv, self.out = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.norm_conv, self.expand = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm_depth, self.shrink = nn.LayerNorm(width), nn.Linear(width, width)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        b, t, w = x.shape
        q, k, v = (
            self.qkv(self.norm_attention(x))
            .reshape(b, t, 3, self.heads, w // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        y = F.scaled_dot_product_attention(
            rotate(q), rotate(k), v, attn_mask=mask[:, None, None, :]
        )
        out: Tensor = self.out(y.transpose(1, 2).reshape(b, t, w))
        return out

    def _convolve(self, x: Tensor, mask: Tensor) -> Tensor:
        h = F.glu(self.expand(self.norm_conv(x)), -1) * mask[..., None]
        h = self.depthwise(h.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.shrink(F.silu(self.norm_depth(h)))
        return out

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, width], mask bool [B, T] -> [B, T, width]."""
        x = x + 0.5 * self.feed1(x)
        x = x + self.dropout(self._attend(x, mask))
        x = x + self.dropout(self._convolve(x, mask))
        x = x + 0.5 * self.feed2(x)
        out: Tensor = self.norm(x)
        return out
