"""How long the mock avatar takes for a frame, beside the bundled avatar in the same run.

    python benchmarks/mock.py [--frames 64]

Frames are made in batches of 8, without and with the watermark. The best of several rounds
counts: what else runs on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from talkers import Avatar
from talkers.hardware import machine

BATCH = 8


def milliseconds(work: Callable[[torch.Tensor], object], motion: torch.Tensor) -> float:
    """Of a frame, in the best batch."""
    best = float("inf")
    for batch in motion.split(BATCH):
        begin = time.perf_counter()
        work(batch)
        best = min(best, 1000 * (time.perf_counter() - begin) / len(batch))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64)
    wanted = parser.parse_args().frames // BATCH * BATCH
    samples = np.random.default_rng(0).normal(0, 0.1, 640 * wanted).astype(np.float32)
    report: dict[str, object] = {"machine": machine()}
    bundled, mock = Avatar.load(), Avatar.load("mock")
    for name, avatar in (("bundled", bundled), ("mock", mock)):
        motion = torch.cat(list(avatar.speak(samples, live=True).motion()))
        engine, options = avatar.engine, avatar.engine.options(0)
        with torch.inference_mode():
            report[f"{name}_ms_a_frame"] = {
                "rendered": milliseconds(lambda x: engine.renderer.render(x, options), motion),  # noqa: B023
                "marked": milliseconds(lambda x: engine.decode(x, options, mark=True), motion),  # noqa: B023
            }
    slow, fast = report["bundled_ms_a_frame"], report["mock_ms_a_frame"]
    assert isinstance(slow, dict)
    assert isinstance(fast, dict)
    report["times_as_fast"] = {key: round(slow[key] / fast[key], 1) for key in slow}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
