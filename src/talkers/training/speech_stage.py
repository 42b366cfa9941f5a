"""Distil the speech encoder into the avatar's own streaming one, so that it can follow a stream."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from talkers.motion import Conditions, Speech2Latent
from talkers.speech import FEATURE_RATE
from talkers.speech.streaming import StreamingSpeechEncoder, mel_rows
from talkers.systems.stages import StreamingEncoderTraining
from talkers.training.augment import at_positions
from talkers.training.cache import VariantCache
from talkers.training.contract import Run, Stage
from talkers.training.initial import initialise_where_it_fits
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress
from talkers.training.student_data import (
    BESIDE,
    VARIANT_WEIGHTS,
    SoundDataset,
    held_out_recordings,
    student_sounds,
)

STATISTICS_STEP = 7  # every seventh row tells mean and spread
VALIDATION_BATCH = 16  # windows
SPREAD_WINDOWS = 64  # by whose variance errors are weighed
LEVEL_DB = 15.0  # windows are up to so much louder or quieter
HISS_DB = -55.0, -25.0  # range of the level of added noise


def feature_statistics(sounds: VariantCache, clips: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the features of all variants of some clips: [F] each.

    They are summed up sound by sound, so that memory does not grow with the footage.
    """
    width = sounds.widths["features"]
    count, total, squares = 0, torch.zeros(width).double(), torch.zeros(width).double()
    for clip in clips:
        for variant in sounds.variants(clip):
            rows = sounds.rows(clip, variant)[::STATISTICS_STEP].double()
            count += len(rows)
            total += rows.sum(0)
            squares += rows.square().sum(0)
    mean = total / max(1, count)
    # var = (sum x^2 - N mean^2) / (N - 1)
    variance = (squares - count * mean.square()) / max(1, count - 1)
    return mean.float(), variance.clamp(min=0).sqrt().float()


