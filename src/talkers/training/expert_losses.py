"""Frozen experts that see points, as losses of a motion model."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from talkers.experts import load_expert
from talkers.experts.models import SyncExpert


class ExpertLosses(nn.Module):
    """A lip reader and a sync expert that judge lips read linearly off the latents.

    Args:
        points: [L, 81], normalised latents -> lip shape apart from its mean.
    """

    points: Tensor

    def __init__(self, points: Tensor):
        super().__init__()
        self.register_buffer("points", points, persistent=False)
        self.lips, self.sync = (load_expert(f"{task}-points").model for task in ("lips", "sync"))

    def losses(
        self, generated: Tensor, reference: Tensor, batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Losses of the generated lips.

        Args:
            generated: normalised latents [B, T, L] of a model.
            reference: those of the footage.
            batch: exists, usable and silent bool [B, T]; mel [B, 4 T, 80], if sync is judged.

        Returns:
            lips: how differently they are read, nats a frame; sync: how unlike lips and sound are
            where something is said, 0..2.
        """
        exists, usable = batch["exists"], batch["usable"]
        shown = [(x @ self.points) * exists[..., None] for x in (generated, reference)]
        # cuDNN's GRU has no gradient outside training
        with torch.backends.cudnn.flags(enabled=False):
            predicted, wanted = (self.lips(x) for x in shown)
        # lips = KL(p || q), p what is read of the footage and q of the generated lips
        divergence = (wanted.exp() * (wanted - predicted)).sum(-1)
        parts = {"lips": (divergence * usable).sum() / usable.sum().clamp(min=1)}
        if "mel" in batch:
            expert = cast(SyncExpert, self.sync)
            # sync = 1 - cos(see(lips), hear(sound)), both of unit length
            sound = expert.hear(batch["mel"].transpose(1, 2))
            likeness = (expert.see(shown[0]) * sound).sum(-1)
            spoken = usable & ~batch["silent"]
            parts["sync"] = ((1 - likeness) * spoken).sum() / spoken.sum().clamp(min=1)
        return parts
