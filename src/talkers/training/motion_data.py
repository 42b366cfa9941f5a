"""What the motion models learn from: speech features, latents, head values and face descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkers.corpus import Corpus
from talkers.corpus.views import face_shape, head_values
from talkers.experts.rate import RATE as EXPERT_RATE
from talkers.experts.rate import mel_of_clip
from talkers.progress import Report
from talkers.renderers.contract import from_frames
from talkers.training.augment import at_positions
from talkers.training.cache import VariantCache
from talkers.training.frames import FrameStore

ENCODE_BATCH = 32  # frames


@torch.inference_mode()
def frame_latents(
    encoder: Any, store: FrameStore, names: Sequence[str], report: Report
) -> dict[str, Tensor]:
    """Encode every frame of the named clips.

    Args:
        encoder: a module that is a `MotionEncoder`.
        store: the corpus's frames.
        names: of the clips.
        report: called with clips done and clips in all.

    Returns:
        {name: float32 [T, L]}
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.eval().to(device)
    latents: dict[str, Tensor] = {}
    for done, name in enumerate(names):
        frames = torch.split(torch.from_numpy(store.clip(name)), ENCODE_BATCH)
        landmarks = torch.from_numpy(store.corpus.column("landmarks", name))
        marks = torch.split(landmarks, ENCODE_BATCH)
        latents[name] = torch.cat(
            [
                encoder.encode(from_frames(part.to(device)), points.to(device)).cpu()
                for part, points in zip(frames, marks, strict=True)
            ]
        )
        report("encoding frames", done + 1, len(names))
    encoder.cpu()
    return latents


def expert_mel(corpus: Corpus, name: str) -> Tensor:
    """What the experts hear of a clip, four rows a frame of the corpus: [4 T, 80].

    At another rate than the experts' own, sound and lips pass faster or slower, both alike.
    """
    frames = corpus.clip(name).frames
    per_frame = float(EXPERT_RATE / corpus.rate)
    mel = mel_of_clip(corpus.audio(name), max(1, round(frames * per_frame))).T
    if per_frame == 1:
        return mel
    positions = (torch.arange(4 * frames) + 0.5) * per_frame - 0.5
    return at_positions(mel, positions.clamp(0, len(mel) - 1))


@dataclass(frozen=True)
class MotionData:
    """Clips of a corpus for the motion models, by name.

    Attributes:
        variants: names of the sound variants.
        features: speech features [2 T, F] of every clip and variant, on disk.
        latents: [T, L].
        heads: head values [T, 7].
        descriptors: what the face does, [T, 133], see `face_shape`.
        usable: bool [T], frames with a face.
        silent: bool [T], frames without speech.
        mel: [4 T, 80], what the experts hear of the recordings; empty if no expert is asked.
    """

    variants: tuple[str, ...]
    features: VariantCache
    latents: dict[str, Tensor]
    heads: dict[str, Tensor]
    descriptors: dict[str, Tensor]
    usable: dict[str, Tensor]
    silent: dict[str, Tensor]
    mel: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def collect(
        corpus: Corpus,
        latents: dict[str, Tensor],
        features: VariantCache,
        judged: bool,
        heads: dict[str, Tensor] | None = None,
    ) -> MotionData:
        """Everything of the clips whose latents are given.

        Args:
            corpus: the footage.
            latents: [T, L] of each clip.
            features: speech features of every clip and variant.
            judged: whether experts need to know what they hear.
            heads: head values [T, 7] of each clip, where the motion says them (default: as
                measured).
        """
        if heads is None:
            heads = {n: torch.from_numpy(head_values(corpus, n)) for n in latents}

        def flags(column: str, name: str) -> Tensor:
            return torch.from_numpy(np.array(corpus.column(column, name), dtype=bool))

        return MotionData(
            variants=tuple(features.variants(next(iter(latents)))),
            features=features,
            latents=latents,
            heads=heads,
            descriptors={n: torch.from_numpy(face_shape(corpus, n)) for n in latents},
            usable={n: flags("face", n) for n in latents},
            silent={n: ~flags("speech", n) for n in latents},
            mel={n: expert_mel(corpus, n) for n in latents} if judged else {},
        )

    @property
    def feature_width(self) -> int:
        """Numbers of a speech feature."""
        return self.features.widths["features"]

    def joined(self, rows: dict[str, Tensor], names: Sequence[str]) -> Tensor:
        """Rows of the usable frames of the named clips."""
        return torch.cat([rows[name][self.usable[name]] for name in names])


def fit_probe(latents: Tensor, descriptors: Tensor, ridge: float = 1e-2) -> Tensor:
    """Ridge regression from normalised latents to standardised face descriptors.

    Args:
        latents: [N, L].
        descriptors: [N, K].
        ridge: added to the diagonal of the latents' covariance.

    Returns:
        weights [L, K].
    """
    x = (latents - latents.mean(0)) / latents.std(0).clamp(min=1e-4)
    y = (descriptors - descriptors.mean(0)) / descriptors.std(0).clamp(min=1e-4)
    # W = (X'X / N + ridge I)^-1 X'Y / N
    gram = x.double().T @ x.double() / len(x) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, x.double().T @ y.double() / len(x)).float()
