"""Train the motion sampler by conditional flow matching (Lipman et al. 2023, equation 14)."""

from __future__ import annotations

import torch
from torch import Tensor

from talkers.motion import Conditions, FlowMotion
from talkers.motion.flow import NOISE_REACH, smooth_noise
from talkers.motion.regressor import velocity
from talkers.space.contract import HEAD
from talkers.systems.stages import FlowTraining
from talkers.training.contract import Run
from talkers.training.module import StageModule
from talkers.training.motion_stage import MotionStage, MotionStageData, opening_scores
from talkers.training.progress import TrainingProgress

BLINK_OBSERVED, HEAD_OBSERVED = 0.8, 0.3  # shares of windows in which they are given
PROMPT_SHARE = 0.5  # of windows whose first frames are given
MIN_PROMPT = 4  # frames


def observed_mask(rows: Tensor, descriptors: int) -> Tensor:
    """What is given beforehand, as in speaking: blinks mostly, the pose at times, a prompt often.

    Args:
        rows: [B, T, C].
        descriptors: how many of the C numbers describe the face; the others are head values.

    Returns:
        1 where a number is given, else 0: [B, T, C].
    """
    batch, count, _ = rows.shape
    mask = torch.zeros_like(rows)
    kind = torch.rand(batch, 1, device=rows.device)
    mask[..., descriptors + HEAD.index("blink")] = (kind < BLINK_OBSERVED).float()
    mask[..., descriptors:] = torch.maximum(
        mask[..., descriptors:], (kind < HEAD_OBSERVED).float()[..., None]
    )
    prompted = torch.rand(batch, 1, device=rows.device) < PROMPT_SHARE
    length = torch.randint(MIN_PROMPT, count // 2, (batch, 1), device=rows.device)
    frame = torch.arange(count, device=rows.device)[None]
    return torch.maximum(mask, (frame < prompted * length).float()[..., None])


def with_suffix_prompts(batch: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Put the end of some windows first: the prompt is then of another time, as a style clip is.

    Args:
        batch: rows [B, T, ...], features [B, 2 T, F].
        share: of windows.
    """
    count = batch["exists"].shape[1]
    size, device = (len(batch["exists"]), 1), batch["exists"].device
    chosen = torch.rand(size, device=device) < share
    shift = chosen * torch.randint(MIN_PROMPT, count // 2, size, device=device)
    at = (torch.arange(count, device=device)[None] - shift) % count
    pairs = torch.stack([2 * at, 2 * at + 1], -1).reshape(len(at), -1)
    rolled = {}
    for name, rows in batch.items():
        index = pairs if name == "features" else at
        index = index.reshape(*index.shape, *[1] * (rows.ndim - 2))
        rolled[name] = rows.gather(1, index.expand(-1, -1, *rows.shape[2:]))
    return rolled


class FlowModule(StageModule):
    """Training step of the sampler.

    It learns the velocity of straight paths from noise to rows, and the face where they end.

    Args:
        model: the motion model.
        config: settings of its training.
        progress: of the training.
        seed: of its random numbers.
        probe: [L, 133], normalised latents -> standardised face descriptors.
    """

    model: FlowMotion
    config: FlowTraining
    probe: Tensor

    def __init__(
        self,
        model: FlowMotion,
        config: FlowTraining,
        progress: TrainingProgress,
        seed: int,
        probe: Tensor,
    ):
        super().__init__(model, config, progress, seed, config.batch * config.window)
        self.register_buffer("probe", probe)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The flow-matching loss, and the error of the face descriptors where the flow ends."""
        model, config = self.model, self.config
        batch = with_suffix_prompts(batch, config.suffix_prompt_fraction)
        rows = model.states(batch["latents"], batch["head"])
        count, descriptors = rows.shape[1], rows.shape[2] - len(HEAD)
        noise = smooth_noise(
            torch.randn(len(rows), count + 2 * NOISE_REACH, rows.shape[2], device=rows.device)
        )
        t, mask = torch.rand(len(rows), device=rows.device), observed_mask(rows, descriptors)
        speech = model.speech(batch["features"])
        dropped = torch.rand(len(rows), 1, 1, device=rows.device) < config.condition_dropout
        speech = torch.where(dropped, model.null_speech.to(speech.dtype), speech)
        # x_t = (1 - t) x_0 + t x_1, and the target velocity is x_1 - x_0 (x_0 noise, x_1 rows)
        x = torch.lerp(noise, rows, t[:, None, None])
        v = model.velocity(x, t, (rows, mask), speech, batch["exists"]).float()
        free = (1 - mask) * batch["usable"][..., None]
        flow = ((v - rows + noise).square() * free).sum() / free.sum().clamp(min=1)
        # where the flow ends: x_1' = x_t + (1 - t) v
        ends = [
            (r[..., :descriptors] @ model.component_back) @ self.probe
            for r in (x + (1 - t[:, None, None]) * v, rows)
        ]
        sampled = free[..., 0]  # frames whose face is sampled
        error = (ends[0] - ends[1]).square().mean(-1)
        shape = (error * sampled).sum() / sampled.sum().clamp(min=1)
        self.log("train/flow", flow, prog_bar=True)
        self.log("train/shape", shape)
        return flow + config.probe_weight * shape

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Whole held-out clips, blinks given: do mouth and head move as they do in the footage?"""
        model, usable = self.model, batch["usable"]
        head = torch.full_like(batch["head"], float("nan"))
        head[..., HEAD.index("blink")] = batch["head"][..., HEAD.index("blink")]
        motion = model.generate(Conditions(batch["features"], head, exists=batch["exists"]))
        generated, reference = (
            model.space.normalise(latents.float())[usable]
            for latents in (motion.values, batch["latents"])
        )
        poses = [x[..., :3].float() for x in (motion.head, batch["head"])]
        both = usable[:, 1:] & usable[:, :-1]
        spread = [
            torch.stack(
                [x[k][usable[k]].std(0).mean() for k in range(len(x)) if usable[k].sum() > 1]
            ).mean()
            for x in poses
        ]
        moved = [velocity(x)[both].abs().mean() for x in poses]
        scores = opening_scores(generated, reference, self.probe[:, 0]) | {
            "pose_std_ratio": spread[0] / spread[1],
            "pose_velocity_ratio": moved[0] / moved[1],
        }
        for name, value in scores.items():
            self.log(f"val/{name}", value, prog_bar=True, batch_size=len(usable), sync_dist=True)


class FlowStage(MotionStage):
    """Trains the sampler."""

    trains, seed_offset = "motion/flow", 3

    def module(self, run: Run, data: MotionStageData, progress: TrainingProgress) -> StageModule:
        """The sampler with its loss."""
        assert data.probe is not None
        return FlowModule(data.model, self.config, progress, run.recipe.seed, data.probe)
