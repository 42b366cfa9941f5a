"""The avatar: it loads, says what it is, and checks what is asked of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import speaker
from talkers import Avatar, Controls
from talkers.errors import ArtefactError, MediaError, ResourceError, UsageError
from talkers.runtime.bundle import Calibration


def test_it_says_what_it_is(avatar: Avatar) -> None:
    about = avatar.inspect()
    assert about["format_version"] == 4
    assert about["files"]["renderer.safetensors"]["bytes"] > 1000
    assert set(about["parameters"]) == {
        "renderer",
        "motion/regressor",
        "motion/flow",
        "speech/student",
    } | ({"space"} & set(about["parameters"]))
    assert about["data"]["held_out"]
    assert len(about["digest"]) == 64


def test_the_bundled_avatar_is_what_it_says(bundled: Avatar) -> None:
    files = bundled.inspect()["files"]
    for name, file in files.items():
        content = (bundled.engine.folder / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    assert sum(file["bytes"] for file in files.values()) < 50e6  # of what a wheel holds
    frames = list(bundled.speak(np.zeros(3_200, np.float32)))
    assert len(frames) == bundled.frame_rate / 5
    assert {frame.shape for frame in frames} == {(bundled.size, bundled.size, 3)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1001},
        {"steps": 2.5},
        {"steps": True},
        {"size": 33},
        {"size": 64.0},
        {"size": "64"},
        {"frame_rate": 0},
        {"frame_rate": 1000},
        {"frame_rate": float("nan")},
        {"frame_rate": float("inf")},
        {"frame_rate": "fast"},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": 1.5},
        {"seed": None},
    ],
    ids=str,
)
def test_values_that_cannot_be_used_are_refused_in_a_sentence(
    avatar: Avatar, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as caught:
        avatar.speak(np.zeros(4_000, np.float32), **wrong)
    assert caught.value.todo
    if set(wrong) <= {"seed", "steps"}:
        with pytest.raises(UsageError):
            avatar.live(**wrong)
        with pytest.raises(UsageError):
            avatar.reconstruct(iter([np.zeros((64, 64, 3), np.uint8)]), **wrong)
    if set(wrong) <= {"seed", "steps", "size"}:
        with pytest.raises(UsageError):
            avatar.decode(torch.zeros(1, 64), **wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": np.int64(3)},
        {"seed": np.uint8(3), "steps": np.int32(1)},
        {"size": np.int64(64)},
        {"frame_rate": 25.0},
        {"frame_rate": np.float32(25)},
        {"frame_rate": "25"},
        {"frame_rate": Fraction(25)},
    ],
    ids=str,
)
def test_numbers_of_any_kind_are_taken(avatar: Avatar, options: dict[str, Any]) -> None:
    sound = speaker.voice(speaker.perform(6, 1).opening, 6)
    plain = {key: {"seed": 3}.get(key) for key in options if key == "seed"}
    expected = np.stack(list(avatar.speak(sound, **plain)))  # type: ignore[arg-type]
    assert np.array_equal(np.stack(list(avatar.speak(sound, **options))), expected)


@pytest.mark.parametrize("motion", ["regressor", "sampler"])
def test_the_largest_seed_is_a_seed(avatar: Avatar, motion: Any) -> None:
    talk = avatar.speak(
        np.zeros(4_000, np.float32), seed=2**32 - 1, controls=Controls(motion=motion)
    )
    assert len(list(talk)) == 6


def test_sound_that_is_none_is_refused(avatar: Avatar) -> None:
    for samples in (np.zeros(0, np.float32), np.full(100, np.nan, np.float32)):
        with pytest.raises(UsageError):
            avatar.speak(samples)
    with pytest.raises(MediaError, match="no such file"):
        avatar.speak("nothing.wav")


def test_size_and_steps_are_chosen(avatar: Avatar) -> None:
    sound = np.zeros(4_000, np.float32)
    assert next(iter(avatar.speak(sound, size=96))).shape == (96, 96, 3)
    one, four = (next(iter(avatar.speak(sound, steps=n))).astype(int) for n in (1, 4))
    assert 0 < np.abs(one - four).mean() < 12


def test_how_far_the_mouth_opens_goes_between_what_was_measured() -> None:
    measured = Calibration((0.25, 1.1, 2.0))
    assert [measured.amplitude(a) for a in (0.5, 0.75, 1.0, 1.5)] == pytest.approx(
        [0.25, 0.675, 1.1, 2.0]
    )


def with_calibration(avatar: Avatar, **calibration: Calibration) -> Avatar:
    """The avatar with other calibrations of its motion models."""
    again = Avatar.load(avatar.engine.folder, device="cpu")
    known = {f"motion/{key}": value for key, value in calibration.items()}
    bundle = again.engine.bundle
    again.engine.bundle = replace(bundle, calibration={**bundle.calibration, **known})
    return again


def test_amplitudes_are_looked_up_for_the_motion_model_that_speaks(avatar: Avatar) -> None:
    known = with_calibration(
        avatar, regressor=Calibration((0.25, 1.1, 2.0)), flow=Calibration((0.6, 1.2, 1.8))
    )
    for motion, amplitude in (("regressor", 0.25), ("sampler", 0.6)):
        controls = Controls(amplitude=0.5, motion=motion)  # type: ignore[arg-type]
        assert known.resolve_controls(0, controls).edit.amplitude == pytest.approx(amplitude)


def test_sampled_heads_move_as_far_as_they_are_calibrated_to(avatar: Avatar) -> None:
    """How far the sampled head moves about its mean goes with the calibration; the regressor's
    has its own."""
    sound = speaker.voice(speaker.perform(100, 5).opening, 100)

    def spread(pose: float, motion: str = "sampler") -> float:
        known = with_calibration(avatar, flow=Calibration(pose=pose))
        controls = Controls(motion=motion, blinks=0)  # type: ignore[arg-type]
        rows = torch.cat(list(known.speak(sound, controls=controls).motion()))
        return float(known.engine.space.read(rows).pose[:, 0].std())

    small, full = spread(0.4), spread(0.8)
    assert full == pytest.approx(2 * small, rel=0.3)
    assert spread(0.4, "regressor") == pytest.approx(spread(0.8, "regressor"))


def test_a_batch_that_memory_does_not_hold_is_halved(
    avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Avatar.load(avatar.engine.folder, device="cpu")
    motion, renderer = torch.randn(11, 64), again.engine.renderer
    whole, decode, tried = again.decode(motion), renderer.decode, []  # type: ignore[attr-defined]

    def small(part: torch.Tensor, *arguments: Any) -> torch.Tensor:
        tried.append(len(part))
        if len(part) > room:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: not enough "
                "memory: you tried to allocate 9 bytes."
            )
        return decode(part, *arguments)

    monkeypatch.setattr(renderer, "decode", small)
    room = 2
    assert np.abs(again.decode(motion).astype(int) - whole).max() <= 1
    assert tried == [8, 4, 2, 2, 2, 2, 2, 1]
    # One shortage does not slow all that comes later: the next call begins with whole batches.
    tried.clear()
    room = 100
    again.decode(motion)
    assert tried == [8, 3]
    room = 0
    with pytest.raises(ResourceError, match="not enough memory"):
        again.decode(motion)
    monkeypatch.setattr(
        renderer, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("another fault"))
    )
    with pytest.raises(RuntimeError, match="another fault"):
        again.decode(motion)


def test_a_folder_of_the_avatar_is_told(avatar: Avatar, tmp_path: Path) -> None:
    assert avatar.folder == avatar.engine.folder
    with pytest.raises(UsageError, match="no device 'quantum'"):
        Avatar.load(avatar.folder, device="quantum")


def test_a_motion_model_that_the_avatar_does_not_have_is_refused(avatar: Avatar) -> None:
    with pytest.raises(ArtefactError, match=r"no motion model .dice.*regressor, flow"):
        avatar.resolve_controls(0, Controls(motion="dice"))
    assert avatar.resolve_controls(0, Controls(motion="flow")).model is avatar.engine.motion["flow"]
