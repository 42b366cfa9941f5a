"""A training without noise, small enough to compare: on one process, or as one of several (`torchrun devices.py FOLDER BATCH STEPS STOP`)."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from talkers.training.loop import LoopOptions, StageData, fit
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress

ITEMS, WIDTH, SAVED_STEPS = 64, 6, 4


class Stopped(Exception):
    """Raised where a training is to be stopped."""


@dataclass(frozen=True)
class Config:
    frames: int
    batch: int
    save_every: int
    learning_rate: float = 1e-2
    weight_decay: float = 0.01
    warmup: float = 0.0
    gradient_clip: float = 1.0
    decay: bool = False
    ema: float = 0.99
    validate_every: int = 10**6


class Squares(StageModule):
    """Fits a line."""

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        loss = (self.model(batch["x"]) - batch["y"]).square().mean()
        self.log("loss", loss, prog_bar=True)
        return loss


class Points(torch.utils.data.Dataset[dict[str, Tensor]]):
    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(ITEMS, WIDTH, generator=random)
        self.y = self.x @ torch.randn(WIDTH, 1, generator=random)

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {"x": self.x[k], "y": self.y[k]}

    def __len__(self) -> int:
        return ITEMS


def train(folder: Path, batch: int, steps: int, stop: int, devices: int) -> dict[str, Any]:
    """Train, or go on; `batch` is that of each process, `stop` the step at which it is stopped."""
    torch.manual_seed(1)
    whole = batch * devices
    config = Config(steps * whole, batch, SAVED_STEPS * batch)

    def report(stage: str, done: int, total: int) -> None:
        if done >= stop * whole:
            if devices > 1:
                os._exit(3)  # the others wait for it, and are ended
            raise Stopped

    module = Squares(nn.Linear(WIDTH, 1), config, TrainingProgress(config.frames, None), seed=5)
    data = StageData(Points(), np.arange(ITEMS), np.ones(ITEMS))
    options: dict[str, Any] = {"accelerator": "cpu", "devices": devices, "precision": "32-true"}
    if devices > 1:
        options["strategy"] = "ddp"
    fit(module, "line", data, LoopOptions(folder, report, options))
    return module.model.state_dict()


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    train(Path(sys.argv[1]), *numbers, int(os.environ["WORLD_SIZE"]))
