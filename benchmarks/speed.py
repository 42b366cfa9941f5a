"""How fast the bundled avatar speaks, end to end, beside the paper's U-Net on the same machine in
the same run.

    python benchmarks/speed.py [--seconds 60] [-o speed.json]

Each length is spoken by a fresh process, as a user's command would be: import, model load, speech
features, motion, decoding, encoding and muxing all count. The stream is fed as if the speech were
being said. The baseline is one frame of the `dae_talker` recipe's codec at 20 DDIM steps with
random weights (timing does not depend on them); likewise one pass of `compact` and `compact_512`,
in batches of 8.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from talkers.evaluation.speed import measure_speed, measure_stream
from talkers.hardware import bfloat16_pays, machine
from talkers.renderers.diffusion_autoencoder import DiffusionAutoencoder, shared_noise
from talkers.systems.dae_talker import compact, compact_512, dae_talker
from talkers.systems.recipe import Recipe


def decoding(recipe: Recipe, steps: int, batch: int, batches: int) -> float:
    """Seconds a frame of a recipe's codec with random weights, model only."""
    codec = DiffusionAutoencoder(recipe.renderer).eval()
    codec = codec.to(
        torch.bfloat16 if bfloat16_pays(torch.device("cpu")) else torch.float32,
        memory_format=torch.channels_last,
    )  # type: ignore[call-overload]
    if codec.unet.appearance is not None:
        codec.unet.appearance.float()
    codec.reset_constants()
    latents, noise = (
        torch.randn(batch, recipe.renderer.latent),
        shared_noise(recipe.renderer.size, 0),
    )
    with torch.inference_mode():
        codec.decode(latents, noise, 1)
        begin = time.perf_counter()
        for _ in range(batches):
            codec.decode(latents, noise, steps)
    return (time.perf_counter() - begin) / batch / batches


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {
        k: round(v, 3 if k in ("real_time_factor", "motion_share") else 1)
        for k, v in figures.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 30, 60, 600])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    slow = decoding(dae_talker(), 20, 1, 1)
    report: dict[str, object] = {
        "machine": machine(),
        "dae_talker_20_steps_fps": round(1 / slow, 4),
    }
    report["decoding_ms"] = {
        r.name: round(1000 * decoding(r, 1, 8, 4), 1) for r in (compact(), compact_512())
    }
    for seconds in options.seconds:
        got = measure_speed("default", seconds)
        report[f"speak_{seconds:g}s"] = rounded(got) | {
            "times_the_baseline": round(got["fps"] * slow)
        }
    report["sampler_60s"] = rounded(measure_speed("default", 60, "sampler"))
    for motion in ("regressor", "sampler"):
        report[f"stream_30s_{motion}"] = {
            k: round(v, 2 if k == "load" else 0)
            for k, v in measure_stream("default", 30, motion).items()
        }
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
