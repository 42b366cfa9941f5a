"""The network that paints what a moved picture does not show: teeth, tongue, lids, irises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNSHUFFLE = 4  # side of the pixel blocks folded into channels
OWN, MIXED = 0.3, 0.1  # how far a colour is changed in training by itself and by the others
TONE = 4  # numbers that tell the colours of a patch: three means, one spread
CELL = 2 * UNSHUFFLE  # pixels of a patch's side to one place of the deepest features


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


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of one head: [B, Q, C], [B, K, C], [B, K, C] -> [B, Q, C]."""
    # softmax(Q K^T / sqrt C) V
    return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]


class DepthAttention(nn.Module):
    """Places of a patch look where its geometry says (DaGAN, Hong et al. 2022, equation 9).

    Args:
        width: channels of the features.
    """

    def __init__(self, width: int):
        super().__init__()
        self.query, self.key_value = _conv(2, width), nn.Conv2d(width, 2 * width, 1)
        self.out_proj = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, depth: Tensor) -> Tensor:
        """Features [B, C, H, W] and depth of frame and source [B, 2, H, W] -> features."""
        key, value = (k.flatten(2).mT for k in self.key_value(x).chunk(2, 1))
        found = _attended(self.query(depth).flatten(2).mT, key, value)
        out: Tensor = x + self.out_proj(found.mT.reshape(x.shape))
        return out


class Memory(nn.Module):
    """What faces are like where a picture does not show it (MCNet, Hong and Xu 2023, section 3.3).

    The memory is learned and the same for everybody; a code of who is shown scales its slots, and
    places of a patch ask it for what they lack.

    Args:
        width: channels of the features.
        slots: of the memory.
    """

    def __init__(self, width: int, slots: int):
        super().__init__()
        self.slots = nn.Parameter(torch.randn(slots, width) * width**-0.5)
        self.code, self.query = nn.Linear(width, width), nn.Conv2d(width, width, 1)
        self.key_value = nn.Linear(width, 2 * width)
        self.out_proj = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] -> features."""
        # M' = (1 + W_c mean(F)) M, for each person
        memory = (1 + self.code(x.mean((2, 3))))[:, None] * self.slots
        key, value = self.key_value(memory).chunk(2, -1)
        found = _attended(self.query(x).flatten(2).mT, key, value)
        out: Tensor = x + self.out_proj(found.mT.reshape(x.shape))
        return out


class PatchNetwork(nn.Module):
    """A small U-Net on pixel-unshuffled patches: maps and moved patches -> what is added to them.

    Args:
        inputs: channels that it sees.
        width: channels of its first level; the second has half as many more.
        blocks: residual blocks a level.
        depth: whether it is told how far what it paints is; see `DepthAttention`.
        memory: slots of its memory, see `Memory`; 0: none.
        tone: whether it is told the colours that its patches had, see `colour_statistics`.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        blocks: int,
        depth: bool = False,
        memory: int = 0,
        tone: bool = False,
    ):
        super().__init__()
        deep = width * 3 // 2
        self.in_proj = _conv(inputs * UNSHUFFLE**2, width)
        self.tone = nn.Linear(TONE, width) if tone else None
        if self.tone is not None:
            nn.init.zeros_(self.tone.weight)
            nn.init.zeros_(self.tone.bias)
        self.down = nn.Sequential(*[_Block(width) for _ in range(blocks)])
        self.deeper = nn.Conv2d(width, deep, 2, stride=2)
        self.depth = DepthAttention(deep) if depth else None
        self.memory = Memory(deep, memory) if memory else None
        self.bottom = nn.Sequential(*[_Block(deep) for _ in range(blocks)])
        self.back = nn.Conv2d(deep, 4 * width, 1)
        self.up = nn.Sequential(*[_Block(width) for _ in range(blocks)])
        self.norm = nn.GroupNorm(8, width)
        self.out_proj = _conv(width, 3 * UNSHUFFLE**2)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]

    def forward(
        self, seen: Tensor, depth: Tensor | None = None, tone: Tensor | None = None
    ) -> Tensor:
        """Paint patches.

        Args:
            seen: [B, inputs, S, S].
            depth: [B, 2, S / CELL, S / CELL] of frame and source, where the network wants it.
            tone: [B, 4] mean and spread of the colours, where it wants them.

        Returns:
            [B, 3, S, S], in the unit of the colours
        """
        h = self.in_proj(F.pixel_unshuffle(seen, UNSHUFFLE))
        if self.tone is not None:
            h = h + self.tone(tone)[:, :, None, None]
        h = self.down(h)
        low = self.deeper(h)
        if self.depth is not None:
            low = self.depth(low, depth)
        if self.memory is not None:
            low = self.memory(low)
        deep = F.pixel_shuffle(self.back(self.bottom(low)), 2)
        out = self.out_proj(F.silu(self.norm(self.up(h + deep))))
        return F.pixel_shuffle(out, UNSHUFFLE)


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
    # c' = g M c + b: other casts, exposures and blacks than those of the people who were filmed.
    # A colour's own part changes most: teeth stay paler than lips
    changes = MIXED + (OWN - MIXED) * torch.eye(3, device=device)
    mix = torch.eye(3, device=device) + strength * changes * torch.randn(count, 3, 3, device=device)
    gain = torch.exp(strength * torch.randn(count, 1, 1, device=device) / 2)
    bias = strength * torch.randn(count, 3, 1, device=device) / 4
    mixed = [(gain * (mix @ p.flatten(2)) + bias).reshape(p.shape) for p in patches]
    return [m.clamp(-1, 1) for m in mixed]
