"""Avatar folders: format 4 is written, 3 and 4 are read, and damage is told in a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import speaker
from talkers import Avatar, Controls
from talkers.errors import ArtefactError
from talkers.runtime.bundle import FORMAT_VERSION

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"
About = dict[str, Any]


def damaged(source: Path, folder: Path, change: Callable[[About], object]) -> Path:
    """A copy of an avatar whose avatar.json is changed."""
    shutil.copytree(source, folder)
    about = json.loads((folder / "avatar.json").read_text())
    change(about)
    (folder / "avatar.json").write_text(json.dumps(about))
    return folder


def test_format_3_speaks_as_the_same_avatar_in_format_4(avatar: Avatar) -> None:
    old = Avatar.load(FORMAT_3, device="cpu")
    assert old.about["format_version"] == 4  # it is shown as today's
    assert old.engine.bundle.format_version == 3
    sound = speaker.voice(speaker.perform(20, 1).opening, 20)
    # Format 3 had a space in each motion model; format 4 keeps the regressor's.
    frames = [np.stack(list(each.speak(sound))) for each in (old, avatar)]
    assert np.abs(frames[0].astype(int) - frames[1]).max() <= 2  # 16-bit weights
    assert len(list(avatar.speak(sound, controls=Controls(motion="sampler")))) == 20


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (FORMAT_VERSION + 1, "newer talkers"),
        (10**6, "newer talkers"),
        (2, "Train the avatar again"),
        (-1, "Train the avatar again"),
        ("four", "damaged"),
        (None, "damaged"),
        ([4], "damaged"),
        (4.5, "damaged"),
    ],
    ids=str,
)
def test_other_versions_are_refused_with_what_to_do(
    avatar: Avatar, tmp_path: Path, version: object, message: str
) -> None:
    folder = damaged(
        avatar.engine.folder, tmp_path / "a", lambda about: about.update(format_version=version)
    )
    with pytest.raises(ArtefactError, match=message) as caught:
        Avatar.load(folder)
    assert caught.value.todo


CHANGES: dict[str, tuple[str, Callable[[About], object]]] = {
    "no version": ("format_version", lambda a: a.pop("format_version")),
    "no recipe": ("no settings", lambda a: a.pop("recipe")),
    "unknown setting": (
        "Did you mean 'latent'",
        lambda a: a["recipe"]["renderer"].update(latnt=3),
    ),
    "head of one number": ("head", lambda a: a.update(head={"mean": [1]})),
    "no head": ("head", lambda a: a.pop("head")),
    "data is a list": ("data", lambda a: a.update(data=[1])),
    "data is a text": ("data", lambda a: a.update(data="GRID")),
    "metrics is a number": ("metrics", lambda a: a.update(metrics=3)),
    "training is a list": ("training", lambda a: a.update(training=["codec"])),
    "no width": ("width", lambda a: a["speech"].pop("width")),
    "huge width": ("width", lambda a: a["speech"].update(width=10**9)),
    "component outside": (
        "components",
        lambda a: a["components"].update(renderer="../renderer.safetensors"),
    ),
    "unknown component": ("components", lambda a: a["components"].update(tail="t.safetensors")),
    "no renderer": ("components", lambda a: a["components"].pop("renderer")),
    "calibration of text": (
        "damaged",
        lambda a: a.update(calibration={"motion/flow": {"pose": "far"}}),
    ),
    "calibration of nan": (
        "calibration",
        lambda a: a.update(calibration={"motion/flow": {"articulation": [1, float("nan"), 2]}}),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_damaged_avatar_json_is_told_in_a_sentence(
    avatar: Avatar, tmp_path: Path, what: str
) -> None:
    message, change = CHANGES[what]
    folder = damaged(avatar.engine.folder, tmp_path / "a", change)
    with pytest.raises(ArtefactError, match=message) as caught:
        Avatar.load(folder)
    assert caught.value.todo


@pytest.mark.parametrize("key", ["data", "metrics", "training", "calibration"])
@pytest.mark.parametrize("value", [None, {}])
def test_what_is_not_known_of_an_avatar_may_be_missing(
    avatar: Avatar, tmp_path: Path, key: str, value: object
) -> None:
    from talkers.cli import main

    folder = damaged(avatar.engine.folder, tmp_path / "a", lambda about: about.update({key: value}))
    assert main(["inspect", str(folder)]) == 0
    speech = tmp_path / "none.wav"
    assert main(["speak", str(speech), "--avatar", str(folder), "-o", str(tmp_path / "a.mp4")]) == 3


NAME = "unet.in_proj.weight"
WEIGHTS: dict[str, tuple[str, Callable[[dict[str, torch.Tensor]], object]]] = {
    "another shape": ("shape", lambda w: w.update({NAME: torch.zeros(3, 3)})),
    "one is missing": ("missing", lambda w: w.pop(NAME)),
    "one too many": ("not part of", lambda w: w.update(extra=torch.zeros(1))),
    "not finite": ("not finite", lambda w: w.update({NAME: w[NAME].float() * torch.nan})),
    "whole numbers": ("I64", lambda w: w.update({NAME: w[NAME].long()})),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_damaged_weights_are_told_in_a_sentence(avatar: Avatar, tmp_path: Path, what: str) -> None:
    message, change = WEIGHTS[what]
    folder = damaged(avatar.engine.folder, tmp_path / "a", lambda about: None)
    weights = load_file(folder / "renderer.safetensors")
    change(weights)
    save_file(weights, folder / "renderer.safetensors")
    with pytest.raises(ArtefactError, match=message) as caught:
        Avatar.load(folder)
    assert caught.value.todo


def test_files_that_are_cut_missing_or_none_are_told(avatar: Avatar, tmp_path: Path) -> None:
    folder = damaged(avatar.engine.folder, tmp_path / "cut", lambda about: None)
    path = folder / "motion-regressor.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtefactError, match="damaged"):
        Avatar.load(folder)
    path.unlink()
    with pytest.raises(ArtefactError, match="missing"):
        Avatar.load(folder)
    with pytest.raises(ArtefactError, match="no avatar here"):
        Avatar.load(tmp_path / "nowhere")
    with pytest.raises(ArtefactError, match="an avatar is a folder"):
        Avatar.load(folder / "avatar.json")
    (folder / "avatar.json").write_text("[" * 100_000)
    with pytest.raises(ArtefactError, match="damaged"):
        Avatar.load(folder)
