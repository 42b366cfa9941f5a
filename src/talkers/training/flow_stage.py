"""Stage 3: train the motion sampler by flow matching (Lipman et al. 2023, equation 14, with straight paths)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from talkers.corpus import Corpus
from talkers.motion import FlowMotion
from talkers.motion.flow import NEAR, smoothed
from talkers.motion.regressor import velocity
from talkers.progress import Report, quiet
from talkers.space.linear import HEAD
from talkers.systems.recipe import Recipe, SamplerTraining
from talkers.training.motion_data import MotionData
from talkers.training.progress import TrainingProgress
from talkers.training.regressor_stage import train_mover
from talkers.training.runner import StageModule, begin_where_it_fits


class FlowModule(StageModule):
    """Training step of the sampler: the velocity of straight paths from noise to rows, and the face's shape where they end."""

    readout: Tensor

    def __init__(
        self,
        model: FlowMotion,
        training: SamplerTraining,
        pace: TrainingProgress,
        seed: int,
        readout: Tensor,
    ):
        super().__init__(training, pace, seed, training.batch * training.window)
        self.model = model
        self.register_buffer("readout", readout)

    def _given(self, rows: Tensor) -> Tensor:
        """What is known beforehand, as in speaking: blinks mostly, the head pose sometimes, how it begins often."""
        b, count, width = rows.shape
        given, shapes = torch.zeros_like(rows), width - len(HEAD)
        kind = torch.rand(b, 1, device=rows.device)
        given[..., shapes + HEAD.index("blink")] = (kind < 0.8).float()
        given[..., shapes:] = torch.maximum(given[..., shapes:], (kind < 0.3).float()[..., None])
        begun = (torch.rand(b, 1, device=rows.device) < 0.5) * torch.randint(
            4, count // 2, (b, 1), device=rows.device
        )
        return torch.maximum(
            given, (torch.arange(count, device=rows.device)[None] < begun).float()[..., None]
        )

    @staticmethod
    def _turned(batch: dict[str, Tensor], share: float) -> dict[str, Tensor]:
        """Batches in some of whose windows the end comes first: what is known beforehand is then of another time, as a
        reference clip is."""
        b, count = batch["exists"].shape
        turn = (torch.rand(b, 1, device=batch["exists"].device) < share) * torch.randint(
            4, count // 2, (b, 1), device=batch["exists"].device
        )
        at = (torch.arange(count, device=turn.device)[None] - turn) % count
        pairs = torch.stack([2 * at, 2 * at + 1], -1).reshape(b, -1)
        turned = {}
        for name, rows in batch.items():
            index = pairs if name == "features" else at
            turned[name] = rows.gather(
                1,
                index.reshape(*index.shape, *[1] * (rows.ndim - 2)).expand(-1, -1, *rows.shape[2:]),
            )
        return turned

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        model, config = self.model, self.training_config
        batch = self._turned(batch, config.turned_share)
        rows = model.rows(batch["latents"], batch["head"])
        b, count, width = rows.shape
        noise = smoothed(torch.randn(b, count + 2 * NEAR, width, device=rows.device))
        t, given = torch.rand(len(rows), device=rows.device), self._given(rows)
        heard = model.hear(batch["features"])
        heard = torch.where(
            torch.rand(len(rows), 1, 1, device=rows.device) < config.unheard_share,
            model.unheard.to(heard.dtype),
            heard,
        )
        x = torch.lerp(noise, rows, t[:, None, None])
        v = model.velocity(x, t, rows, given, heard, batch["exists"]).float()
        free = (1 - given) * batch["usable"][..., None]
        flow = ((v - rows + noise).square() * free).sum() / free.sum().clamp(min=1)
        ends = [
            (r[..., : model.config.shapes] @ model.shape_back) @ self.readout
            for r in (x + (1 - t[:, None, None]) * v, rows)
        ]
        anew = free[..., 0]  # frames whose face is sampled
        shape = ((ends[0] - ends[1]).square().mean(-1) * anew).sum() / anew.sum().clamp(min=1)
        self.log("train/flow", flow, prog_bar=True)
        self.log("train/shape", shape)
        return flow + config.readout_weight * shape

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Whole held-out clips, blinks given: does the mouth open when it should, and does the head move as much?"""
        model, usable = self.model, batch["usable"]
        asked = torch.full_like(batch["head"], float("nan"))
        asked[..., HEAD.index("blink")] = batch["head"][..., HEAD.index("blink")]
        made = model(batch["features"], asked, batch["exists"])
        opening = [
            ((x.float() - model.latent_mean) / model.latent_std @ self.readout[:, 0])[usable]
            for x in (made.latents, batch["latents"])
        ]
        poses = [x[..., :3].float() for x in (made.head, batch["head"])]
        both = usable[:, 1:] & usable[:, :-1]
        spread = [
            torch.stack(
                [x[k][usable[k]].std(0).mean() for k in range(len(x)) if usable[k].sum() > 1]
            ).mean()
            for x in poses
        ]
        moved = [velocity(x)[both].abs().mean() for x in poses]
        for name, value in {
            "opening_correlation": torch.corrcoef(torch.stack(opening))[0, 1],
            "articulation": opening[0].std() / opening[1].std(),
            "pose_std_ratio": spread[0] / spread[1],
            "pose_velocity_ratio": moved[0] / moved[1],
        }.items():
            self.log(f"val/{name}", value, prog_bar=True, batch_size=len(usable), sync_dist=True)


def train_sampler(
    corpus: Corpus,
    recipe: Recipe,
    data: MotionData,
    folder: Path,
    budget: float | None = None,
    report: Report = quiet,
    trainer_options: dict[str, Any] | None = None,
    start: Path | None = None,
) -> FlowMotion:
    """Run stage 3 to its end, or go on with it; arguments as in `train_motion`."""
    settings = recipe.sampler_training
    torch.manual_seed(recipe.seed + 3)

    def module_of(model: FlowMotion, pace: TrainingProgress, readout: Tensor) -> FlowModule:
        return FlowModule(model, settings, pace, recipe.seed, readout)

    model = FlowMotion(recipe.sampler, data.feature_width, recipe.codec.latent)
    begin_where_it_fits(start, "sampler", model)
    return train_mover(
        "sampler",
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
