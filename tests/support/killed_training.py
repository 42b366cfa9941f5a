"""A training that is killed while it runs, and what it leaves: for tests and benchmarks."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from talkers.training.budget import latest_checkpoints
from talkers.training.checkpoint import SafetensorsCheckpointIO

STAGES = ("codec", "regressor", "flow", "streaming_encoder")
SAVED = 5  # steps between checkpoints
SETTINGS = (
    "codec.unet.channels=8",
    "codec.encoder.channels=8",
    "codec_training.batch=4",
    "codec_training.frames=80",
    f"codec_training.save_every={4 * SAVED}",
    "codec_training.validate_every=100000",
    "motion_training.frames=2000",
    "motion_training.window=50",
    "motion_training.batch=4",
    f"motion_training.save_every={200 * SAVED}",
    "motion_training.validate_every=10000000",
    "sampler_training.frames=2000",
    "sampler_training.window=50",
    "sampler_training.batch=4",
    f"sampler_training.save_every={200 * SAVED}",
    "sampler_training.validate_every=10000000",
    "listener_training.frames=2000",
    "listener_training.window=50",
    "listener_training.batch=4",
    f"listener_training.save_every={200 * SAVED}",
    "listener_training.validate_every=10000000",
)
LEFT_OUT = (
    "/callbacks/TrainingProgress/spent",  # a clock
    "/epoch",  # these two: whether the last step was known to be the end
    "/loops",
    "/current_model_state",  # before the last save it is not averaged yet, after it it is: a finished stage is read from state_dict
)


def command(corpus: Path, out: Path) -> list[str]:
    again = ["--resume"] if (out / "training" / "recipe.json").exists() else []
    return [
        sys.executable,
        "-m",
        "talkers",
        "train",
        str(corpus),
        "-o",
        str(out),
        "--recipe",
        "tiny",
        "--consent",
        "nobody is shown",
        "--set",
        *SETTINGS,
        *again,
    ]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that a checkpoint holds, by its place."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else None
    )
    if items is None:
        yield path, value
        return
    for key, inner in items:
        yield from leaves(inner, f"{path}/{key}")


def difference(one: Path, other: Path) -> tuple[float, str]:
    """The largest difference between two trainings' last checkpoints, and where it is.

    Raises:
        AssertionError: they hold different things.
    """
    worst = 0.0, ""
    for stage in STAGES:
        states = []
        for folder in (one, other):
            found = latest_checkpoints(folder / "training").get(stage)
            assert found is not None, f"{folder} has no checkpoint of {stage}"
            states.append(dict(leaves(SafetensorsCheckpointIO().load_checkpoint(found))))
        states = [
            {place: value for place, value in state.items() if not place.startswith(LEFT_OUT)}
            for state in states
        ]
        assert states[0].keys() == states[1].keys()
        for place, a in states[0].items():
            b = states[1][place]
            if isinstance(a, torch.Tensor):
                worst = max(
                    worst,
                    (
                        float((a.double() - b.double()).abs().max()) if a.numel() else 0.0,
                        f"{stage}{place}",
                    ),
                )
            else:
                assert a == b, f"{place}: {a} and {b}"
    return worst


def reached(out: Path) -> dict[str, int]:
    """Steps of the newest complete checkpoint of each stage; reads it."""
    steps = {}
    for stage in STAGES:
        found = latest_checkpoints(out / "training").get(stage)
        if found is not None:
            steps[stage] = int(SafetensorsCheckpointIO().load_checkpoint(found)["global_step"])
    return steps


def killed(corpus: Path, out: Path, log: Path, seconds: float, saves: int) -> str:
    """Train until `seconds` have gone by or, if `saves` is not 0, until so many checkpoints have begun to be written: how it ended."""
    with log.open("ab") as stream:
        child = subprocess.Popen(command(corpus, out), stdout=stream, stderr=stream)
    begin, seen = time.monotonic(), set[str]()
    while child.poll() is None:
        if saves:
            seen |= {p.name for p in (out / "training").glob(".*.partial.ckpt")}
        if (saves and len(seen) >= saves) or (not saves and time.monotonic() - begin > seconds):
            child.kill()
            child.wait()
            return "while saving" if saves else "at a random moment"
        time.sleep(0.002 if saves else 0.02)
    return "ended" if child.returncode == 0 else f"exit code {child.returncode}"


def full_disk(corpus: Path, out: Path) -> dict[str, Any]:
    """Train where no file may become larger than 200 kB: exit code, what is left, and whether it can go on."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    first = subprocess.run(
        command(corpus, out), capture_output=True, text=True, preexec_fn=limit, check=False
    )
    return {
        "exit_code": first.returncode,
        "says": first.stderr.strip().splitlines()[-1] if first.stderr.strip() else "",
        "partial_files": len(list(out.rglob("*.partial*"))),
        "checkpoints": len(list(out.rglob("*.ckpt"))),
        "goes_on": subprocess.run(command(corpus, out), capture_output=True, check=False).returncode
        == 0,
    }
