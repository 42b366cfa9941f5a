"""The fast codec beside the reference: a diffusion autoencoder as published, of the same size,
trained on as many frames.

    python benchmarks/reference.py CORPUS -o FOLDER [--frames 8000] [--clips 4] [--count 16] [--set
    key=value ...]

`reference` is the method of the paper (noise predicted at all levels alike, DDIM sampling, latents
entering as channel scales only, plain loss) on a network of the compact recipe's size, with cells
of 4 pixels in place of 8: noise in the 192 numbers of a larger cell does not pass through 64
channels, and a network that cannot tell it stays at 5 dB; `compact` is the default recipe. Both are
trained from nothing on the same frames of CORPUS (256 px) and reconstruct the first spoken frames
of held-out clips with 1, 4, 20 and 100 passes. The paper's own network is thirty times as large:
`benchmarks/speed.py` times it; days of a GPU would be needed to train it. Interrupted, the training
goes on where it was; `benchmarks/quality.py --reference FOLDER` sets what it has made beside a
finished avatar.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import torch

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out
from talkers.face.regions import region_boxes, region_figures
from talkers.hardware import machine
from talkers.renderers.diffusion_autoencoder import (
    DiffusionAutoencoder,
    from_frames,
    shared_noise,
    to_frames,
)
from talkers.renderers.diffusion_autoencoder.appearance import AppearanceConfig
from talkers.systems.dae_talker import compact
from talkers.systems.recipe import Recipe, with_settings
from talkers.systems.stages import CodecTraining
from talkers.training.codec_stage import CodecStage
from talkers.training.contract import Run
from talkers.training.runner import run_stage

STEPS = (1, 4, 20, 100)


def reference(recipe: Recipe) -> Recipe:
    """The paper's method on this recipe's networks; DAE's learning rate is for batches of 64 and
    days, so this one's is kept."""
    unet = dataclasses.replace(
        recipe.renderer.unet,
        unshuffle=4,
        multipliers=(1, 1, 2, 4),
        positional=0,
        latent_map=0,
        appearance=AppearanceConfig(),
    )
    encoder = dataclasses.replace(recipe.renderer.encoder, positional=0, components=0)
    kept = {
        name: getattr(recipe.stage("codec"), name)
        for name in (
            "frames",
            "batch",
            "learning_rate",
            "warmup",
            "decay",
            "ema",
            "validate_every",
            "compile",
        )
    }
    codec = dataclasses.replace(recipe.renderer, prediction="eps", unet=unet, encoder=encoder)
    return dataclasses.replace(
        recipe, name="reference", renderer=codec, stages=(CodecTraining(**kept),)
    )


def first_spoken(corpus: Corpus, name: str, count: int) -> int:
    """The first frame of a clip with speech in it, or an earlier one after which there are
    `count`."""
    spoken = np.asarray(corpus.column("speech", name), bool)
    return max(0, min(int(spoken.argmax()), len(spoken) - count))


def trained(corpus: Corpus, recipe: Recipe, folder: Path) -> DiffusionAutoencoder:
    """The recipe's codec, trained from nothing, or taken from the folder as far as it has been
    trained."""
    run = Run(corpus, recipe, folder / recipe.name)
    codec = run_stage(CodecStage(recipe.stage("codec")), run)
    assert isinstance(codec, DiffusionAutoencoder)
    return codec.float().eval()


@torch.inference_mode()
def scores(
    codec: DiffusionAutoencoder, corpus: Corpus, names: list[str], count: int
) -> dict[str, dict[str, float]]:
    """Figures and milliseconds a frame by network passes, means over clips."""
    rows: dict[str, dict[str, float]] = {}
    for steps in STEPS:
        found, spent = [], 0.0
        for name in names:
            first = first_spoken(corpus, name, count)
            real = corpus.frames(name)[first : first + count]
            latents = codec.encode(from_frames(torch.from_numpy(real)))
            begin = time.perf_counter()
            made = to_frames(codec.decode(latents, shared_noise(codec.size, 0), steps)).numpy()
            spent += time.perf_counter() - begin
            found.append(
                region_figures(
                    made,
                    real,
                    region_boxes(
                        corpus.column("landmarks", name)[first : first + count], corpus.size
                    ),
                )
            )
        means = {key: round(float(np.mean([f[key] for f in found])), 3) for key in found[0]}
        rows[f"{steps} passes"] = means | {
            "ms_a_frame": round(1000 * spent / (count * len(names)), 1)
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=8_000)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--count", type=int, default=16, help="frames of each clip")
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    options = parser.parse_args()
    corpus = Corpus(options.corpus)
    base = with_settings(compact(), [f"stages.codec.frames={options.frames}", *options.settings])
    report: dict[str, object] = {
        "machine": machine(),
        "frames": options.frames,
        "clips": held_out(corpus.names)[: options.clips],
    }
    for recipe in (reference(base), base):
        begin = time.monotonic()
        codec = trained(corpus, recipe, options.output)
        report[recipe.name] = {
            "parameters": sum(p.numel() for p in codec.parameters()),
            "training_seconds": round(time.monotonic() - begin),
            **scores(codec, corpus, held_out(corpus.names)[: options.clips], options.count),
        }
        print(json.dumps({recipe.name: report[recipe.name]}, indent=1), flush=True)
    (options.output / "reference.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
