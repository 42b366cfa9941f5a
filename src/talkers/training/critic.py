"""A critic that learns to tell painted patches from real ones, and what painting learns from it.

Where a picture does not say what is to be seen, as behind closed lips, an error in pixels asks for
the mean of all that could be there: grey in place of teeth. A critic asks for one of them (Isola et
al. 2017), and of what its features see (Wang et al. 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32  # channels of the first level; each level has twice as many as the one before
LEVELS = 3
FEATURES_WEIGHT = 2.0  # of the error of the critic's features beside its opinion


class PatchCritic(nn.Module):
    """Says of each part of a patch whether it is real, knowing what is to be painted there.

    Args:
        inputs: channels of what it sees.
    """

    def __init__(self, inputs: int):
        super().__init__()
        widths = [inputs, *(WIDTH * 2**level for level in range(LEVELS))]
        self.levels = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in widths[1:])
        self.opinion = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Opinions and features.

        Args:
            seen: [B, inputs, S, S].

        Returns:
            [B, 1, S / 8, S / 8], positive where it is real, and the features of each level.
        """
        features: list[Tensor] = []
        seen = seen.contiguous(memory_format=torch.channels_last)
        for level, norm in zip(self.levels, self.norms, strict=True):
            seen = F.leaky_relu(norm(level(seen)), 0.2)
            features.append(seen)
        return self.opinion(seen), features

    def losses(
        self, painted: Tensor, wanted: Tensor, known: Tensor, weight: Tensor
    ) -> dict[str, Tensor]:
        """What the critic learns from, and what the painter does.

        Args:
            painted: [B, 3, S, S] in plain colours.
            wanted: likewise, the real ones.
            known: [B, C, S, S] what both are told.
            weight: [B, 1, S, S] how much each place counts.

        Returns:
            `critic`, whose gradient reaches the critic alone, and `real`, which reaches the painter
            alone.
        """
        self.requires_grad_(False)
        opinion, features = self(torch.cat([painted, known], 1))
        self.requires_grad_(True)
        pair = torch.cat([wanted, painted.detach()])
        opinions, seen = self(torch.cat([pair, known.repeat(2, 1, 1, 1)], 1))
        of_real, of_painted = opinions.chunk(2)
        # L_D = E max(0, 1 - D(x)) + E max(0, 1 + D(G)), L_G = -E D(G) + w |f(G) - f(x)|
        where = F.adaptive_avg_pool2d(weight, opinion.shape[-2:])
        where = where / where.mean()
        critic = (where * (F.relu(1 - of_real) + F.relu(1 + of_painted))).mean()
        apart = sum(
            (found - real.chunk(2)[0].detach()).abs().mean()
            for found, real in zip(features, seen, strict=True)
        )
        fooled = -(where * opinion).mean()
        return {"critic": critic, "real": fooled + FEATURES_WEIGHT * apart}
