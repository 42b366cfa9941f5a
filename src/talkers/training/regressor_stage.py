"""Stage 2: train speech2latent on the latents of the frozen codec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips
from talkers.corpus.views import face_parts
from talkers.errors import ArtefactError
from talkers.experts import load_expert
from talkers.experts.models import POINTS, SyncExpert
from talkers.motion import Speech2Latent
from talkers.motion.regressor import masked_mse, velocity
from talkers.progress import Report, quiet
from talkers.space.linear import FaceEdit, LatentSpace
from talkers.systems.recipe import MotionTraining, Recipe, SamplerTraining
from talkers.training.frames import PositionSampler
from talkers.training.motion_data import UNSAID, WORDLESS, MotionData, WindowDataset, fit_probe
from talkers.training.progress import TrainingProgress
from talkers.training.runner import StageModule, begin_where_it_fits, fit

AnyMotionModel = TypeVar("AnyMotionModel", bound=LatentSpace)


class Experts(nn.Module):
    """Experts that see points, as losses: frozen. What they see is read off the latents linearly.

    Args:
        points: [L, 81], normalised latents -> lip shape apart from its mean.
    """

    points: Tensor

    def __init__(self, points: Tensor):
        super().__init__()
        self.register_buffer("points", points, persistent=False)
        self.lips, self.sync = (load_expert(f"{task}-points").model for task in ("lips", "sync"))

    def losses(self, made: Tensor, real: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of normalised latents [B, T, L]: how otherwise the lips are read (Kullback and Leibler), in nats a frame, and how
        unlike lips and sound are where something is said (1 - cosine)."""
        heard, usable = batch["exists"], batch["usable"]
        shown = [(x @ self.points) * heard[..., None] for x in (made, real)]
        with torch.backends.cudnn.flags(
            enabled=False
        ):  # whose GRU has no gradient outside training
            read, wanted = (self.lips(x) for x in shown)
        parts = {
            "lips": ((wanted.exp() * (wanted - read)).sum(-1) * usable).sum()
            / usable.sum().clamp(min=1)
        }
        if "sounds" in batch:
            like = (
                cast(SyncExpert, self.sync).see(shown[0])
                * cast(SyncExpert, self.sync).hear(batch["sounds"].transpose(1, 2))
            ).sum(-1)
            spoken = usable & ~batch["silent"]
            parts["sync"] = ((1 - like) * spoken).sum() / spoken.sum().clamp(min=1)
        return parts


