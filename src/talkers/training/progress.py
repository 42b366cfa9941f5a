"""How far a training is: by frames seen, or by a budget of time; and what follows from it for the learning rate."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class TrainingProgress(pl.Callback):
    """Ends training at a number of frames or a time budget (whichever is first) and says how far it is.

    Time already spent is kept in checkpoints, so that a resumed training ends when an uninterrupted one would.
    """

    def __init__(self, frames: int, budget: float | None = None):
        self.frames, self.budget = frames, budget
        self.seen, self.spent = 0, 0.0
        self._last: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "spent": self.spent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.spent = int(state["seen"]), float(state["spent"])

    @property
    def fraction(self) -> float:
        """0 at the start, 1 at the end."""
        done = self.seen / self.frames
        return min(1.0, max(done, self.spent / self.budget) if self.budget else done)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        self.spent += now - (self._last or now)
        self._last = now
        self.seen += int(getattr(pl_module, "frames_per_step", 1)) * trainer.world_size
        if self.budget and trainer.world_size > 1:  # all ranks go by the first one's clock
            self.spent = trainer.strategy.broadcast(self.spent)
        if self.fraction >= 1:
            trainer.should_stop = True


def learning_rate(fraction: float, peak: float, warmup: float, decay: bool) -> float:
    """Linear warm-up over the first `warmup` of training, then constant, or a cosine down to 1 % of the peak."""
    if fraction < warmup:
        return peak * (0.05 + 0.95 * fraction / warmup)
    if not decay:
        return peak
    rest = (fraction - warmup) / max(1e-9, 1 - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest)))


class MetricsLog(pl.Callback):
    """Appends one JSON line to metrics.jsonl at every validation and every `every` steps."""

    def __init__(self, path: Path, pace: TrainingProgress, every: int = 50):
        self.path, self.pace, self.every = path, pace, every

    def _write(self, trainer: pl.Trainer, kind: str) -> None:
        if not trainer.is_global_zero:
            return
        values = {k: round(float(v), 6) for k, v in trainer.callback_metrics.items()}
        line = {
            "kind": kind,
            "step": trainer.global_step,
            "frames": self.pace.seen,
            "seconds": round(self.pace.spent, 1),
            **values,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step % self.every == 0:
            self._write(trainer, "train")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._write(trainer, "validation")
