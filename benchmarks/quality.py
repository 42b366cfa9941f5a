"""What the codec keeps of held-out frames: by network passes, by the noise it starts from, and
beside a retrieval baseline.

    python benchmarks/quality.py CORPUS [--avatar default] [--clips 2] [--frames 25] [--steps 1 2 4
    10 20 100]
        [--reference FOLDER] [--reference-frames 8000] [-o quality.json]

CORPUS is the prepared corpus that the avatar was trained on; only its held-out clips are scored,
from where the person begins to speak. Noises: `shared`, one x_T for all frames (the paper's);
`per_frame`, a new one for each; `encoded`, each frame's own by DDIM inversion (DAE, section 3.2);
`none`, zeros. `appearance` is the appearance model's picture alone, without any pass. `nearest`
shows, of every third training frame, the one whose latent is nearest: what any generator must beat.
With --reference, `reference` is the diffusion autoencoder as published, which
`benchmarks/reference.py CORPUS -o FOLDER` has trained (or is trained now), at 20 passes and one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import reference
from talkers import Avatar
from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.evaluation.motion import background, flicker
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.renderers.diffusion_autoencoder import (
    DiffusionAutoencoder,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.systems.dae_talker import compact
from talkers.systems.recipe import with_settings
from talkers.training.frames import FrameStore

Frames = NDArray[np.uint8]
BATCH = 8


def codec_of(avatar: Avatar) -> DiffusionAutoencoder:
    """The avatar's renderer, which must be a diffusion autoencoder."""
    assert isinstance(avatar.engine.renderer, DiffusionAutoencoder)
    return avatar.engine.renderer


@torch.inference_mode()
def decoded(
    codec: DiffusionAutoencoder, latents: torch.Tensor, noise: torch.Tensor, steps: int
) -> Frames:
    """Latents [T, L] and noise [T or 1, 3, S, S] -> frames."""
    parts = []
    for k in range(0, len(latents), BATCH):
        x_T = noise if len(noise) == 1 else noise[k : k + BATCH]
        parts.append(to_frames(codec.decode(latents[k : k + BATCH], x_T, steps)).numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def inverted(avatar: Avatar, frames: Frames, latents: torch.Tensor, steps: int) -> torch.Tensor:
    """The x_T from which each frame comes back."""
    pictures = from_frames(torch.from_numpy(frames))
    return torch.cat(
        [
            codec_of(avatar).encode_noise(pictures[k : k + BATCH], latents[k : k + BATCH], steps)
            for k in range(0, len(latents), BATCH)
        ]
    )


def figures(made: Frames, real: Frames, marks: NDArray[np.float32]) -> dict[str, float]:
    """Fidelity, and flicker of the background relative to the real clip's."""
    still = background(marks, *real.shape[1:3])
    return region_figures(made, real, region_boxes(marks, real.shape[1])) | {
        "flicker_ratio": flicker(made, still) / max(flicker(real, still), 1e-6)
    }


def score(
    avatar: Avatar,
    published: DiffusionAutoencoder | None,
    store: FrameStore,
    index: tuple[NDArray[np.int64], torch.Tensor],
    name: str,
    count: int,
    steps: list[int],
) -> dict[str, dict[str, float]]:
    """Figures of everything that is made of `count` frames of a clip, from the first with speech
    on."""
    begin = reference.first_spoken(store.corpus, name, count)
    real = store.corpus.frames(name)[begin : begin + count]
    marks = np.nan_to_num(store.corpus.column("landmarks", name))[begin : begin + count]
    latents, size = avatar.encode(real), (3, avatar.size, avatar.size)
    per_frame = torch.randn(len(real), *size, generator=torch.Generator().manual_seed(0))
    scored: dict[str, dict[str, float]] = {}

    def sampled(
        called: str, codec: DiffusionAutoencoder, latents: torch.Tensor, passes: int
    ) -> None:
        begin = time.perf_counter()
        made = decoded(codec, latents, shared_noise(avatar.size, 0), passes)
        seconds = time.perf_counter() - begin
        scored[f"{called}, {passes} steps"] = figures(made, real, marks) | {
            "ms_a_frame": 1000 * seconds / len(real)
        }

    for passes in steps:
        sampled("shared", codec_of(avatar), latents, passes)
    if published is not None:
        with torch.inference_mode():
            told = published.encode(from_frames(torch.from_numpy(real)))
        for passes in (1, 20):
            sampled("reference", published, told, passes)
    for passes in (1, 10):
        noises = {
            "per_frame": per_frame,
            "none": torch.zeros(1, *size),
            "encoded": inverted(avatar, real, latents, passes),
        }
        for kind, noise in noises.items():
            scored[f"{kind}, {passes} steps"] = figures(
                decoded(codec_of(avatar), latents, noise, passes), real, marks
            )
    if codec_of(avatar).unet.appearance is not None:
        with torch.inference_mode():
            near = torch.cat(
                [
                    to_frames(codec_of(avatar).unet.appearance(part))
                    for part in torch.split(latents, BATCH)
                ]
            )
        scored["appearance"] = figures(near.numpy(), real, marks)
    nearest = torch.cdist(latents, index[1]).argmin(1).tolist()
    scored["nearest"] = figures(np.stack([store.frames[index[0][k]] for k in nearest]), real, marks)
    scored["mean_frame"] = figures(
        np.repeat(real.mean(0, keepdims=True).round().astype(np.uint8), len(real), 0), real, marks
    )
    return scored


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--avatar", default="default")
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 2, 4, 10, 20, 100])
    parser.add_argument(
        "--reference", type=Path, help="what benchmarks/reference.py -o FOLDER has made"
    )
    parser.add_argument("--reference-frames", type=int, default=8_000, help="that it has seen")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    avatar, corpus = Avatar.load(options.avatar, "cpu"), Corpus(options.corpus)
    store, test = FrameStore(corpus), held_out(corpus.names)
    published = None
    if options.reference:
        recipe = reference.reference(
            with_settings(compact(), [f"stages.codec.frames={options.reference_frames}"])
        )
        published = reference.trained(corpus, recipe, options.reference)
    known = store.indices([n for n in corpus.names if n not in test])[::3]
    index = (
        known,
        torch.cat(
            [
                avatar.encode(np.array(store.frames[known[k : k + 64]]))
                for k in range(0, len(known), 64)
            ]
        ),
    )
    runs = [
        score(avatar, published, store, index, name, options.frames, options.steps)
        for name in test[: options.clips]
    ]
    table = {
        key: {k: round(float(np.mean([r[key][k] for r in runs])), 3) for k in runs[0][key]}
        for key in runs[0]
    }
    report = {
        "machine": machine(),
        "avatar": str(avatar.engine.folder),
        "clips": test[: options.clips],
        "frames": options.frames,
        "figures": table,
    }
    print(json.dumps(report, indent=1))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
