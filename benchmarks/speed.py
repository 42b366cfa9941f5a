"""How fast the bundled avatar speaks, end to end, beside the paper's U-Net on the same machine in the same run.

    python benchmarks/speed.py [--seconds 60] [-o speed.json]

Each length is spoken by a fresh process, as a user's command would be: import, model load, speech features, motion,
decoding, encoding and muxing all count. The stream is fed as if the speech were being said. The baseline is one frame of the `dae_talker` recipe's codec at 20 DDIM steps
with random weights (timing does not depend on them).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import time
from pathlib import Path

import torch

from talkers.evaluation.speed import measure_speed, measure_stream


def baseline(steps: int, frames: int) -> float:
    """Seconds a frame of the paper's codec in bfloat16, model only."""
    from talkers.codec import DiffusionAutoencoder, shared_noise
    from talkers.recipes import dae_talker

    config = dataclasses.replace(dae_talker().codec)
    codec = DiffusionAutoencoder(config).eval().to(torch.bfloat16)
    codec.reset_constants()
    with torch.inference_mode():
        codec.decode(torch.randn(1, 512), shared_noise(256, 0), 1)
        begin = time.perf_counter()
        codec.decode(torch.randn(frames, 512), shared_noise(256, 0), steps)
    return (time.perf_counter() - begin) / frames


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {k: round(v, 3 if k in ("real_time_factor", "motion_share") else 1) for k, v in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 30, 60, 600])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    report: dict[str, object] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    }
    slow = baseline(20, 1)
    report["dae_talker_20_steps_fps"] = round(1 / slow, 4)
    for seconds in options.seconds:
        got = measure_speed("default", seconds)
        report[f"speak_{seconds:g}s"] = rounded(got) | {"times_the_baseline": round(got["fps"] * slow)}
    report["sampler_60s"] = rounded(measure_speed("default", 60, "sampler"))
    report["stream_30s"] = {k: round(v, 2 if k == "load" else 0) for k, v in measure_stream("default", 30).items()}
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
