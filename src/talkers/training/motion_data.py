"""What stage 2 learns from: speech features, latents and head poses of every clip, and a linear reading of latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset

from talkers.codec import DiffusionAutoencoder, from_frames
from talkers.corpus import Corpus
from talkers.corpus.store import fill_gaps
from talkers.media import AUDIO_RATE
from talkers.media.encode import atomic
from talkers.motion.model import at_frames
from talkers.speech import FEATURE_RATE, SpeechConfig, features_of, load_speech_encoder, loudness, speech_gain
from talkers.training.frames import FrameStore, face_shape
from talkers.training.progress import Report

RENDITIONS = ("recorded", "gated", "silent")
"""How the motion model hears a clip: as it was recorded, with digital silence between the words, and not at all."""


def gated(samples: NDArray[np.float32], speech: NDArray[np.bool_], frame_rate: float) -> NDArray[np.float32]:
    """Sound with digital silence where nothing is said: float32 [n] at 16 kHz, bool [T] -> [n]; fades last a frame."""
    middles = (np.arange(len(speech)) + 0.5) / frame_rate * AUDIO_RATE
    return np.asarray(samples * np.interp(np.arange(len(samples)), middles, speech), np.float32)


def speech_features(corpus: Corpus, config: SpeechConfig, report: Report) -> dict[str, Tensor]:
    """Features of every clip in all RENDITIONS, two a frame: {name: float16 [3, 2 T, F]}; cached beside the corpus."""
    key = sha256(f"{config} {corpus.digest()} 2".encode()).hexdigest()[:16]
    path = corpus.folder / ".cache" / f"speech-{key}.safetensors"
    if path.exists():
        return load_file(path)
    encoder, rate = load_speech_encoder(config), float(corpus.rate)
    features: dict[str, Tensor] = {}
    nothing: dict[int, Tensor] = {}  # what silence sounds like, by its frames
    for done, clip in enumerate(corpus.clips):
        samples = corpus.audio(clip.name)
        gain = speech_gain(loudness(samples, AUDIO_RATE, rate, clip.frames))
        if clip.frames not in nothing:
            nothing[clip.frames] = features_of(encoder, np.zeros_like(samples))
        heard = [features_of(encoder, sound, gain) for sound in (samples, gated(samples, corpus.column("speech", clip.name), rate))]
        rows = [at_frames(f, FEATURE_RATE, rate, 0, clip.frames) for f in (*heard, nothing[clip.frames])]
        features[clip.name] = torch.stack(rows).half().contiguous()
        report("hearing speech", done + 1, len(corpus.clips))
    with atomic(path) as temporary:
        save_file(features, temporary)
    return features


@torch.inference_mode()
def frame_latents(codec: DiffusionAutoencoder, store: FrameStore, names: Sequence[str], report: Report, batch: int = 32) -> dict[str, Tensor]:
    """Latents of every frame of the named clips: {name: float32 [T, L]}."""
    codec.eval()
    device = codec.levels.device
    latents: dict[str, Tensor] = {}
    for done, name in enumerate(names):
        start = store.start[name]
        frames = torch.from_numpy(np.array(store.frames[start : start + store.corpus.clip(name).frames]))
        latents[name] = torch.cat([codec.encode(from_frames(part.to(device))).cpu() for part in torch.split(frames, batch)])
        report("encoding frames", done + 1, len(names))
    return latents


def head_values(corpus: Corpus, name: str) -> NDArray[np.float32]:
    """Measured head pose and blink of a clip, in the order of HEAD: [T, 7]."""
    blink = fill_gaps(np.asarray(corpus.column("blink", name), np.float32)[:, None])
    return np.concatenate([corpus.pose(name), blink], -1).astype(np.float32)


@dataclass(frozen=True)
class MotionData:
    """Clips of a corpus for stage 2; `usable` marks frames with a face."""

    features: dict[str, Tensor]  # [3, 2 T, F], see RENDITIONS
    latents: dict[str, Tensor]  # [T, L]
    heads: dict[str, Tensor]  # [T, 7]
    shapes: dict[str, Tensor]  # [T, 133]
    usable: dict[str, Tensor]  # bool [T]
    silent: dict[str, Tensor]  # bool [T]

    @staticmethod
    def collect(corpus: Corpus, names: Sequence[str], store: FrameStore, codec: DiffusionAutoencoder, speech: SpeechConfig, report: Report) -> MotionData:
        """Everything of the named clips."""
        return MotionData(
            speech_features(corpus, speech, report),
            frame_latents(codec, store, names, report),
            {n: torch.from_numpy(head_values(corpus, n)) for n in names},
            {n: torch.from_numpy(face_shape(corpus, n)) for n in names},
            {n: torch.from_numpy(np.array(corpus.column("face", n), dtype=bool)) for n in names},
            {n: ~torch.from_numpy(np.array(corpus.column("speech", n), dtype=bool)) for n in names},
        )

    @property
    def feature_width(self) -> int:
        """Numbers of a speech feature."""
        return int(next(iter(self.features.values())).shape[-1])

    def joined(self, what: dict[str, Tensor], names: Sequence[str]) -> Tensor:
        """Rows of the usable frames of the named clips."""
        return torch.cat([what[n][self.usable[n]] for n in names])


def fit_readout(latents: Tensor, shapes: Tensor, ridge: float = 1e-2) -> Tensor:
    """Ridge regression from normalised latents [N, L] to standardised face shapes [N, K]: weights [L, K]."""
    x = (latents - latents.mean(0)) / latents.std(0).clamp(min=1e-4)
    y = (shapes - shapes.mean(0)) / shapes.std(0).clamp(min=1e-4)
    gram = x.double().T @ x.double() / len(x) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, x.double().T @ y.double() / len(x)).float()


class WindowDataset(Dataset[dict[str, Tensor]]):
    """Windows of clips, padded to one length: every clip at every start, in the renditions asked for.

    In the silent rendition the mouth rests: `resting` latents take the place of the measured ones.
    """

    def __init__(
        self, data: MotionData, names: Sequence[str], window: int, renditions: Sequence[str] = ("recorded",), resting: dict[str, Tensor] | None = None
    ):
        self.data, self.window, self.resting = data, window, resting or data.latents
        self.rows = [(n, s, RENDITIONS.index(r)) for r in renditions for n in names for s in range(max(1, len(data.latents[n]) - window + 1))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        name, start, rendition = self.rows[index]
        data, end = self.data, start + self.window
        latents = self.resting if RENDITIONS[rendition] == "silent" else data.latents

        def cut(rows: Tensor, a: int, b: int) -> Tensor:
            part = rows[a:b].float()
            return torch.cat([part, torch.zeros(b - a - len(part), *part.shape[1:])])

        mask = torch.zeros(self.window, dtype=torch.bool)
        mask[: len(data.latents[name]) - start] = True
        return {
            "features": cut(data.features[name][rendition], 2 * start, 2 * end),
            "latents": cut(latents[name], start, end),
            "head": cut(data.heads[name], start, end),
            "exists": mask,
            "usable": cut(data.usable[name], start, end) > 0,
        }
