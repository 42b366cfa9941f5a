"""What the stages of all motion models do alike: statistics, windows of clips, the space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from talkers.errors import UsageError
from talkers.motion import MotionModel
from talkers.runtime.components import build_component
from talkers.systems.stages import MotionModelTraining, MotionStageConfig
from talkers.training.contract import Run, Stage
from talkers.training.initial import initialise_where_it_fits
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.motion_data import MotionData, fit_probe
from talkers.training.progress import TrainingProgress
from talkers.training.trainable import TrainableModule
from talkers.training.variants import NON_SPEECH, UNSPOKEN
from talkers.training.windows import WindowDataset

VALIDATION_BATCH = 8  # clips


@dataclass(frozen=True)
class MotionStageData(StageData):
    """What a motion model learns from.

    Attributes:
        model: the motion model, with the statistics of the clips.
        probe: [L, 133], normalised latents -> standardised face descriptors.
        clips: everything of the clips.
        names: of those that are trained on.
    """

    model: Any = None
    probe: Tensor | None = None
    clips: MotionData | None = None
    names: tuple[str, ...] = ()


def variant_weights(config: MotionStageConfig, variants: tuple[str, ...]) -> list[float]:
    """How often windows are heard in each variant, relative to the clean recording.

    Args:
        config: settings of a motion model's training.
        variants: names of the variants.
    """
    voices = sum(name.startswith("voice") for name in variants)
    weights = {
        "clean": 1.0,
        **dict.fromkeys(UNSPOKEN, config.non_speech_weight / NON_SPEECH),
        **dict.fromkeys(("gated", "silence"), config.silence_weight / 2),
    }
    return [weights.get(name, config.augmented_weight / max(1, voices)) for name in variants]


class MotionStage(Stage):
    """Trains the motion model of a slot "motion/KEY" on windows of the clips.

    Attributes:
        seed_offset: added to the recipe's seed, so that stages draw different numbers.
    """

    needs = ("renderer",)
    seed_offset: ClassVar[int] = 1

    def build(self, run: Run) -> Any:
        """The untrained motion model, in the space of the run.

        Raises:
            UsageError: the recipe has no motion model for the slot.
        """
        key = self.trains.removeprefix("motion/")
        if key not in run.recipe.motion:
            known = ", ".join(run.recipe.motion) or "none"
            raise UsageError(
                f"the stage '{self.name}' trains the motion model '{key}', which the recipe "
                "does not have",
                todo=f"Put it into the recipe's motion; there is {known}",
            )
        width = run.motion_data.feature_width
        return build_component("motion_model", run.recipe.motion[key], width, run.space)

    def data(self, run: Run) -> MotionStageData:
        """Windows of the clips in all variants of their sound, and the untrained model."""
        clips, names, config = run.motion_data, run.trainable_clips, self.config
        _ = run.space  # before the seed is set
        torch.manual_seed(run.recipe.seed + self.seed_offset)
        model = self.build(run)
        initialise_where_it_fits(run.init_from, self.name, self.trains, model)
        latents = clips.joined(clips.latents, names)
        fit_components = getattr(model, "fit_components", None)
        if callable(fit_components):
            fit_components(latents)
        windows = WindowDataset(
            clips, names, config.window, clips.variants, run.resting, config.time_warp_fraction
        )
        weights = variant_weights(config, clips.variants)
        return MotionStageData(
            dataset=windows,
            indices=np.arange(len(windows)),
            weights=np.repeat(weights, len(windows) // len(clips.variants)),
            validation=self._validation(run, clips),
            model=model,
            probe=fit_probe(latents, clips.joined(clips.descriptors, names)),
            clips=clips,
            names=tuple(names),
        )

    @staticmethod
    def _validation(run: Run, clips: MotionData) -> DataLoader[Any] | None:
        """Held-out clips, whole."""
        if not run.held_out:
            return None
        longest = max(len(clips.latents[n]) for n in run.held_out)
        whole = WindowDataset(clips, run.held_out, longest)
        return DataLoader(whole, batch_size=VALIDATION_BATCH)

    def reuse(self, run: Run) -> nn.Module | None:
        """The network of the avatar that training begins with, in the space of the run."""
        model = run.reusable.get(self.trains)
        if isinstance(model, MotionModel):
            model._space = [run.space]  # its appearances are those of this footage
        return model


class MotionModelStage(MotionStage):
    """Trains any motion model by its own `training_loss`; see `Trainable`."""

    def __init__(self, config: MotionModelTraining):
        super().__init__(config)
        self.trains = f"motion/{config.key}"

    @property
    def name(self) -> str:
        """Names its checkpoints and its part of the time budget."""
        return f"{self.config.type}-{self.config.key}"

    def module(self, run: Run, data: MotionStageData, progress: TrainingProgress) -> StageModule:
        """The motion model with its own loss."""
        frames = self.config.batch * self.config.window
        return TrainableModule(data.model, self.config, progress, run.recipe.seed, frames)


def opening_scores(generated: Tensor, reference: Tensor, opening: Tensor) -> dict[str, Tensor]:
    """How the mouth's opening, read off latents linearly, follows the real one.

    Args:
        generated: normalised latents [N, L] of a model.
        reference: those of the footage.
        opening: [L], the probe's column of the opening.
    """
    said, real = generated @ opening, reference @ opening
    return {
        "opening_correlation": torch.corrcoef(torch.stack([said, real]))[0, 1],
        "articulation": said.std() / real.std(),
    }