class StreamingEncoderModule(StageModule):
    """Training step of the streaming speech encoder.

    It is to give the features that the encoder gives, what the motion model's first layers make of
    them, and the motion that follows from them.

    Args:
        model: the streaming encoder.
        motion: the regressor, frozen.
        config: settings of its training.
        progress: of the training.
        seed: of its random numbers.
        usual: features [N, 2 T, F] by whose variance errors are weighed.
        frame_rate: of the motion.
    """

    model: StreamingSpeechEncoder
    config: StreamingEncoderTraining

    def __init__(
        self,
        model: StreamingSpeechEncoder,
        motion: Speech2Latent,
        config: StreamingEncoderTraining,
        progress: TrainingProgress,
        seed: int,
        usual: Tensor,
        frame_rate: float = FEATURE_RATE / 2,
    ):
        super().__init__(model, config, progress, seed, config.batch * config.window)
        self.frame_rate = frame_rate
        self._motion = [motion.eval().requires_grad_(False)]  # in a list: not trained, not saved
        with torch.inference_mode():
            usual_outputs = self.outputs((usual - model.mean) / model.std, len(usual))
        # the variance of each output about its mean over windows and rows
        self._variance = {
            name: float((x - x.mean((0, 1))).square().mean()) for name, x in usual_outputs.items()
        }

    def predict(self, samples: Tensor, rows: int, guessed: int = 0) -> Tensor:
        """Samples [B, n] -> standardised features of their first `rows` rows.

        Args:
            samples: sound of the rows and of what is heard ahead of them.
            rows: how many.
            guessed: how many of the last ones are guesses: no more sound is heard than a stream
                has when these are the next.
        """
        ahead, known = self.model.config.look_ahead, rows - guessed
        prediction, state = self.model(mel_rows(samples)[:, : known + ahead])
        parts = [prediction[:, ahead:], self.model.guess(state, guessed)]
        return torch.cat(parts, 1).float()

    def outputs(self, standardised: Tensor, few: int) -> dict[str, Tensor]:
        """What features are to the motion model.

        Args:
            standardised: features [B, 2 T, F].
            few: windows for which the motion is generated too, which costs more.

        Returns:
            features: themselves; read: the motion model's first projection of them (most of what
            features vary by is nothing to it); latents, normalised, and mouth of `few` windows.
        """
        motion = self._motion[0].to(standardised.device)
        motion.space.to(standardised.device)
        features = self._two_a_frame(self.model.features(standardised))
        latents = motion.space.normalise(motion(Conditions(features[:few])).values.float())
        return {
            "features": standardised,
            "read": motion.speech.in_proj[:2](features).float(),
            "latents": latents,
            "mouth": latents @ motion.space.mouth_read,
        }

    def _two_a_frame(self, features: Tensor) -> Tensor:
        """Features [B, n, F] at their own rate -> [B, 2 T, F], two a frame of the motion."""
        if self.frame_rate * 2 == FEATURE_RATE:
            return features
        count = int(features.shape[1] * self.frame_rate / FEATURE_RATE)
        seconds = (torch.arange(2 * count, device=features.device) + 0.5) / (2 * self.frame_rate)
        positions = (seconds * FEATURE_RATE - 0.5).clamp(0, features.shape[1] - 1)
        return at_positions(features.transpose(0, 1), positions).transpose(0, 1)

    def unexplained(
        self, prediction: Tensor, wanted: Tensor, few: int, last: int = 0
    ) -> dict[str, Tensor]:
        """Shares of the usual variance of all `outputs` that a prediction misses.

        Args:
            prediction: features [B, 2 T, F].
            wanted: the same, as they are.
            few: windows whose motion is compared.
            last: rows at the end that count (0: all).
        """
        a, b = self.outputs(prediction, few), self.outputs(wanted, few)
        missed = {name: (a[name] - b[name]).square() for name in a}
        share = last / wanted.shape[1] if last else 1
        # 1 - R^2 = |a - b|^2 / var(b)
        return {
            name: value[:, -ceil(share * value.shape[1]) :].mean() / self._variance[name]
            for name, value in missed.items()
        }

    def _standardised(self, batch: dict[str, Tensor]) -> Tensor:
        return (batch["features"] - self.model.mean) / self.model.std

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The weighted sum of the losses, of sound at any level, with and without noise."""
        samples, config = batch["samples"], self.config
        size = (len(samples), 1)
        gain_db = 2 * LEVEL_DB * torch.rand(size, device=samples.device) - LEVEL_DB
        low, high = HISS_DB
        hiss_db = low + (high - low) * torch.rand(size, device=samples.device)
        noisy = torch.rand(size, device=samples.device) < config.noise
        # x = 10^(g / 20) (s + 10^(h / 20) n)
        noise = 10 ** (hiss_db / 20) * noisy * torch.randn_like(samples)
        heard, wanted = 10 ** (gain_db / 20) * (samples + noise), self._standardised(batch)
        guesses, guessed = self.model.config.guesses, 0
        if guesses and float(torch.rand(1)) < config.guess_share:
            guessed = int(torch.randint(1, guesses + 1, (1,)))
        prediction = self.predict(heard, wanted.shape[1], guessed)
        parts = self.unexplained(prediction, wanted, len(samples), guessed)
        for name, value in parts.items():
            kind = "guessed_" if guessed else ""
            self.log(f"train/{kind}{name}", value, prog_bar=name in ("read", "mouth"))
        return (
            config.features_weight * parts["features"]
            + parts["read"]
            + config.latent_weight * (parts["latents"] + parts["mouth"])
        )

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """R^2 of all outputs on held-out clips, and of as many guesses as it can make."""
        wanted = self._standardised(batch)
        guesses, count = self.model.config.guesses, len(wanted)
        for kind, guessed in [("", 0), ("guessed_", guesses)] if guesses else [("", 0)]:
            prediction = self.predict(batch["samples"], wanted.shape[1], guessed)
            missed = self.unexplained(prediction, wanted, count, guessed)
            for name, value in missed.items():
                shown = name in ("read", "mouth")
                self.log(f"val/{kind}{name}_r2", 1 - value, prog_bar=shown, batch_size=count)


class StreamingEncoderStage(Stage):
    """Trains the streaming speech encoder."""

    trains = "speech/student"
    needs = ("motion/regressor",)

    def prepare(self, run: Run) -> None:
        """Hear every clip with the frozen encoder."""
        if self.config.frames:
            student_sounds(run.corpus, run.recipe, run.report)

    def data(self, run: Run) -> StageData:
        """Windows of sound with their features."""
        recipe = run.recipe
        sounds = student_sounds(run.corpus, recipe, run.report)
        rows = round(self.config.window * FEATURE_RATE / float(run.corpus.rate))
        ahead = recipe.streaming_encoder.look_ahead
        beside = [clip for clip in sounds.clips if clip.startswith(BESIDE)]
        tried = held_out_recordings(beside)
        heard = [*run.training_clips, *sorted(set(beside) - set(tried))]
        dataset = SoundDataset(sounds, heard, rows, ahead)
        weights = [VARIANT_WEIGHTS.get(dataset.names[k][1], 1.0) for k, _ in dataset.starts]
        validation: DataLoader[Any] | None = None
        if held_out := [*run.held_out, *tried]:
            clean = SoundDataset(sounds, held_out, rows, ahead, ["clean"])
            validation = DataLoader(clean, batch_size=VALIDATION_BATCH)
        return StageData(dataset, np.arange(len(dataset)), np.array(weights), validation)

    def module(self, run: Run, data: StageData, progress: TrainingProgress) -> StageModule:
        """The streaming encoder with its losses."""
        recipe, dataset = run.recipe, data.dataset
        assert isinstance(dataset, SoundDataset)
        mean, std = feature_statistics(dataset.sounds, run.training_clips)
        torch.manual_seed(recipe.seed + 2)
        model = StreamingSpeechEncoder(recipe.streaming_encoder, len(mean))
        initialise_where_it_fits(run.init_from, self.name, self.trains, model)
        model.mean.copy_(mean)
        model.std.copy_(std.clamp(min=1e-4))
        chosen = np.linspace(0, len(dataset) - 1, min(SPREAD_WINDOWS, len(dataset))).astype(int)
        usual = torch.stack([dataset[int(k)]["features"] for k in chosen])
        motion = run.component("motion/regressor")
        rate = float(run.corpus.rate)
        return StreamingEncoderModule(
            model, motion, self.config, progress, recipe.seed, usual, rate
        )

    def reuse(self, run: Run) -> nn.Module | None:
        """The encoder of the avatar that training begins with, if it hears the same."""
        return run.reusable.get(self.trains)
