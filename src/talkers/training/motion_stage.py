"""Stage 2: train speech2latent on the latents of the frozen codec."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from talkers.corpus import Corpus
from talkers.errors import ArtefactError
from talkers.motion import LatentSpace, Speech2Latent
from talkers.motion.model import masked_mse, velocity
from talkers.recipes import MotionTraining, Recipe, SamplerTraining
from talkers.training.frames import MOUTH_NUMBERS, PositionSampler, held_out, training_clips
from talkers.training.motion_data import RENDITIONS, MotionData, WindowDataset, fit_readout
from talkers.training.progress import Pace, Report, quiet
from talkers.training.run import StageModule, begin_with, fit

Mover = TypeVar("Mover", bound=LatentSpace)


class MotionModule(StageModule):
    """Training step of speech2latent: the paper's losses on latents and pose, with velocity and shape beside them."""

    readout: Tensor

    def __init__(self, model: Speech2Latent, training: MotionTraining, pace: Pace, seed: int, readout: Tensor):
        super().__init__(training, pace, seed, training.batch * training.window)
        self.model = model
        self.register_buffer("readout", readout)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses in normalised units, pose given (teacher forcing)."""
        model = self.model
        motion = model(batch["features"], batch["head"], batch["exists"])
        usable, both = batch["usable"], batch["usable"][:, 1:] & batch["usable"][:, :-1]
        made = (motion.latents.float() - model.latent_mean) / model.latent_std
        real = (batch["latents"] - model.latent_mean) / model.latent_std
        head = (motion.head.float() - model.head_mean) / model.head_std
        real_head = (batch["head"] - model.head_mean) / model.head_std
        return {
            "latent": masked_mse(made, real, usable),
            "velocity": masked_mse(velocity(made), velocity(real), both),
            "pose": masked_mse(head[..., :6], real_head[..., :6], usable),
            "readout": masked_mse(made @ self.readout, real @ self.readout, usable),
        }

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        parts, config = self.losses(batch), self.training_config
        for name, value in parts.items():
            self.log(f"train/{name}", value, prog_bar=name == "latent")
        return parts["latent"] + config.velocity_weight * parts["velocity"] + config.pose_weight * parts["pose"] + config.readout_weight * parts["readout"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        for name, value in self.losses(batch).items():
            self.log(f"val/{name}", value, batch_size=len(batch["latents"]), sync_dist=True)
        motion = self.model(batch["features"], batch["head"], batch["exists"])
        model = self.model
        opening = [((x.float() - model.latent_mean) / model.latent_std @ self.readout[:, 0])[batch["usable"]] for x in (motion.latents, batch["latents"])]
        joint = torch.corrcoef(torch.stack(opening))
        self.log("val/opening_correlation", joint[0, 1], prog_bar=True, batch_size=len(batch["latents"]), sync_dist=True)
        self.log("val/articulation", opening[0].std() / opening[1].std(), prog_bar=True, batch_size=len(batch["latents"]), sync_dist=True)


def train_mover(
    stage: str,
    model: Mover,
    module_of: Callable[[Mover, Pace, Tensor], StageModule],
    settings: MotionTraining | SamplerTraining,
    corpus: Corpus,
    recipe: Recipe,
    data: MotionData,
    folder: Path,
    budget: float | None,
    report: Report,
    trainer_options: dict[str, Any] | None,
) -> Mover:
    """What the trainings of all motion models do alike: take statistics, learn from windows of the clips, learn the look.

    Args:
        stage: its name.
        module_of: model, pace and readout (see `fit_readout`) -> what is trained.
        data: of the clips for training and the held-out ones.

    Raises:
        ArtefactError: no clip can be trained on.
    """
    test = held_out(corpus.names)
    names = [n for n in training_clips(corpus, recipe.minutes) if data.usable[n].any()]
    if not names:
        raise ArtefactError("no clip of this corpus can be trained on", where=corpus.folder, todo="Prepare more footage")
    latents, heads, shapes = (data.joined(what, names) for what in (data.latents, data.heads, data.shapes))
    model.set_statistics(latents, heads)
    model.look_axes.zero_()  # while it learns, every take has its own
    model.set_mouth(latents, shapes[:, list(MOUTH_NUMBERS)], data.joined(data.silent, names))
    pace = Pace(settings.frames, budget)
    module = module_of(model, pace, fit_readout(latents, shapes))
    resting = {n: torch.where(data.silent[n][:, None], data.latents[n], model.articulate(data.latents[n], 0.0)) for n in names}
    windows = WindowDataset(data, names, settings.window, RENDITIONS, resting)
    indices = np.arange(len(windows))
    often = np.repeat([1.0, settings.quiet_share / 2, settings.quiet_share / 2], len(windows) // len(RENDITIONS))

    def loader() -> DataLoader[Any]:
        sampler = PositionSampler(indices, often, settings.batch, recipe.seed, lambda: module.global_step, module.global_rank, module.trainer.world_size)
        return DataLoader(windows, batch_sampler=sampler, pin_memory=torch.cuda.is_available())

    longest = max((len(data.latents[n]) for n in test), default=0)
    validate = DataLoader(WindowDataset(data, test, longest), batch_size=8) if test else None
    between = max(1, settings.save_every // module.frames_per_step), max(1, settings.validate_every // module.frames_per_step)
    fit(module, stage, folder, pace, loader, validate, between, settings.ema, report, trainer_options)
    model.set_look([(data.latents[n][data.usable[n]], data.heads[n][data.usable[n]]) for n in names])
    return model


def train_motion(corpus: Corpus, recipe: Recipe, data: MotionData, folder: Path, budget: float | None = None, report: Report = quiet,
                trainer_options: dict[str, Any] | None = None, start: Path | None = None) -> Speech2Latent:  # fmt: skip
    """Run stage 2 to its end, or go on with it; arguments as in `train_codec` and `train_mover`."""
    settings = recipe.motion_training
    torch.manual_seed(recipe.seed + 1)
    model = Speech2Latent(recipe.motion, data.feature_width, recipe.codec.latent)
    if start is not None:
        with suppress(ArtefactError):  # of another shape: training begins with nothing
            begin_with(start, "motion", model, "model.")

    def module_of(model: Speech2Latent, pace: Pace, readout: Tensor) -> MotionModule:
        return MotionModule(model, settings, pace, recipe.seed, readout)

    return train_mover("motion", model, module_of, settings, corpus, recipe, data, folder, budget, report, trainer_options)
