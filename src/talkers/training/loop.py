"""One training loop for all stages, under Lightning: precision, checkpoints, exact resumption."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import EMAWeightAveraging, WeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from talkers.artefacts.files import unfinished
from talkers.errors import ArtefactError, reason
from talkers.hardware import bfloat16_pays
from talkers.progress import Report, quiet
from talkers.training.budget import latest_checkpoints
from talkers.training.checkpoint import REMEDY, SafetensorsCheckpointIO, reached
from talkers.training.frames import PositionSampler
from talkers.training.module import StageModule
from talkers.training.progress import MetricsLog, TrainingProgress

EMA_STEPS = 4  # steps between updates of the averaged weights


@dataclass(frozen=True)
class StageData:
    """What a stage learns from.

    Attributes:
        dataset: items by index.
        indices: int64 [N], the items that are drawn.
        weights: float [N], how often each is drawn, relative.
        validation: batches to validate on, or None.
    """

    dataset: Dataset[dict[str, Tensor]]
    indices: NDArray[np.int64]
    weights: NDArray[np.floating]
    validation: DataLoader[Any] | None = None


@dataclass(frozen=True)
class LoopOptions:
    """How a stage is run.

    Attributes:
        folder: takes checkpoints, metrics.jsonl and montages.
        report: called with the stage, frames seen and frames expected.
        trainer_options: passed on to Lightning's Trainer (devices, strategy, precision, ...).
    """

    folder: Path
    report: Report = quiet
    trainer_options: Mapping[str, Any] = field(default_factory=dict)


class _Average(EMAWeightAveraging):
    """Averaged weights whose memory grows with the training, so that little is left in them of how
    a short one began.

    Args:
        decay: a step, in the end.
    """

    def __init__(self, decay: float):
        last = decay**EMA_STEPS

        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            # w' = d w' + (1 - d) w, d = min(last, (1 + n) / (10 + n))
            held = min(last, (1 + float(count)) / (10 + float(count)))
            return held * averaged + (1 - held) * current

        WeightAveraging.__init__(self, avg_fn=average)
        self.update_every_n_steps = EMA_STEPS
        self.update_starting_at_step = self.update_starting_at_epoch = None


class _Report(pl.Callback):
    """Progress in frames seen, for a bar; off a terminal, a line now and then."""

    def __init__(
        self, stage: str, progress: TrainingProgress, report: Report, seconds: float = 30.0
    ):
        self.stage, self.progress, self.report = stage, progress, report
        self.seconds, self.reported = seconds, 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        progress = self.progress
        if not trainer.is_global_zero or not progress.fraction:
            return
        total = round(progress.seen / progress.fraction)
        self.report(f"training {self.stage}", progress.seen, total)
        if not sys.stderr.isatty() and progress.elapsed - self.reported > self.seconds:
            self.reported = progress.elapsed
            metrics = trainer.progress_bar_metrics
            figures = ", ".join(f"{k} {float(v):.4f}" for k, v in metrics.items())
            left = progress.elapsed * (1 / progress.fraction - 1) / 60
            print(
                f"{self.stage}: {progress.seen} frames seen, {100 * progress.fraction:.0f} %, "
                f"{left:.0f} min left, {figures}",
                file=sys.stderr,
                flush=True,
            )


class _Saver(pl.Callback):
    """Keeps the newest checkpoint: every `steps` steps, every minute, and at the end.

    It comes after the averaging of weights, which it saves.
    """

    def __init__(self, folder: Path, stage: str, steps: int, seconds: float = 60.0):
        self.folder, self.stage, self.steps, self.seconds = folder, stage, steps, seconds
        self.saved = time.monotonic()

    def _save(self, trainer: pl.Trainer) -> None:
        path = self.folder / f"{self.stage}-{trainer.global_step:09d}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            for older in self.folder.glob(f"{self.stage}-{'[0-9]' * 9}.ckpt"):
                if older != path:
                    older.unlink(missing_ok=True)
        self.saved = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        due = time.monotonic() - self.saved > self.seconds
        if trainer.world_size > 1:  # all ranks save together
            due = trainer.strategy.broadcast(due)
        if due or trainer.global_step % self.steps == 0:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer)


class _Loaders(pl.LightningDataModule):
    """Loaders made when they are asked for: by then a resumed training knows where it is."""

    def __init__(self, module: StageModule, data: StageData):
        super().__init__()
        self._module, self._data = module, data

    def train_dataloader(self) -> DataLoader[Any]:
        module, data = self._module, self._data
        sampler = PositionSampler(
            data.indices,
            data.weights,
            module.config.batch,
            module.seed,
            lambda: module.global_step,
            module.global_rank,
            module.trainer.world_size,
        )
        pinned = torch.cuda.is_available()
        return DataLoader(data.dataset, batch_sampler=sampler, pin_memory=pinned)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._data.validation if self._data.validation is not None else []


def fit(module: StageModule, stage: str, data: StageData, options: LoopOptions) -> None:
    """Train a module to the end, from its newest checkpoint if there is one.

    Afterwards the module holds the averaged weights.

    Args:
        module: what is trained.
        stage: names its checkpoints.
        data: what it learns from.
        options: where and how.

    Raises:
        ArtefactError: the newest checkpoint is damaged or of another recipe.
    """
    folder, progress, config = options.folder, module.progress, module.config
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
    if os.environ.get("LOCAL_RANK", "0") == "0":
        for left in unfinished(folder):
            left.unlink(missing_ok=True)
    resume = latest_checkpoints(folder).get(stage)
    if resume is not None:
        weights, progress.seen, progress.elapsed = reached(resume)
        if progress.fraction >= 1:  # it was finished, and holds the averaged weights
            try:
                module.load_state_dict(weights)
            except RuntimeError as error:
                raise ArtefactError(
                    "this checkpoint has another recipe",
                    where=resume,
                    why=reason(error),
                    todo=REMEDY,
                ) from error
            return
    save_steps = max(1, config.save_every // module.frames_per_step)
    validate_steps = max(1, config.validate_every // module.frames_per_step)
    on_gpu = torch.cuda.is_available()
    fast = bfloat16_pays(torch.device("cuda" if on_gpu else "cpu"))
    trainer = pl.Trainer(
        max_epochs=-1,
        callbacks=[
            progress,
            _Average(config.ema),
            _Saver(folder, stage, save_steps),
            MetricsLog(folder / "metrics.jsonl", stage, progress),
            _Report(stage, progress, options.report),
        ],
        logger=False,
        plugins=[SafetensorsCheckpointIO()],
        limit_val_batches=None if data.validation is not None else 0,
        val_check_interval=validate_steps if data.validation is not None else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        **{
            "accelerator": "auto",
            "devices": "auto" if on_gpu else 1,
            "precision": "bf16-mixed" if fast else "32-true",
            **options.trainer_options,
        },
    )
    try:
        trainer.fit(
            module,
            datamodule=_Loaders(module, data),
            ckpt_path=str(resume) if resume else None,
            weights_only=True,
        )
    except SystemExit as ended:  # how Lightning ends after Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from ended
