"""Stage 1: train the diffusion autoencoder on single frames of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips
from talkers.corpus.views import SHAPE_NUMBERS
from talkers.errors import ArtefactError, UsageError
from talkers.face.regions import region_figures
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.progress import Report, quiet
from talkers.renderers.diffusion_autoencoder import (
    CodecConfig,
    DiffusionAutoencoder,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.renderers.diffusion_autoencoder.schedule import TIMESTEPS, diffuse, target_of
from talkers.systems.recipe import CodecTraining, Recipe
from talkers.training.frames import FrameDataset, FrameStore, PositionSampler
from talkers.training.progress import TrainingProgress
from talkers.training.runner import StageModule, begin_with, fit


def region_weights(boxes: Tensor, size: int, mouth: float, eye: float) -> Tensor:
    """Loss weights of mean 1: boxes [B, 3, 4] -> [B, 1, S, S]."""
    line = torch.arange(size, device=boxes.device)
    left, top, right, bottom = boxes.long().unbind(-1)  # [B, 3] each
    across = (line >= left[..., None]) & (line < right[..., None])  # [B, 3, S]
    down = (line >= top[..., None]) & (line < bottom[..., None])
    inside = (down[..., :, None] & across[..., None, :]).float()  # [B, 3, S, S]
    gains = torch.tensor([mouth, eye, eye], device=boxes.device) - 1
    weights = 1 + (inside * gains[:, None, None]).amax(1, keepdim=True)
    return weights / weights.mean((1, 2, 3), keepdim=True)


class CodecModule(StageModule):
    """Training step of the diffusion autoencoder (DAE, equation 6, with region weights)."""

    def __init__(
        self,
        config: CodecConfig,
        training: CodecTraining,
        pace: TrainingProgress,
        seed: int,
        montages: Path | None = None,
    ):
        super().__init__(training, pace, seed, training.batch)
        self.codec = DiffusionAutoencoder(config)
        self.tell_shape = torch.nn.Linear(config.latent, SHAPE_NUMBERS)
        self.config, self.montages = config, montages
        self._clips: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.training_config
        return torch.optim.AdamW(
            self.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.99) if config.decay else (0.9, 0.999),
            fused=True,
        )

    def loss(self, frames: Tensor, boxes: Tensor, shape: Tensor) -> Tensor:
        """Weighted squared error of the prediction for frames uint8 [B, S, S, 3] at random noise levels, and of the
        face's shape [B, 133] as a linear layer tells it from the latents."""
        config, codec = self.training_config, self.codec
        x0 = from_frames(frames).contiguous(memory_format=torch.channels_last)
        eps = torch.randn_like(x0)
        t = torch.randint(0, TIMESTEPS, (len(x0),), device=x0.device)
        t = torch.where(
            torch.rand(len(x0), device=x0.device) < config.noisiest_share, TIMESTEPS - 1, t
        )
        level = codec.levels[t]
        latents = codec.encode(x0)
        told = (
            (self.tell_shape(latents).float() - shape).square().mean()
            if config.shape_weight
            else 0.0
        )
        if config.latent_noise:
            latents = latents + config.latent_noise * torch.randn_like(latents)
        near = codec.unet.appearance(latents) if codec.unet.appearance is not None else None
        out = codec.output(diffuse(x0, eps, level), t, latents, near).float()
        error = (out - target_of(codec.config.prediction, x0, eps, level)).square()
        if near is not None:
            error = error + config.appearance_weight * (near - x0).square()
        return (
            error * region_weights(boxes, codec.size, config.mouth_weight, config.eye_weight)
        ).mean() + config.shape_weight * told

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(batch["frame"], batch["boxes"], batch["shape"])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """One batch is one held-out clip, reconstructed by one pass from shared noise."""
        frames, boxes = batch["frame"], batch["boxes"]
        noise = shared_noise(self.codec.size, 0).to(frames.device)
        outs = []
        for part in torch.split(frames, self.training_config.batch):
            outs.append(
                to_frames(self.codec.decode(self.codec.encode(from_frames(part)), noise, 1))
            )
        made = torch.cat(outs)
        figures = region_figures(made.cpu().numpy(), frames.cpu().numpy(), boxes.cpu().numpy())
        for name, value in figures.items():
            self.log(
                f"val/{name}",
                value,
                prog_bar=name in ("psnr", "mouth_r2"),
                batch_size=1,
                sync_dist=True,
            )
        if self.montages and self.global_rank == 0 and batch_idx == 0:
            write_png(
                self.montages / f"codec-{self._pace[0].seen:09d}.png",
                montage([frames.cpu().numpy(), made.cpu().numpy()]),
            )


def train_codec(
    corpus: Corpus,
    recipe: Recipe,
    folder: Path,
    budget: float | None = None,
    report: Report = quiet,
    trainer_options: dict[str, Any] | None = None,
    start: Path | None = None,
) -> DiffusionAutoencoder:
    """Run stage 1 to its end, or go on with it.

    Args:
        corpus: of the recipe's size and rate; its held-out clips are only validated on.
        folder: takes checkpoints, montages and metrics.jsonl.
        budget: seconds of training, or None for the recipe's number of frames.
        start: folder of an avatar or training of the same codec whose weights are begun with.

    Returns:
        the codec with its averaged weights.
    """
    settings = recipe.codec_training
    if not settings.frames and start is None:
        raise UsageError(
            "the codec shall see 0 frames",
            todo="Name an avatar whose codec to take with --start, or let it see some",
        )
    store = FrameStore(corpus, report)
    test = held_out(corpus.names)
    train = store.indices(training_clips(corpus, recipe.minutes))
    if not len(train):
        raise ArtefactError(
            "no frame of this corpus can be trained on",
            where=corpus.folder,
            todo="Prepare more footage",
        )
    pace = TrainingProgress(settings.frames, budget)
    torch.manual_seed(recipe.seed)
    module = CodecModule(recipe.codec, settings, pace, recipe.seed, folder)
    if start is None:
        some = from_frames(
            torch.from_numpy(
                np.stack(
                    [
                        store.frames[i]
                        for i in train[
                            np.linspace(0, len(train) - 1, min(1500, len(train))).astype(int)
                        ]
                    ]
                )
            )
        )
        module.codec.encoder.set_components(some)
        if module.codec.unet.appearance is not None:
            module.codec.unet.appearance.set_mean(some.mean(0, keepdim=True))
    if start is not None:
        begin_with(start, "codec", module.codec, "codec.")
        if not settings.frames:
            return module.codec
    module.codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.compile:
        module.codec.unet.compile()
        module.codec.encoder.compile()
    weights = 1 + settings.blink_boost * np.clip(store.blink[train] * 2 - 0.6, 0, 1)
    data = FrameDataset(store)

    def loader() -> DataLoader[Any]:
        sampler = PositionSampler(
            train,
            weights,
            settings.batch,
            recipe.seed,
            lambda: module.global_step,
            module.global_rank,
            module.trainer.world_size,
        )
        return DataLoader(data, batch_sampler=sampler, pin_memory=torch.cuda.is_available())

    clips = [store.indices([name]) for name in test[:4]]
    validate = (
        DataLoader(data, batch_sampler=[[int(i) for i in clip] for clip in clips if len(clip)])
        if clips
        else None
    )
    between = (
        max(1, settings.save_every // settings.batch),
        max(1, settings.validate_every // settings.batch),
    )
    fit(
        module,
        "codec",
        folder,
        pace,
        loader,
        validate,
        between,
        settings.ema,
        report,
        trainer_options,
    )
    return module.codec
