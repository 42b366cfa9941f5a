"""What stage 2 learns from: speech features, latents and head poses of every clip, and a linear reading of latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.store import ClipRecord
from talkers.corpus.views import face_shape, head_values
from talkers.experts.load import sounds_of
from talkers.experts.words import sentence_of_name, written
from talkers.media import AUDIO_RATE
from talkers.motion.windows import at_frames
from talkers.progress import Report
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder, from_frames
from talkers.speech import FEATURE_RATE, features_of, load_speech_encoder, loudness, speech_gain
from talkers.speech.voices import load_voice
from talkers.systems.recipe import Recipe
from talkers.training.augment import (
    Augmentation,
    at_positions,
    augment_voice,
    dtw_align,
    generator,
    non_speech,
    time_warp,
)
from talkers.training.frames import FrameStore

VOICES = 3  # times that a clip is said by somebody else
SYNTHETIC = 4  # synthetic voices by which it is said, if there are as many
WORDLESS = 3  # times that something that is not speech is heard in its place
UNSAID = ("silent", *(f"wordless {k + 1}" for k in range(WORDLESS)))


def sound_variants(recipe: Recipe) -> tuple[str, ...]:
    """How the motion model hears a clip: as it was recorded, with digital silence between the words, not at all, something
    that is not speech in its place, and said by others elsewhere."""
    others = [f"voice {k + 1}" for k in range(VOICES)]
    others += [
        f"voice {VOICES + k + 1}, synthetic"
        for k in range(min(SYNTHETIC, len(recipe.motion_training.synthetic)))
    ]
    return ("recorded", "gated", *UNSAID, *others)


def gated(
    samples: NDArray[np.float32], speech: NDArray[np.bool_], frame_rate: float
) -> NDArray[np.float32]:
    """Sound with digital silence where nothing is said: float32 [n] at 16 kHz, bool [T] -> [n]; fades last a frame."""
    middles = (np.arange(len(speech)) + 0.5) / frame_rate * AUDIO_RATE
    return np.asarray(samples * np.interp(np.arange(len(samples)), middles, speech), np.float32)


def sentence_of(clip: ClipRecord) -> str | None:
    """What others are to say of a clip: its transcript, or what its name spells in GRID's way."""
    spelt = sentence_of_name(clip.name)
    return clip.transcript or (written(spelt) if spelt else None)


def tts_voices_of(clip: ClipRecord, voices: int) -> list[int]:
    """Which of so many synthetic voices say a clip."""
    return [int(k) for k in generator(clip.name, 1 + VOICES).permutation(voices)[:SYNTHETIC]]


