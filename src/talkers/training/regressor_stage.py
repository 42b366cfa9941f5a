"""Stage 2 of DAE-Talker: train speech2latent on the latents of the frozen renderer."""

from __future__ import annotations

from torch import Tensor

from talkers.experts.models import POINTS
from talkers.motion import Conditions, Speech2Latent
from talkers.motion.regressor import velocity
from talkers.systems.stages import RegressorTraining
from talkers.training.contract import Run
from talkers.training.expert_losses import ExpertLosses
from talkers.training.module import StageModule
from talkers.training.motion_stage import MotionStage, MotionStageData, opening_scores
from talkers.training.progress import TrainingProgress


def masked_mse(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference over some frames.

    Args:
        a, b: [B, T, C].
        mask: bool [B, T], the frames.
    """
    error = (a - b).square().mean(-1)
    return (error * mask).sum() / mask.sum().clamp(min=1)


def conditions_of(batch: dict[str, Tensor]) -> Conditions:
    """What a motion model is given in training, the measured head among it."""
    return Conditions(batch["features"], batch["head"], exists=batch["exists"])


class RegressorModule(StageModule):
    """Training step of speech2latent.

    The paper's losses on latents and pose, with velocity and face descriptors beside them and, if
    the recipe asks for them, those of experts.

    Args:
        model: the motion model.
        config: settings of its training.
        progress: of the training.
        seed: of its random numbers.
        probe: [L, 133], normalised latents -> standardised face descriptors.
        experts: judges, or None.
    """

    model: Speech2Latent
    config: RegressorTraining
    probe: Tensor

    def __init__(
        self,
        model: Speech2Latent,
        config: RegressorTraining,
        progress: TrainingProgress,
        seed: int,
        probe: Tensor,
        experts: ExpertLosses | None = None,
    ):
        super().__init__(model, config, progress, seed, config.batch * config.window)
        self.register_buffer("probe", probe)
        self._experts = [experts]  # in a list: not trained, not saved

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses in normalised units, the pose being given (teacher forcing)."""
        space = self.model.space
        motion = self.model(conditions_of(batch))
        usable, both = batch["usable"], batch["usable"][:, 1:] & batch["usable"][:, :-1]
        generated = space.normalise(motion.values.float())
        reference = space.normalise(batch["latents"])
        head = space.normalise_head(motion.head.float())
        reference_head = space.normalise_head(batch["head"])
        experts = self._experts[0]
        parts = {}
        if experts is not None:
            parts = experts.to(generated.device).losses(generated, reference, batch)
        # |z' - z|^2, |(z'_t - z'_t-1) - (z_t - z_t-1)|^2, |p' - p|^2 and |P z' - P z|^2
        return parts | {
            "latent": masked_mse(generated, reference, usable),
            "velocity": masked_mse(velocity(generated), velocity(reference), both),
            "pose": masked_mse(head[..., :6], reference_head[..., :6], usable),
            "probe": masked_mse(generated @ self.probe, reference @ self.probe, usable),
        }

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The weighted sum of the losses."""
        parts, config = self.losses(batch), self.config
        for name, value in parts.items():
            self.log(f"train/{name}", value, prog_bar=name == "latent")
        total = (
            parts["latent"]
            + config.velocity_weight * parts["velocity"]
            + config.pose_weight * parts["pose"]
            + config.probe_weight * parts["probe"]
        )
        for name, weight in (("lips", config.lips_weight), ("sync", config.sync_weight)):
            if weight:
                total = total + weight * parts[name]
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Losses of held-out clips, and how far and when the mouth opens."""
        count, usable = len(batch["latents"]), batch["usable"]
        for name, value in self.losses(batch).items():
            self.log(f"val/{name}", value, batch_size=count, sync_dist=True)
        motion = self.model(conditions_of(batch))
        generated, reference = (
            self.model.space.normalise(latents.float())[usable]
            for latents in (motion.values, batch["latents"])
        )
        for name, value in opening_scores(generated, reference, self.probe[:, 0]).items():
            self.log(f"val/{name}", value, prog_bar=True, batch_size=count, sync_dist=True)


class RegressorStage(MotionStage):
    """Trains the regressor."""

    trains, seed_offset = "motion/regressor", 1

    def module(self, run: Run, data: MotionStageData, progress: TrainingProgress) -> StageModule:
        """The regressor with its losses."""
        config, experts = self.config, None
        assert data.probe is not None
        assert data.clips is not None
        if config.lips_weight or config.sync_weight:
            lips = data.clips.joined(data.clips.descriptors, data.names)[:, :POINTS]
            experts = ExpertLosses(data.probe[:, :POINTS] * lips.std(0).clamp(min=1e-4))
        return RegressorModule(data.model, config, progress, run.recipe.seed, data.probe, experts)
