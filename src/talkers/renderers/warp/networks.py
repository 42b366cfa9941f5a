"""The network that paints what a moved picture does not show: teeth, tongue, lids, irises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class _Block(nn.Module):
    """Two convolutions whose result is added."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.conv1, self.conv2 = _conv(width, width), _conv(width, width)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        out: Tensor = x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))
        return out


class PatchNetwork(nn.Module):
    """A small U-Net on pixel-unshuffled patches: maps and moved patches -> what is added to them.

    Args:
        inputs: channels that it sees.
        width: channels of its first level; the second has half as many more.
        blocks: residual blocks a level.
        unshuffle: side of the pixel blocks folded into channels.
    """

    def __init__(self, inputs: int, width: int, blocks: int, unshuffle: int = 4):
        super().__init__()
        self.unshuffle, deep = unshuffle, width * 3 // 2
        self.in_proj = _conv(inputs * unshuffle**2, width)
        self.down = nn.Sequential(*[_Block(width) for _ in range(blocks)])
        self.deeper = nn.Conv2d(width, deep, 2, stride=2)
        self.bottom = nn.Sequential(*[_Block(deep) for _ in range(blocks)])
        self.back = nn.Conv2d(deep, 4 * width, 1)
        self.up = nn.Sequential(*[_Block(width) for _ in range(blocks)])
        self.norm = nn.GroupNorm(8, width)
        self.out_proj = _conv(width, 3 * unshuffle**2)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def forward(self, seen: Tensor) -> Tensor:
        """[B, inputs, S, S] -> [B, 3, S, S], in the unit of the colours."""
        h = self.down(self.in_proj(F.pixel_unshuffle(seen, self.unshuffle)))
        deep = F.pixel_shuffle(self.back(self.bottom(self.deeper(h))), 2)
        out = self.out_proj(F.silu(self.norm(self.up(h + deep))))
        return F.pixel_shuffle(out, self.unshuffle)


def colour_statistics(patch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B, 3, 1, 1] and one standard deviation [B, 1, 1, 1] of a patch's colours."""
    mean = patch.mean((2, 3), keepdim=True)
    return mean, (patch - mean).std((1, 2, 3), keepdim=True).clamp(min=0.05)


def plain_colours(patch: Tensor, statistics: tuple[Tensor, Tensor]) -> Tensor:
    """A patch in colours that do not depend on light, camera and skin."""
    mean, std = statistics
    return (patch - mean) / std


@torch.no_grad()
def recoloured(patches: list[Tensor], strength: float) -> list[Tensor]:
    """Patches [B, 3, S, S] that belong together, in other colours, all of a row alike."""
    count, device = len(patches[0]), patches[0].device
    # c' = g M c + b: other casts, exposures and blacks than those of the people who were filmed
    mix = torch.eye(3, device=device) + strength * torch.randn(count, 3, 3, device=device) / 2
    gain = torch.exp(strength * torch.randn(count, 1, 1, device=device) / 2)
    bias = strength * torch.randn(count, 3, 1, device=device) / 4
    mixed = [(gain * (mix @ p.flatten(2)) + bias).reshape(p.shape) for p in patches]
    return [m.clamp(-1, 1) for m in mixed]
