"""Golden frames: what avatars made before format 4, they make still, within 1/255.

The recorded frames lie in `golden/*.npz`: of every case a few frames, of larger frames each
fourth pixel of each fourth row. `python tests/support/golden_frames.py` records them anew, which only a
mended defect may ask for, in a commit that says so. The tests are `test_golden.py` (the small
avatar, every case) and `test_golden_bundled.py` (the bundled avatar, the telling cases).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import talkers

HERE = Path(__file__).parents[1]
GOLDEN = HERE / "golden"
FORMAT_3 = HERE / "data" / "format-3"  # trained by `talkers train --recipe tiny` before format 4
SHOWN = (0, 9, 21, 33)  # frames that are kept
TOLERANCE = 1  # grey levels

CONTROLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "still": {"pose": "still"},
    "pose": {"pose": "yaw=2,pitch=-1,roll=1"},
    "pose_file": {"pose": str(HERE / "golden" / "poses.csv")},
    "pose_scale": {"pose_scale": 1.5, "pose_offset": (1.0, -1.0, 0.5)},
    "blinks": {"blink_times": (0.4, 1.2)},
    "no_blinks": {"blinks": 0},
    "amplitude": {"amplitude": 1.4},
    "less": {"amplitude": 0.6},
    "brows": {"brow_amplitude": 2.5},
    "gaze": {"gaze": (0.7, -0.5)},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "live": {"live": True},
    "rate": {"frame_rate": 30},
    "size": {"size": 96},
    "steps": {"steps": 2},
    "seed": {"seed": 7},
    "unmarked": {"provenance": False},
}


def speech(name: str) -> np.ndarray:
    """1.5 s of sound, float32 [n] at 16 kHz: drawn for the drawn avatar, else a voice."""
    if name == "format-3":
        time = np.arange(24_000) / 16_000
        level = np.clip(np.sin(2 * np.pi * 2.3 * time), 0, 1) * (
            np.sin(2 * np.pi * 0.7 * time) > -0.4
        )
        return (
            0.2 * level * sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
        ).astype(np.float32)
    samples, rate = soundfile.read(
        str(files("talkers") / "avatars" / "hello.flac"), dtype="float32"
    )
    if rate != 16_000:
        import soxr

        samples = soxr.resample(samples, rate, 16_000)
    return np.asarray(samples[4_000:28_000], np.float32)


def stream(avatar: talkers.Avatar, samples: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Frames of a stream that comes in uneven blocks."""
    cuts = np.cumsum([0, 100, 1_700, 3_000, 640, 5_000])
    blocks = [samples[a:b] for a, b in zip(cuts, [*cuts[1:], len(samples)], strict=True)]
    return list(avatar.stream(blocks, **options))


def cases(
    avatar: talkers.Avatar, name: str
) -> Iterator[tuple[str, Callable[[], list[np.ndarray]]]]:
    """Every case by its name, and how its frames are made."""
    samples = speech(name)
    for motion in ("regressor", "sampler"):
        for what, settings in CONTROLS.items():
            controls = talkers.Controls(motion=motion, **settings)  # type: ignore[arg-type]
            yield f"{motion}/{what}", lambda c=controls: list(avatar.speak(samples, controls=c))  # type: ignore[misc]
        controls = talkers.Controls(motion=motion)  # type: ignore[arg-type]
        for what, options in OPTIONS.items():
            yield (
                f"{motion}/{what}",
                lambda o=options, c=controls: list(avatar.speak(samples, controls=c, **o)),
            )  # type: ignore[misc]
        yield f"{motion}/stream", lambda c=controls: stream(avatar, samples, controls=c)  # type: ignore[misc]
    edge = np.linspace(0, 255, avatar.size).astype(np.uint8)
    picture = np.stack(
        [
            np.broadcast_to(edge, (avatar.size,) * 2),
            np.broadcast_to(edge[:, None], (avatar.size,) * 2),
        ],
        -1,
    )
    picture = np.concatenate([picture, 255 - picture[..., :1]], -1)
    yield "reconstruct", lambda: list(avatar.reconstruct(iter([picture, picture[::-1].copy()])))


def kept(frames: list[np.ndarray]) -> np.ndarray:
    """What is compared of a case's frames: uint8 [n, h, w, 3]."""
    some = np.stack([frames[k] for k in SHOWN if k < len(frames)])
    step = max(1, some.shape[1] // 64)
    return some[:, ::step, ::step]


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> talkers.Avatar:
    """An avatar in float32, whatever is fastest here: golden frames are the same on every machine."""
    module = sys.modules[talkers.Avatar.__module__]
    for place in [module, *(m for n, m in sys.modules.items() if n.startswith("talkers."))]:
        if hasattr(place, "bfloat16_pays"):
            monkeypatch.setattr(place, "bfloat16_pays", lambda device: False)
    return talkers.Avatar.load(FORMAT_3 if name == "format-3" else name)


def assert_as_recorded(name: str, case: str, frames: list[np.ndarray]) -> None:
    """Frames of a case differ from the recorded ones by one grey level at most."""
    with np.load(GOLDEN / f"{name}.npz") as golden:
        apart = np.abs(kept(frames).astype(int) - golden[case].astype(int))
    share = (apart > TOLERANCE).mean()
    assert apart.max() <= TOLERANCE, f"{apart.max()} grey levels apart in {share:.2%}"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "poses.csv").write_text("time,yaw,roll\n0,0,0\n0.5,3,-1\n1.5,-2,1\n")
    with pytest.MonkeyPatch.context() as patch:
        for avatar_name in sys.argv[1:] or ("format-3", "default"):
            loaded = load(avatar_name, patch)
            np.savez_compressed(
                GOLDEN / f"{avatar_name}.npz",
                **{c: kept(make()) for c, make in cases(loaded, avatar_name)},
            )
