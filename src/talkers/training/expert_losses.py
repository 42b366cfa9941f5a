"""Frozen experts that see landmarks, as losses of a motion model."""

from __future__ import annotations

from torch import Tensor, nn

from talkers.experts import Expert
from talkers.registry import component, names


class ExpertLosses(nn.Module):
    """The registered experts that see landmarks judge lips read linearly off the latents.

    Args:
        points: [L, 81], normalised latents -> lip shape apart from its mean.
    """

    points: Tensor

    def __init__(self, points: Tensor):
        super().__init__()
        self.register_buffer("points", points, persistent=False)
        loaded = (component("expert", name).load()(name, None) for name in names("expert"))
        self.experts: list[Expert] = [expert for expert in loaded if expert.sees == "landmarks"]
        # those that are modules go along to a device
        self.networks = nn.ModuleList(e for e in self.experts if isinstance(e, nn.Module))

    def losses(
        self, generated: Tensor, reference: Tensor, batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Losses of the generated lips.

        Args:
            generated: normalised latents [B, T, L] of a model.
            reference: those of the footage.
            batch: exists, usable and silent bool [B, T]; mel [B, 4 T, 80], if sync is judged.

        Returns:
            the experts' losses by name; see `Expert.loss`.
        """
        exists = batch["exists"][..., None]
        lips = [(latents @ self.points) * exists for latents in (generated, reference)]
        parts: dict[str, Tensor] = {}
        for expert in self.experts:
            parts |= expert.loss(lips[0], lips[1], batch)
        return parts
