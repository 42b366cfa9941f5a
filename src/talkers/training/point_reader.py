"""A network that reads key points off patches, and what painting learns from it.

Key points of footage tremble, and an error in pixels asks for the mean of all that may be seen
where they are: eyes that look half as far as they should, lips half as narrow. A reader learns off
real patches where their key points are, by soft argmax (Sun et al. 2018); painted patches must show
those by which they were painted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = 32, 64  # channels of the two levels, each half as wide as what it sees
BLOCKS = 2


class PointReader(nn.Module):
    """Says where key points lie in patches.

    Args:
        count: of the key points.
    """

    def __init__(self, count: int):
        super().__init__()
        first, second = WIDTHS
        self.enter = nn.Conv2d(3, first, 4, stride=2, padding=1)
        self.deeper = nn.Conv2d(first, second, 4, stride=2, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in WIDTHS)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(second, second, 3, padding=1),
                nn.GroupNorm(8, second),
                nn.SiLU(),
                nn.Conv2d(second, second, 3, padding=2, dilation=2),
            )
            for _ in range(BLOCKS)
        )
        self.heat = nn.Conv2d(second, count, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [B, 3, P, P] in plain colours -> places [B, K, 2] in the region's square, whose
        corners are -1 and 1."""
        found = patches.contiguous(memory_format=torch.channels_last)
        for level, norm in zip((self.enter, self.deeper), self.norms, strict=True):
            found = F.silu(norm(level(found)))
        for block in self.blocks:
            found = found + block(found)
        heat = self.heat(found).float()
        # p = sum_q softmax(h)(q) q
        share = heat.flatten(2).softmax(-1).reshape(heat.shape)
        line = (torch.arange(heat.shape[-1], device=heat.device) + 0.5) / heat.shape[-1] * 2 - 1
        return torch.stack([(share.sum(2) * line).sum(-1), (share.sum(3) * line).sum(-1)], -1)

    def losses(self, painted: Tensor, real: Tensor, points: Tensor) -> dict[str, Tensor]:
        """What the reader learns from, and what the painter does.

        Args:
            painted: [B, 3, P, P] in plain colours.
            real: likewise.
            points: [B, K, 2] where key points are in both.

        Returns:
            `reader`, whose gradient reaches the reader alone, and `points`, which reaches the
            painter alone: distances in half sides of the region.
        """
        self.requires_grad_(False)
        shown = self(painted)
        self.requires_grad_(True)
        return {
            "reader": (self(real.detach()) - points).abs().mean(),
            "points": (shown - points).abs().mean(),
        }
