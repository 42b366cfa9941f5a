"""How far a training is, by frames seen or by a budget of time, and the learning rate there."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl


class TrainingProgress(pl.Callback):
    """Ends training at a number of frames or a time budget (whichever is first).

    The time already used is kept in checkpoints, so that a resumed training ends when an
    uninterrupted one would.

    Args:
        frames: to see in all.
        budget: seconds of training, or None.

    Attributes:
        seen: frames seen so far.
        elapsed: seconds of training so far.
    """

    def __init__(self, frames: int, budget: float | None = None):
        self.frames, self.budget = frames, budget
        self.seen, self.elapsed = 0, 0.0
        self._last: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What checkpoints keep."""
        return {"seen": self.seen, "spent": self.elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint keeps."""
        self.seen, self.elapsed = int(state["seen"]), float(state["spent"])

    @property
    def fraction(self) -> float:
        """0 at the start, 1 at the end."""
        done = self.seen / self.frames
        return min(1.0, max(done, self.elapsed / self.budget) if self.budget else done)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step's frames and seconds, and end training when it is time."""
        now = time.monotonic()
        self.elapsed += now - (self._last or now)
        self._last = now
        self.seen += int(getattr(pl_module, "frames_per_step", 1)) * trainer.world_size
        if self.budget and trainer.world_size > 1:  # all ranks go by the first one's clock
            self.elapsed = trainer.strategy.broadcast(self.elapsed)
        if self.fraction >= 1:
            trainer.should_stop = True


def learning_rate(fraction: float, peak: float, warmup: float, decay: bool) -> float:
    """Linear warm-up, then constant or falling.

    Args:
        fraction: of training that is done, 0..1.
        peak: the highest learning rate.
        warmup: fraction of training in which it rises.
        decay: whether it falls to 1 % of the peak afterwards.
    """
    # warm-up: peak (0.05 + 0.95 f / w)
    if fraction < warmup:
        return peak * (0.05 + 0.95 * fraction / warmup)
    if not decay:
        return peak
    # decay: peak (0.01 + 0.99 (1 + cos(pi r)) / 2), r = (f - w) / (1 - w)
    rest = (fraction - warmup) / max(1e-9, 1 - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * rest)))


class MetricsLog(pl.Callback):
    """Appends one JSON line to metrics.jsonl at every validation and every `every` steps.

    Args:
        path: of the file.
        stage: that is trained, named in every line.
        progress: of the training.
        every: steps between lines.
    """

    def __init__(self, path: Path, stage: str, progress: TrainingProgress, every: int = 50):
        self.path, self.stage, self.progress, self.every = path, stage, progress, every

    def _write(self, trainer: pl.Trainer, kind: str) -> None:
        if not trainer.is_global_zero:
            return
        values = {k: round(float(v), 6) for k, v in trainer.callback_metrics.items()}
        line = {
            "stage": self.stage,
            "kind": kind,
            "step": trainer.global_step,
            "frames": self.progress.seen,
            "seconds": round(self.progress.elapsed, 1),
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
        """Write a line of the training's metrics."""
        if trainer.global_step % self.every == 0:
            self._write(trainer, "train")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a line of the validation's metrics."""
        if not trainer.sanity_checking:
            self._write(trainer, "validation")
