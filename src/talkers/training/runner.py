"""Running a stage under Lightning: devices, precision, progress, checkpoints and exact resumption."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn
from torch.utils.data import DataLoader

from talkers.artefacts.files import unfinished
from talkers.artefacts.weights import read_weights
from talkers.errors import ArtefactError, OtherRecipeError, reason
from talkers.hardware import bfloat16_pays
from talkers.progress import Report
from talkers.runtime.bundle import avatar_folder
from talkers.training.checkpoint import REMEDY, SafetensorsCheckpointIO, reached
from talkers.training.progress import MetricsLog, TrainingProgress, learning_rate


class _Report(pl.Callback):
    """Progress in frames seen, for a bar; where there is no terminal to draw one in, a line now and then."""

    def __init__(self, stage: str, pace: TrainingProgress, report: Report, every: float = 30.0):
        self.stage, self.pace, self.report, self.every, self.told = stage, pace, report, every, 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        pace = self.pace
        if not trainer.is_global_zero or not pace.fraction:
            return
        self.report(f"training {self.stage}", pace.seen, round(pace.seen / pace.fraction))
        if not sys.stderr.isatty() and pace.spent - self.told > self.every:
            self.told = pace.spent
            figures = ", ".join(
                f"{k} {float(v):.4f}" for k, v in trainer.progress_bar_metrics.items()
            )
            left = pace.spent * (1 / pace.fraction - 1) / 60
            print(
                f"{self.stage}: {pace.seen} frames seen, {100 * pace.fraction:.0f} %, {left:.0f} min left, {figures}",
                file=sys.stderr,
                flush=True,
            )


class _Saver(pl.Callback):
    """Keeps the newest checkpoint: every `steps` steps, every minute, and at the end. Comes after the averaging."""

    def __init__(self, folder: Path, stage: str, steps: int, seconds: float = 60.0):
        self.folder, self.stage, self.steps, self.seconds = folder, stage, steps, seconds
        self.saved = time.monotonic()

    def _save(self, trainer: pl.Trainer) -> None:
        path = self.folder / f"{self.stage}-{trainer.global_step:09d}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            for older in self.folder.glob(f"{self.stage}-*.ckpt"):
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


class StageModule(pl.LightningModule):
    """What every stage's module does alike: AdamW, clipped gradients, a learning rate that follows the pace, and random
    numbers that depend on the position alone, so that resuming is exact.

    Args:
        training: the stage's settings; has learning_rate, weight_decay and warmup, and may have gradient_clip (else 1)
            and decay (else true).
        frames_per_step: frames that a step sees.
    """

    def __init__(self, training: Any, pace: TrainingProgress, seed: int, frames_per_step: int):
        super().__init__()
        self.training_config, self.seed, self.frames_per_step = training, seed, frames_per_step
        self._pace = [pace]  # in a list: not a submodule, and shared by the averaged copy

    @property
    def decays(self) -> bool:
        """Whether the learning rate falls to the end."""
        return bool(getattr(self.training_config, "decay", True))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.training_config
        parameters = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.AdamW(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        torch.nn.utils.clip_grad_norm_(
            self.parameters(), getattr(self.training_config, "gradient_clip", 1.0)
        )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) * 4099 + self.global_rank)
        config = self.training_config
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(
                    self._pace[0].fraction, config.learning_rate, config.warmup, self.decays
                )


def latest_checkpoint(folder: Path, stage: str) -> Path | None:
    """The newest complete checkpoint of a stage; they appear under their names only when they are complete."""
    found = sorted(folder.glob(f"{stage}-*.ckpt"))
    return found[-1] if found else None


def begin_with(folder: Path, stage: str, model: nn.Module, prefix: str) -> None:
    """Fill a stage's model with the weights of a training by its newest checkpoint (what that one does not have begins
    anew), or of a finished avatar.

    Args:
        prefix: of the model's names in checkpoints.

    Raises:
        OtherRecipeError: there is neither, or it has another recipe. ArtefactError: it is damaged.
    """
    found = latest_checkpoint(folder / "training", stage)
    if found is None:
        if (folder / "training").is_dir() and not (folder / "avatar.json").exists():
            raise OtherRecipeError(
                f"the training here has no {stage} yet",
                where=folder,
                todo="Let it get there, or start from another",
            )
        read_weights(avatar_folder(folder) / f"{stage}.safetensors", model, model.state_dict())
        return
    held = {
        k.removeprefix(prefix): v for k, v in reached(found).weights.items() if k.startswith(prefix)
    }
    try:
        model.load_state_dict(model.state_dict() | held)
    except RuntimeError as error:
        raise OtherRecipeError(
            f"this {stage} has another recipe",
            where=folder,
            todo="Start from one of the same recipe",
        ) from error


def begin_where_it_fits(folder: Path | None, stage: str, model: nn.Module) -> None:
    """`begin_with`, unless there is none or it has another shape: then training begins with nothing.

    Raises:
        ArtefactError: it is damaged.
    """
    if folder is not None:
        with suppress(OtherRecipeError):
            begin_with(folder, stage, model, "model.")


def fit(
    module: pl.LightningModule,
    stage: str,
    folder: Path,
    pace: TrainingProgress,
    train: Callable[[], DataLoader[Any]],
    validate: DataLoader[Any] | None,
    steps_between: tuple[int, int],
    ema: float,
    report: Report,
    trainer_options: dict[str, Any] | None = None,
) -> None:
    """Train a module to the end of its pace, from its newest checkpoint if there is one.

    Args:
        module: has `frames_per_step`.
        stage: name of the stage; names its checkpoints.
        folder: takes checkpoints, metrics.jsonl and montages.
        pace: when to end.
        train: makes the loader, asked for once training knows its position.
        steps_between: steps between checkpoints, and between validations.
        ema: decay of the averaged weights; the module holds the average afterwards.
        report: called with the stage, frames seen and frames expected.
        trainer_options: passed on to Lightning's Trainer (devices, strategy, precision, ...).
    """
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.utils.data")
    on_gpu = torch.cuda.is_available()
    if os.environ.get("LOCAL_RANK", "0") == "0":
        for left in unfinished(folder):
            left.unlink(missing_ok=True)
    resume = latest_checkpoint(folder, stage)
    if resume is not None:
        weights, pace.seen, pace.spent = reached(resume)
        if pace.fraction >= 1:  # the stage was finished: its checkpoint holds the averaged weights
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
    callbacks: list[pl.Callback] = [
        pace,
        EMAWeightAveraging(decay=ema**4, update_every_n_steps=4),
        _Saver(folder, stage, steps_between[0]),
        MetricsLog(folder / "metrics.jsonl", pace),
    ]
    callbacks.append(_Report(stage, pace, report))
    precision = (
        "bf16-mixed" if bfloat16_pays(torch.device("cuda" if on_gpu else "cpu")) else "32-true"
    )
    options: dict[str, Any] = {
        "accelerator": "auto",
        "devices": "auto" if on_gpu else 1,
        "precision": precision,
    } | (trainer_options or {})
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
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        **options,
    )
    try:
        trainer.fit(
            module,
            datamodule=_Data(train, validate),
            ckpt_path=str(resume) if resume else None,
            weights_only=True,
        )
    except SystemExit as ended:  # how Lightning ends after Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from ended


class _Data(pl.LightningDataModule):
    """Loaders made when they are asked for: by then a resumed training knows where it is."""

    def __init__(self, train: Callable[[], DataLoader[Any]], validate: DataLoader[Any] | None):
        super().__init__()
        self._train, self._validate = train, validate

    def train_dataloader(self) -> DataLoader[Any]:
        return self._train()

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._validate if self._validate is not None else []
