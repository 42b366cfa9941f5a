"""Train a component by its own loss: what plug-ins need to write no training code."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from talkers.training.module import StageModule


@runtime_checkable
class Trainable(Protocol):
    """A component that knows its own loss."""

    def training_loss(self, batch: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """The loss of a batch, or its parts, whose sum is the loss.

        Args:
            batch: of a renderer frame uint8 [B, S, S, 3], boxes int16 [B, 3, 4] and descriptors
                float32 [B, 133]; of a motion model features [B, 2 T, F], latents [B, T, L], head
                [B, T, 7], and exists, usable and silent bool [B, T].
        """
        ...


class TrainableModule(StageModule):
    """Training step of a component that knows its own loss."""

    def _loss(self, batch: dict[str, Tensor], kind: str) -> Tensor:
        loss = cast(Trainable, self.model).training_loss(batch)
        parts = loss if isinstance(loss, dict) else {"loss": loss}
        for name, value in parts.items():
            size = len(next(iter(batch.values())))
            self.log(f"{kind}/{name}", value, prog_bar=True, batch_size=size, sync_dist=True)
        return torch.stack(list(parts.values())).sum()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The component's own loss."""
        return self._loss(batch, "train")

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same on held-out clips."""
        self._loss(batch, "val")