def speech_features(corpus: Corpus, recipe: Recipe, report: Report) -> dict[str, Tensor]:
    """Features of every clip in all renditions, two a frame: {name: float16 [R, 2 T, F]}; cached beside the corpus.

    Synthetic voices, drawn for each clip, say its transcript; their features are brought into the clip's own time. A clip
    without a transcript is said by as many more altered voices.
    """
    config, said_by = recipe.speech, recipe.motion_training.synthetic
    key = sha256(
        f"{config} {corpus.digest()} {sound_variants(recipe)} {said_by} 5".encode()
    ).hexdigest()[:16]
    path = corpus.folder / ".cache" / f"speech-{key}.safetensors"
    if path.exists():
        return load_file(path)
    encoder, rate = load_speech_encoder(config), float(corpus.rate)
    tellers = [load_voice(name) for name in said_by]
    features: dict[str, Tensor] = {}
    nothing: dict[int, Tensor] = {}  # what silence sounds like, by its frames

    def heard(sound: NDArray[np.float32]) -> Tensor:
        return features_of(
            encoder,
            sound,
            speech_gain(loudness(sound, AUDIO_RATE, 40, len(sound) * 40 // AUDIO_RATE)),
        )

    for done, clip in enumerate(corpus.clips):
        samples, sentence, count = corpus.audio(clip.name), sentence_of(clip), clip.frames
        own = heard(samples)
        if count not in nothing:
            nothing[count] = at_frames(heard(np.zeros_like(samples)), FEATURE_RATE, rate, 0, count)
        told = [own, heard(gated(samples, corpus.column("speech", clip.name), rate))]
        rows = [*(at_frames(f, FEATURE_RATE, rate, 0, count) for f in told), nothing[count]]
        rows += [
            at_frames(
                heard(non_speech(len(samples), generator(clip.name, 20 + k))),
                FEATURE_RATE,
                rate,
                0,
                count,
            )
            for k in range(WORDLESS)
        ]
        drawn = tts_voices_of(clip, len(tellers))
        for k in range(VOICES + len(drawn)):
            random = generator(clip.name, 1 + k)
            if k >= VOICES and sentence is not None:
                teller = tellers[drawn[k - VOICES]]
                spoken = heard(
                    np.asarray(
                        soxr.resample(teller.say(sentence).samples, teller.rate, AUDIO_RATE),
                        np.float32,
                    )
                )
                rows.append(
                    at_frames(
                        at_positions(spoken, dtw_align(own, spoken)), FEATURE_RATE, rate, 0, count
                    )
                )
            else:
                how = Augmentation.drawn(random)
                rows.append(
                    at_frames(
                        heard(augment_voice(samples, how, random)),
                        FEATURE_RATE / how.speed,
                        rate,
                        0,
                        count,
                    )
                )
        features[clip.name] = torch.stack(rows).half().contiguous()
        report("hearing speech", done + 1, len(corpus.clips))
    with atomic(path) as temporary:
        save_file(features, temporary)
    return features


@torch.inference_mode()
def frame_latents(
    codec: DiffusionAutoencoder,
    store: FrameStore,
    names: Sequence[str],
    report: Report,
    batch: int = 32,
) -> dict[str, Tensor]:
    """Latents of every frame of the named clips: {name: float32 [T, L]}."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    codec.eval().to(device)
    latents: dict[str, Tensor] = {}
    for done, name in enumerate(names):
        start = store.start[name]
        frames = torch.from_numpy(
            np.array(store.frames[start : start + store.corpus.clip(name).frames])
        )
        latents[name] = torch.cat(
            [
                codec.encode(from_frames(part.to(device))).cpu()
                for part in torch.split(frames, batch)
            ]
        )
        report("encoding frames", done + 1, len(names))
    codec.cpu()
    return latents


@dataclass(frozen=True)
class MotionData:
    """Clips of a corpus for stage 2; `usable` marks frames with a face."""

    sound_variants: tuple[str, ...]
    features: dict[str, Tensor]  # [R, 2 T, F], see `speech_features`
    latents: dict[str, Tensor]  # [T, L]
    heads: dict[str, Tensor]  # [T, 7]
    shapes: dict[str, Tensor]  # [T, 133]
    usable: dict[str, Tensor]  # bool [T]
    silent: dict[str, Tensor]  # bool [T]
    sounds: dict[
        str, Tensor
    ]  # [4 T, 80], what the experts hear of the recordings; empty if they are not asked

    @staticmethod
    def collect(
        corpus: Corpus,
        names: Sequence[str],
        store: FrameStore,
        codec: DiffusionAutoencoder,
        recipe: Recipe,
        report: Report,
    ) -> MotionData:
        """Everything of the named clips."""
        return MotionData.told(
            corpus, names, frame_latents(codec, store, names, report), recipe, report
        )

    @staticmethod
    def told(
        corpus: Corpus,
        names: Sequence[str],
        latents: dict[str, Tensor],
        recipe: Recipe,
        report: Report,
    ) -> MotionData:
        """Everything of the named clips, their latents being known."""
        return MotionData(
            sound_variants(recipe),
            speech_features(corpus, recipe, report),
            latents,
            {n: torch.from_numpy(head_values(corpus, n)) for n in names},
            {n: torch.from_numpy(face_shape(corpus, n)) for n in names},
            {n: torch.from_numpy(np.array(corpus.column("face", n), dtype=bool)) for n in names},
            {n: ~torch.from_numpy(np.array(corpus.column("speech", n), dtype=bool)) for n in names},
            {n: sounds_of(corpus.audio(n), corpus.clip(n).frames).T for n in names}
            if recipe.motion_training.sync_weight
            else {},
        )

    @property
    def feature_width(self) -> int:
        """Numbers of a speech feature."""
        return int(next(iter(self.features.values())).shape[-1])

    def joined(self, what: dict[str, Tensor], names: Sequence[str]) -> Tensor:
        """Rows of the usable frames of the named clips."""
        return torch.cat([what[n][self.usable[n]] for n in names])


def fit_probe(latents: Tensor, shapes: Tensor, ridge: float = 1e-2) -> Tensor:
    """Ridge regression from normalised latents [N, L] to standardised face shapes [N, K]: weights [L, K]."""
    x = (latents - latents.mean(0)) / latents.std(0).clamp(min=1e-4)
    y = (shapes - shapes.mean(0)) / shapes.std(0).clamp(min=1e-4)
    gram = x.double().T @ x.double() / len(x) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, x.double().T @ y.double() / len(x)).float()


class WindowDataset(Dataset[dict[str, Tensor]]):
    """Windows of clips, padded to one length: every clip at every start, in the renditions asked for.

    Where nothing is said the mouth rests: `resting` latents take the place of the measured ones, and all of it is silent, so
    that no expert looks for lips in step with sound that the model does not hear. A share of the windows
    passes in another rhythm, sound and face together; a window does so each time or never.
    """

    def __init__(
        self,
        data: MotionData,
        names: Sequence[str],
        window: int,
        kinds: Sequence[str] = ("recorded",),
        resting: dict[str, Tensor] | None = None,
        rhythms: float = 0.0,
    ):
        self.data, self.window, self.resting, self.rhythms = (
            data,
            window,
            resting or data.latents,
            rhythms,
        )
        self.rows = [
            (n, s, data.sound_variants.index(kind))
            for kind in kinds
            for n in names
            for s in range(max(1, len(data.latents[n]) - window + 1))
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name, start, rendition = self.rows[index]
        data, last = self.data, len(self.data.latents[name]) - 1
        unsaid = data.sound_variants[rendition] in UNSAID
        latents = self.resting if unsaid else data.latents
        at = start + np.arange(self.window, dtype=np.float64)  # of every frame, in the clip
        random = np.random.default_rng(index)
        if random.random() < self.rhythms:
            passing = np.cumsum(time_warp(self.window, random))
            at = (
                passing
                - passing[0]
                + max(0.0, float(random.uniform(0, max(1e-6, last - passing[-1] + passing[0]))))
            )
        exists = torch.from_numpy(at <= last)

        def cut(rows: Tensor, each: int = 1) -> Tensor:
            """Rows of the window, of which there are so many a frame."""
            within = (np.arange(each) + 0.5) / each
            positions = ((at[:, None] + within) * each - 0.5).reshape(-1).clip(0, len(rows) - 1)
            first, end = int(positions[0]), int(positions[-1]) + 2
            part = at_positions(
                rows[first:end].float(), torch.from_numpy((positions - first).astype(np.float32))
            )
            return part * exists.repeat_interleave(each).reshape(-1, *[1] * (rows.ndim - 1))

        return {
            "features": cut(data.features[name][rendition], 2),
            "latents": cut(latents[name]),
            "head": cut(data.heads[name]),
            "exists": exists,
            "usable": cut(data.usable[name]) > 0.99,
            "silent": (cut(data.silent[name]) > 0.5) | unsaid,
        } | ({"sounds": cut(data.sounds[name], 4)} if data.sounds else {})
