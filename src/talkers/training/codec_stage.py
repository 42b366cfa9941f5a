"""Stage 1 of DAE-Talker: train the diffusion autoencoder on single frames of a corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkers.corpus.views import SHAPE_NUMBERS
from talkers.face.regions import region_figures
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.renderers.contract import from_frames, to_frames
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder, shared_noise
from talkers.renderers.diffusion_autoencoder.schedule import TIMESTEPS, diffuse, target_of
from talkers.systems.stages import CodecTraining
from talkers.training.contract import Run
from talkers.training.frames import FrameStore
from talkers.training.initial import initialise_from
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress
from talkers.training.renderer_stage import RendererStage

PCA_FRAMES = 1500  # frames of which the encoder's first components are made


def region_weights(boxes: Tensor, size: int, mouth: float, eye: float) -> Tensor:
    """Loss weights of the pixels, of mean 1.

    Args:
        boxes: [B, 3, 4], left, top, right and bottom of mouth and both eyes, pixels.
        size: side of the frames, pixels.
        mouth: weight of the mouth's box, relative to the rest of the picture.
        eye: weight of the eyes' boxes, likewise.

    Returns:
        [B, 1, S, S]
    """
    line = torch.arange(size, device=boxes.device)
    left, top, right, bottom = boxes.long().unbind(-1)  # [B, 3] each
    across = (line >= left[..., None]) & (line < right[..., None])  # [B, 3, S]
    down = (line >= top[..., None]) & (line < bottom[..., None])
    inside = (down[..., :, None] & across[..., None, :]).float()  # [B, 3, S, S]
    gains = torch.tensor([mouth, eye, eye], device=boxes.device) - 1
    # w = 1 + max over boxes of (gain - 1) inside, divided by its mean over the picture
    weights = 1 + (inside * gains[:, None, None]).amax(1, keepdim=True)
    return weights / weights.mean((1, 2, 3), keepdim=True)


class CodecModule(StageModule):
    """Training step of the diffusion autoencoder (DAE, equation 6, with region weights).

    Args:
        model: the diffusion autoencoder.
        config: settings of its training.
        progress: of the training.
        seed: of its random numbers.
        montages: folder for pictures of validations, or None.
    """

    model: DiffusionAutoencoder
    config: CodecTraining

    def __init__(
        self,
        model: DiffusionAutoencoder,
        config: CodecTraining,
        progress: TrainingProgress,
        seed: int,
        montages: Path | None = None,
    ):
        super().__init__(model, config, progress, seed)
        self.descriptor_probe = torch.nn.Linear(model.motion_width, SHAPE_NUMBERS)
        self.montages = montages

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, which forgets gradients sooner where the learning rate falls."""
        config = self.config
        return torch.optim.AdamW(
            self.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.99) if config.decay else (0.9, 0.999),
            fused=True,
        )

    def _timesteps(self, count: int, device: torch.device) -> Tensor:
        """Schedule positions, uniform but for a share at the noisiest one: [count]."""
        t = torch.randint(0, TIMESTEPS, (count,), device=device)
        noisiest = torch.rand(count, device=device) < self.config.max_noise_fraction
        return torch.where(noisiest, TIMESTEPS - 1, t)

    def loss(self, frames: Tensor, boxes: Tensor, descriptors: Tensor) -> Tensor:
        """Weighted squared error at random noise levels, and that of the face descriptors.

        Args:
            frames: uint8 [B, S, S, 3].
            boxes: [B, 3, 4], see `region_weights`.
            descriptors: [B, 133], standardised; a linear layer predicts them from the latents.
        """
        config, model = self.config, self.model
        x0 = from_frames(frames).contiguous(memory_format=torch.channels_last)
        eps = torch.randn_like(x0)
        t = self._timesteps(len(x0), x0.device)
        level = model.levels[t]
        latents = model.encode(x0)
        # |A z + b - d|^2
        described = torch.zeros((), device=x0.device)
        if config.descriptor_weight:
            prediction = self.descriptor_probe(latents).float()
            described = (prediction - descriptors).square().mean()
        if config.latent_noise:
            latents = latents + config.latent_noise * torch.randn_like(latents)
        appearance = model.unet.appearance
        base = appearance(latents) if appearance is not None else None
        # DAE, equation 6: |f(x_t, t, z) - target|^2, the target being eps, x0 or v
        out = model.output(diffuse(x0, eps, level), t, latents, base).float()
        error = (out - target_of(model.config.prediction, x0, eps, level)).square()
        if base is not None:
            error = error + config.appearance_weight * (base - x0).square()
        weights = region_weights(boxes, model.size, config.mouth_weight, config.eye_weight)
        return (error * weights).mean() + config.descriptor_weight * described

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch of frames."""
        loss = self.loss(batch["frame"], batch["boxes"], batch["descriptors"])
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """One batch is one held-out clip, reconstructed by one pass from shared noise."""
        frames, boxes = batch["frame"], batch["boxes"]
        noise = shared_noise(self.model.size, 0).to(frames.device)
        parts = [
            to_frames(self.model.decode(self.model.encode(from_frames(part)), noise, 1))
            for part in torch.split(frames, self.config.batch)
        ]
        generated, reference = torch.cat(parts).cpu().numpy(), frames.cpu().numpy()
        figures = region_figures(generated, reference, boxes.cpu().numpy())
        for name, value in figures.items():
            shown = name in ("psnr", "mouth_r2")
            self.log(f"val/{name}", value, prog_bar=shown, batch_size=1, sync_dist=True)
        if self.montages and self.global_rank == 0 and batch_idx == 0:
            picture = montage([reference, generated])
            write_png(self.montages / f"codec-{self.progress.seen:09d}.png", picture)


def first_frames(store: FrameStore, indices: np.ndarray) -> Tensor:
    """Evenly chosen training frames as pictures: [N, 3, S, S]."""
    chosen = np.linspace(0, len(indices) - 1, min(PCA_FRAMES, len(indices))).astype(int)
    return from_frames(torch.from_numpy(np.stack([store.frames[i] for i in indices[chosen]])))


class CodecStage(RendererStage):
    """Trains the diffusion autoencoder."""

    def module(self, run: Run, data: StageData, progress: TrainingProgress) -> StageModule:
        """The diffusion autoencoder with its loss; it begins with principal components."""
        torch.manual_seed(run.recipe.seed)
        model: DiffusionAutoencoder = self.build(run)
        module = CodecModule(model, self.config, progress, run.recipe.seed, run.folder)
        if run.init_from is not None:
            initialise_from(run.init_from, self.name, self.trains, model)
        else:
            pictures = first_frames(run.frames, data.indices)
            model.encoder.set_components(pictures)
            if model.unet.appearance is not None:
                model.unet.appearance.set_base_image(pictures.mean(0, keepdim=True))
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.config.compile:
            model.unet.compile()
            model.encoder.compile()
        return module
