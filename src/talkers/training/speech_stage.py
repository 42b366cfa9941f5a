"""Stage 4: distil the speech encoder into the avatar's own listener, so that it can follow a stream."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out, training_clips
from talkers.media import AUDIO_RATE
from talkers.motion import Speech2Latent
from talkers.progress import Report, quiet
from talkers.speech import FEATURE_RATE, features_of, load_speech_encoder, loudness, speech_gain
from talkers.speech.mel import N_FFT
from talkers.speech.streaming import STEP, StreamingSpeechEncoder, sounds_of
from talkers.speech.voices import load_voice
from talkers.systems.recipe import ListenerTraining, Recipe
from talkers.training.augment import Augmentation, augment_voice, generator, non_speech
from talkers.training.frames import PositionSampler
from talkers.training.motion_data import gated, sentence_of, tts_voices_of
from talkers.training.progress import TrainingProgress
from talkers.training.runner import StageModule, begin_where_it_fits, fit

OFTEN = {
    "recorded": 2.0,
    "gated": 1.0,
    "wordless": 0.5,
}  # how often a rendition is heard, beside one in another voice
VOICES = 3  # times that a clip is said by somebody else
Sounds = dict[
    str, tuple[Tensor, Tensor]
]  # what is heard: samples [n] at 16 kHz, level normalised; features [n / STEP, F]


def heard_sounds(corpus: Corpus, recipe: Recipe, report: Report) -> Sounds:
    """Every clip as it was recorded, with digital silence between its words, with something wordless in its place, and said by
    others (one of them a synthetic voice if the motion model heard such): {name/rendition: ...}; cached."""
    config, said_by = recipe.speech, recipe.motion_training.synthetic
    key = sha256(
        f"{config} {corpus.digest()} {sorted(OFTEN)} {VOICES} {said_by} 3".encode()
    ).hexdigest()[:16]
    path = corpus.folder / ".cache" / f"heard-{key}.safetensors"
    if not path.exists():
        encoder, rate, held = load_speech_encoder(config), float(corpus.rate), {}
        tellers = [load_voice(name) for name in said_by]
        for done, clip in enumerate(corpus.clips):
            samples, sentence = corpus.audio(clip.name), sentence_of(clip)
            sounds = {
                "recorded": samples,
                "gated": gated(samples, corpus.column("speech", clip.name), rate),
            }
            sounds["wordless"] = non_speech(len(samples), generator(clip.name, 100))
            for k in range(VOICES):
                random = generator(clip.name, 101 + k)
                if k == 0 and tellers and sentence is not None:
                    teller = tellers[tts_voices_of(clip, len(tellers))[0]]
                    sounds[f"voice {k + 1}"] = soxr.resample(
                        teller.say(sentence).samples, teller.rate, AUDIO_RATE
                    )
                else:
                    sounds[f"voice {k + 1}"] = augment_voice(
                        samples, Augmentation.drawn(random), random
                    )
            for kind, sound in sounds.items():
                gain = speech_gain(
                    loudness(
                        np.asarray(sound, np.float32),
                        AUDIO_RATE,
                        rate,
                        int(len(sound) / AUDIO_RATE * rate),
                    )
                )
                cut = torch.from_numpy(
                    np.asarray(sound[: len(sound) // STEP * STEP] * gain, np.float32)
                )
                held[f"{clip.name}/{kind}/samples"] = cut.half()
                held[f"{clip.name}/{kind}/features"] = features_of(encoder, cut.numpy())[
                    : len(cut) // STEP
                ].half()
            report("hearing speech again", done + 1, len(corpus.clips))
        with atomic(path) as temporary:
            save_file(held, temporary)
    held = load_file(path)
    return {
        k.removesuffix("/samples"): (held[k], held[k.removesuffix("samples") + "features"])
        for k in held
        if k.endswith("/samples")
    }


class SoundDataset(Dataset[dict[str, Tensor]]):
    """Windows of sound that begin anywhere in a clip and go on with other clips, with the features to be told of them."""

    def __init__(self, sounds: Sounds, names: Sequence[str], rows: int, ahead: int):
        self.sounds, self.rows, self.ahead = sounds, rows, ahead
        self.names = [k for k in sounds if k.split("/")[0] in set(names)]
        self.starts = [
            (k, start)
            for k, name in enumerate(self.names)
            for start in range(0, max(1, len(sounds[name][1]) - 20), 10)
        ]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        k, start = self.starts[index]
        samples, features = (
            [x]
            for x in (
                self.sounds[self.names[k]][0][start * STEP :],
                self.sounds[self.names[k]][1][start:],
            )
        )
        wanted = self.rows + self.ahead + 2
        while sum(map(len, features)) < wanted:
            k = (k * 31 + 17 * len(features)) % len(self.names)
            more = self.sounds[self.names[k]]
            samples.append(more[0])
            features.append(more[1])
        heard = torch.cat([torch.zeros(N_FFT // 2), torch.cat(samples)[: wanted * STEP].float()])
        return {"samples": heard, "features": torch.cat(features)[: self.rows].float()}


class ListenerModule(StageModule):
    """Training step: features as the encoder tells them, what the motion model reads of them, and what it makes of that."""

    def __init__(
        self,
        listener: StreamingSpeechEncoder,
        motion: Speech2Latent,
        training: ListenerTraining,
        pace: TrainingProgress,
        seed: int,
        usual: Tensor,
    ):
        """`usual`: features [N, 2 T, F] by whose variance errors are weighed."""
        super().__init__(training, pace, seed, training.batch * training.window)
        self.model = listener
        self._motion = [motion.eval().requires_grad_(False)]  # in a list: not trained, not saved
        with torch.inference_mode():
            read = self.read((usual - listener.mean) / listener.std, len(usual))
        self._spread = {
            name: float((x - x.mean((0, 1))).square().mean()) for name, x in read.items()
        }

    def told(self, samples: Tensor, rows: int) -> Tensor:
        """Samples [B, n] -> standardised features of their first `rows` rows."""
        ahead = self.model.config.ahead
        heard: Tensor = self.model(sounds_of(samples)[:, : rows + ahead])[0]
        return heard[:, ahead:].float()

    def read(self, told: Tensor, few: int) -> dict[str, Tensor]:
        """What standardised features [B, 2 T, F] are to the motion model: themselves; its first projection of them (most
        of what features vary by is nothing to it); and for the first `few` windows the normalised latents and the mouth
        that it makes."""
        motion = self._motion[0].to(told.device)
        features = self.model.features(told)
        latents = (motion(features[:few]).latents.float() - motion.latent_mean) / motion.latent_std
        return {
            "features": told,
            "read": motion.enter[:2](features).float(),
            "latents": latents,
            "mouth": latents @ motion.mouth_read,
        }

    def parts(self, told: Tensor, wanted: Tensor, few: int) -> dict[str, Tensor]:
        """Shares of the usual variance that are missed, of all that `read` tells."""
        a, b = self.read(told, few), self.read(wanted, few)
        return {name: (a[name] - b[name]).square().mean() / self._spread[name] for name in a}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        samples, config = batch["samples"], self.training_config
        b = len(samples)
        level = 10 ** ((30 * torch.rand(b, 1, device=samples.device) - 15) / 20)  # of any loudness
        hiss = 10 ** ((-55 + 30 * torch.rand(b, 1, device=samples.device)) / 20) * (
            torch.rand(b, 1, device=samples.device) < config.noise
        )
        wanted = (batch["features"] - self.model.mean) / self.model.std
        told = self.told(level * (samples + hiss * torch.randn_like(samples)), wanted.shape[1])
        parts = self.parts(
            told, wanted, max(1, b // 4)
        )  # the motion model costs more than the listener
        for name, value in parts.items():
            self.log(f"train/{name}", value, prog_bar=name in ("read", "mouth"))
        return (
            config.features_weight * parts["features"]
            + parts["read"]
            + config.latent_weight * (parts["latents"] + parts["mouth"])
        )

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        wanted = (batch["features"] - self.model.mean) / self.model.std
        told = self.told(batch["samples"], wanted.shape[1])
        for name, value in self.parts(told, wanted, len(told)).items():
            self.log(
                f"val/{name}_r2",
                1 - value,
                prog_bar=name in ("read", "mouth"),
                batch_size=len(told),
            )


def train_listener(
    corpus: Corpus,
    recipe: Recipe,
    sounds: Sounds,
    motion: Speech2Latent,
    folder: Path,
    budget: float | None = None,
    report: Report = quiet,
    trainer_options: dict[str, Any] | None = None,
    start: Path | None = None,
) -> StreamingSpeechEncoder:
    """Run stage 4 to its end, or go on with it; `sounds` from `heard_sounds`, other arguments as in `train_codec`."""
    settings = recipe.listener_training
    test = held_out(corpus.names)
    names = training_clips(corpus, recipe.minutes)
    features = torch.cat(
        [f[::7].float() for name, (_, f) in sounds.items() if name.split("/")[0] in set(names)]
    )
    torch.manual_seed(recipe.seed + 2)
    listener = StreamingSpeechEncoder(recipe.listener, features.shape[1])
    begin_where_it_fits(start, "listener", listener)
    listener.mean.copy_(features.mean(0))
    listener.std.copy_(features.std(0).clamp(min=1e-4))
    pace = TrainingProgress(settings.frames, budget)
    rows = (
        2 * settings.window
        if recipe.rate * 2 == FEATURE_RATE
        else round(settings.window * FEATURE_RATE / recipe.rate)
    )
    data = SoundDataset(sounds, names, rows, recipe.listener.ahead)
    usual = torch.stack(
        [data[int(k)]["features"] for k in np.linspace(0, len(data) - 1, min(64, len(data)))]
    )
    module = ListenerModule(listener, motion, settings, pace, recipe.seed, usual)
    indices, often = (
        np.arange(len(data)),
        np.array([OFTEN.get(data.names[k].split("/")[-1], 1.0) for k, _ in data.starts]),
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
        return DataLoader(data, batch_sampler=sampler, pin_memory=torch.cuda.is_available())

    known = {k: v for k, v in sounds.items() if k.endswith("/recorded")}
    held = SoundDataset(known, test, rows, recipe.listener.ahead) if test else None
    validate = (
        DataLoader(
            held,
            batch_sampler=[list(range(k, min(k + 16, len(held)))) for k in range(0, len(held), 16)],
        )
        if held is not None
        else None
    )
    between = (
        max(1, settings.save_every // module.frames_per_step),
        max(1, settings.validate_every // module.frames_per_step),
    )
    fit(
        module,
        "listener",
        folder,
        pace,
        loader,
        validate,
        between,
        settings.ema,
        report,
        trainer_options,
    )
    return module.model
