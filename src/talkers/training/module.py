"""What the modules of all stages have in common: optimiser, learning rate, seeded steps."""

from __future__ import annotations

from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch import nn

from talkers.training.progress import TrainingProgress, learning_rate


class LoopConfig(Protocol):
    """What the training loop reads of a stage's settings; see `talkers.systems.stages`."""

    @property
    def frames(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...

    @property
    def warmup(self) -> float: ...

    @property
    def gradient_clip(self) -> float: ...

    @property
    def decay(self) -> bool: ...

    @property
    def ema(self) -> float: ...

    @property
    def validate_every(self) -> int: ...

    @property
    def save_every(self) -> int: ...


class StageModule(pl.LightningModule):
    """What every stage's module does alike.

    AdamW, clipped gradients, a learning rate that follows the progress of training, and random
    numbers that depend on the position alone, so that resuming is exact. A subclass adds
    `training_step` and, if it likes, `validation_step`.

    Args:
        model: the component that is trained.
        config: the stage's settings.
        progress: of the training.
        seed: of the random numbers.
        frames_per_step: frames that a step sees (default: those of the config's batch).
    """

    def __init__(
        self,
        model: nn.Module,
        config: LoopConfig,
        progress: TrainingProgress,
        seed: int,
        frames_per_step: int | None = None,
    ):
        super().__init__()
        self.model = model
        self.config, self.seed = config, seed
        self.frames_per_step = frames_per_step or config.batch
        self._progress = [progress]  # in a list: not a submodule, and shared by the averaged copy

    @property
    def progress(self) -> TrainingProgress:
        """How far training is."""
        return self._progress[0]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over everything that is learnt."""
        parameters = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(
            parameters,
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
            fused=True,
        )

    def on_fit_start(self) -> None:
        """Take the motion's space along, which is no part of the model."""
        space = getattr(self.model, "space", None)
        if isinstance(space, nn.Module):
            space.to(self.device)

    def on_fit_end(self) -> None:
        """Bring it back."""
        space = getattr(self.model, "space", None)
        if isinstance(space, nn.Module):
            space.cpu()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.gradient_clip)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the step's random numbers, and set its learning rate."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) * 4099 + self.global_rank)
        config = self.config
        rate = learning_rate(
            self.progress.fraction, config.learning_rate, config.warmup, config.decay
        )
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