class MotionModule(StageModule):
    """Training step of speech2latent: the paper's losses on latents and pose, with velocity and shape beside them, and, if
    the recipe asks for them, those of experts."""

    readout: Tensor

    def __init__(
        self,
        model: Speech2Latent,
        training: MotionTraining,
        pace: TrainingProgress,
        seed: int,
        readout: Tensor,
        experts: Experts | None = None,
    ):
        super().__init__(training, pace, seed, training.batch * training.window)
        self.model = model
        self.register_buffer("readout", readout)
        self._experts = [experts]  # in a list: not trained, not saved

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses in normalised units, pose given (teacher forcing)."""
        model = self.model
        motion = model(batch["features"], batch["head"], batch["exists"])
        usable, both = batch["usable"], batch["usable"][:, 1:] & batch["usable"][:, :-1]
        made = (motion.latents.float() - model.latent_mean) / model.latent_std
        real = (batch["latents"] - model.latent_mean) / model.latent_std
        head = (motion.head.float() - model.head_mean) / model.head_std
        real_head = (batch["head"] - model.head_mean) / model.head_std
        experts = self._experts[0]
        told = experts.to(made.device).losses(made, real, batch) if experts is not None else {}
        return told | {
            "latent": masked_mse(made, real, usable),
            "velocity": masked_mse(velocity(made), velocity(real), both),
            "pose": masked_mse(head[..., :6], real_head[..., :6], usable),
            "readout": masked_mse(made @ self.readout, real @ self.readout, usable),
        }

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        parts, config = self.losses(batch), self.training_config
        for name, value in parts.items():
            self.log(f"train/{name}", value, prog_bar=name == "latent")
        total = (
            parts["latent"]
            + config.velocity_weight * parts["velocity"]
            + config.pose_weight * parts["pose"]
            + config.readout_weight * parts["readout"]
        )
        for name, weight in (("lips", config.lips_weight), ("sync", config.sync_weight)):
            if weight:
                total = total + weight * parts[name]
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        for name, value in self.losses(batch).items():
            self.log(f"val/{name}", value, batch_size=len(batch["latents"]), sync_dist=True)
        motion = self.model(batch["features"], batch["head"], batch["exists"])
        model = self.model
        opening = [
            ((x.float() - model.latent_mean) / model.latent_std @ self.readout[:, 0])[
                batch["usable"]
            ]
            for x in (motion.latents, batch["latents"])
        ]
        joint = torch.corrcoef(torch.stack(opening))
        self.log(
            "val/opening_correlation",
            joint[0, 1],
            prog_bar=True,
            batch_size=len(batch["latents"]),
            sync_dist=True,
        )
        self.log(
            "val/articulation",
            opening[0].std() / opening[1].std(),
            prog_bar=True,
            batch_size=len(batch["latents"]),
            sync_dist=True,
        )


def train_mover(
    stage: str,
    model: AnyMotionModel,
    module_of: Callable[[AnyMotionModel, TrainingProgress, Tensor], StageModule],
    settings: MotionTraining | SamplerTraining,
    corpus: Corpus,
    recipe: Recipe,
    data: MotionData,
    folder: Path,
    budget: float | None,
    report: Report,
    trainer_options: dict[str, Any] | None,
) -> AnyMotionModel:
    """What the trainings of all motion models do alike: take statistics, learn from windows of the clips, learn the look.

    Args:
        stage: its name.
        module_of: model, pace and readout (see `fit_readout`) -> what is trained.
        data: of the clips for training and the held-out ones.

    Raises:
        ArtefactError: no clip can be trained on.
    """
    test = held_out(corpus.names)
    names = taught_by(corpus, recipe, data)
    if not names:
        raise ArtefactError(
            "no clip of this corpus can be trained on",
            where=corpus.folder,
            todo="Prepare more footage",
        )
    latents, heads, shapes = (
        data.joined(what, names) for what in (data.latents, data.heads, data.shapes)
    )
    model.set_statistics(latents, heads)
    model.look_axes.zero_()  # while it learns, every take has its own
    model.set_face(latents, heads, face_parts(shapes), data.joined(data.silent, names))
    pace = TrainingProgress(settings.frames, budget)
    module = module_of(model, pace, fit_probe(latents, shapes))
    resting = {
        n: torch.where(
            data.silent[n][:, None],
            data.latents[n],
            model.articulate(data.latents[n], FaceEdit(amplitude=0.0)),
        )
        for n in names
    }
    windows = WindowDataset(
        data, names, settings.window, data.sound_variants, resting, settings.rhythms_share
    )
    indices = np.arange(len(windows))
    voices = sum(kind.startswith("voice") for kind in data.sound_variants)
    share = {
        "recorded": 1.0,
        **dict.fromkeys(UNSAID, settings.wordless_share / WORDLESS),
        **dict.fromkeys(("gated", "silent"), settings.quiet_share / 2),
    }
    often = np.repeat(
        [share.get(kind, settings.voices_share / voices) for kind in data.sound_variants],
        len(windows) // len(data.sound_variants),
    )

    def loader() -> DataLoader[Any]:
        sampler = PositionSampler(
            indices,
            often,
            settings.batch,
            recipe.seed,
            lambda: module.global_step,
            module.global_rank,
            module.trainer.world_size,
        )
        return DataLoader(windows, batch_sampler=sampler, pin_memory=torch.cuda.is_available())

    longest = max((len(data.latents[n]) for n in test), default=0)
    validate = DataLoader(WindowDataset(data, test, longest), batch_size=8) if test else None
    between = (
        max(1, settings.save_every // module.frames_per_step),
        max(1, settings.validate_every // module.frames_per_step),
    )
    fit(
        module,
        stage,
        folder,
        pace,
        loader,
        validate,
        between,
        settings.ema,
        report,
        trainer_options,
    )
    refit_appearance(model, corpus, recipe, data)
    return model


def taught_by(corpus: Corpus, recipe: Recipe, data: MotionData) -> list[str]:
    """The clips for training in which there is a face."""
    return [n for n in training_clips(corpus, recipe.minutes) if data.usable[n].any()]


def refit_appearance(model: LatentSpace, corpus: Corpus, recipe: Recipe, data: MotionData) -> None:
    """Learn from the clips for training what turning and looks are in the latents; see `LatentSpace.set_look`."""
    model.fit_appearance(
        [
            (data.latents[n][data.usable[n]], data.heads[n][data.usable[n]])
            for n in taught_by(corpus, recipe, data)
        ]
    )


def train_motion(
    corpus: Corpus,
    recipe: Recipe,
    data: MotionData,
    folder: Path,
    budget: float | None = None,
    report: Report = quiet,
    trainer_options: dict[str, Any] | None = None,
    start: Path | None = None,
) -> Speech2Latent:
    """Run stage 2 to its end, or go on with it; arguments as in `train_codec` and `train_mover`."""
    settings = recipe.motion_training
    torch.manual_seed(recipe.seed + 1)
    model = Speech2Latent(recipe.motion, data.feature_width, recipe.codec.latent)
    begin_where_it_fits(start, "motion", model)

    def module_of(model: Speech2Latent, pace: TrainingProgress, readout: Tensor) -> MotionModule:
        asked = settings.lips_weight or settings.sync_weight
        shapes = data.joined(data.shapes, taught_by(corpus, recipe, data))[:, :POINTS]
        experts = Experts(readout[:, :POINTS] * shapes.std(0).clamp(min=1e-4)) if asked else None
        return MotionModule(model, settings, pace, recipe.seed, readout, experts)

    return train_mover(
        "motion",
        model,
        module_of,
        settings,
        corpus,
        recipe,
        data,
        folder,
        budget,
        report,
        trainer_options,
    )
