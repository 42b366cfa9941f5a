"""Running a stage under Lightning: devices, precision, progress, checkpoints and exact resumption."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader

from talkers.training.checkpoint import SafetensorsCheckpointIO
from talkers.training.progress import MetricsLog, Pace


def _minutes_left(pace: Pace) -> float:
    return pace.spent * (1 / pace.fraction - 1) / 60 if pace.fraction > 0.002 else float("nan")


class _Bar(RichProgressBar):
    """Progress in frames seen, with the time left."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        shown = super().get_metrics(trainer, pl_module)
        pace: Pace = pl_module._pace[0]  # type: ignore[index, assignment]
        shown.pop("v_num", None)
        return {"frames seen": float(pace.seen), "done %": 100 * pace.fraction, "minutes left": _minutes_left(pace), **shown}

    def _get_train_description(self, current_epoch: int) -> str:
        return "Training"


class _Lines(pl.Callback):
    """The same as lines, where there is no terminal to draw a bar in."""

    def __init__(self, stage: str, pace: Pace, every: float = 30.0):
        self.stage, self.pace, self.every, self.told = stage, pace, every, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.is_global_zero and self.pace.spent - self.told > self.every:
            self.told = self.pace.spent
            figures = ", ".join(f"{k} {float(v):.4f}" for k, v in trainer.progress_bar_metrics.items())
            pace = self.pace
            print(
                f"{self.stage}: {pace.seen} frames seen, {100 * pace.fraction:.0f} %, {_minutes_left(pace):.0f} min left, {figures}",
                file=sys.stderr,
                flush=True,
            )


def latest_checkpoint(folder: Path, stage: str) -> Path | None:
    """The newest complete checkpoint of a stage; they appear under their names only when they are complete."""
    found = sorted(folder.glob(f"{stage}-*.ckpt"))
    return found[-1] if found else None


def fit(module: pl.LightningModule, stage: str, folder: Path, pace: Pace, train: Callable[[], DataLoader[Any]], validate: DataLoader[Any] | None,
        steps_between: tuple[int, int], ema: float, progress: bool = True, trainer_options: dict[str, Any] | None = None) -> None:  # fmt: skip
    """Train a module to the end of its pace, from its newest checkpoint if there is one.

    Args:
        module: has `frames_per_step`.
        stage: name of the stage; names its checkpoints.
        folder: takes checkpoints, metrics.jsonl and montages.
        pace: when to end.
        train: makes the loader, asked for once training knows its position.
        steps_between: steps between checkpoints, and between validations.
        ema: decay of the averaged weights; the module holds the average afterwards.
        trainer_options: passed on to Lightning's Trainer (devices, strategy, precision, ...).
    """
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
    on_gpu = torch.cuda.is_available()
    saver = ModelCheckpoint(folder, filename=stage + "-{step:09d}", every_n_train_steps=steps_between[0], save_top_k=1, monitor="step", mode="max",
                            auto_insert_metric_name=False, enable_version_counter=False)  # fmt: skip
    callbacks: list[pl.Callback] = [pace, EMAWeightAveraging(decay=ema), saver, MetricsLog(folder / "metrics.jsonl", pace)]
    if progress:
        callbacks.append(_Bar(refresh_rate=5) if sys.stderr.isatty() else _Lines(stage, pace))
    options: dict[str, Any] = {"accelerator": "auto", "devices": "auto" if on_gpu else 1, "precision": "bf16-mixed"} | (trainer_options or {})
    trainer = pl.Trainer(
        max_epochs=-1,
        callbacks=callbacks,
        logger=False,
        plugins=[SafetensorsCheckpointIO()],
        limit_val_batches=None if validate is not None else 0,
        val_check_interval=steps_between[1] if validate is not None else None,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=progress and sys.stderr.isatty(),
        enable_model_summary=False,
        **options,
    )

    resume = latest_checkpoint(folder, stage)
    trainer.fit(module, datamodule=_Data(train, validate), ckpt_path=str(resume) if resume else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt


class _Data(pl.LightningDataModule):
    """Loaders made when they are asked for: by then a resumed training knows where it is."""

    def __init__(self, train: Callable[[], DataLoader[Any]], validate: DataLoader[Any] | None):
        super().__init__()
        self._train, self._validate = train, validate

    def train_dataloader(self) -> DataLoader[Any]:
        return self._train()

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._validate if self._validate is not None else []
