"""The avatar on disk: avatar.json and one safetensors file a component.

Everything is checked before anything is allocated or run. Format 4 is written; formats 3 and 4
are read, and a format 3 avatar is shown as if it were of format 4.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkers.controls.request import OPENINGS
from talkers.errors import ArtefactError, reason, refuse_if_out_of_memory
from talkers.space.contract import HEAD
from talkers.systems.format3 import upgrade_about
from talkers.systems.recipe import Recipe, from_dict

FORMAT_VERSION = 4
READABLE = (3, 4)
BUNDLED = "default"
BASE = "portrait"  # the shipped avatar that shows nobody yet
MOCK = "mock"
IDENTITY = "identity"  # the component that says who is shown
SHIPPED = (BUNDLED, MOCK)  # avatars that talkers brings
MAX_ABOUT_BYTES = 4_000_000  # of avatar.json
MAX_FEATURE_WIDTH = 65_536  # numbers of a speech feature
MAX_VALUE = 1e6  # of the numbers in avatar.json with which frames are made
TODO = "Copy or train the avatar again"


@dataclass(frozen=True)
class HeadStatistics:
    """The head values of the footage, in the order of `HEAD`.

    Attributes:
        mean, std, low, high: [7]; the footage ranges from low to high.
        translation_from_rotation: [3, 3], by how much x, y and scale change with each angle,
            since a head that turns also moves.
        turn: [3], degrees of yaw, pitch and roll in a motion for which a degree is seen. A portrait
            turns a little less than its key points.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor
    translation_from_rotation: Tensor
    turn: Tensor = field(default_factory=lambda: torch.ones(3))

    def limited(self, values: Tensor) -> Tensor:
        """Head values [..., 7] of a motion, kept within what the footage shows."""
        # the range is of what is seen, and a motion turns `turn` times as far about the mean
        times = torch.cat([self.turn, torch.ones(len(HEAD) - 3)])
        low, high = (self.mean + times * (edge - self.mean) for edge in (self.low, self.high))
        return torch.maximum(torch.minimum(values, high), low)


@dataclass(frozen=True)
class Calibration:
    """How a motion model's movements compare with the person's.

    Attributes:
        articulation: amplitudes at which the mouth opens `OPENINGS` times as far as the person's.
        pose: what predicted angles are multiplied by for heads to move as far as the person's.
        live: what amplitudes are multiplied by in a stream: the avatar's own speech encoder is
            less sure of sounds than the pretrained one, so that mouths move less far.
    """

    articulation: tuple[float, ...] = OPENINGS
    pose: float = 1.0
    live: float = 1.0

    def amplitude(self, opening: float, live: bool = False) -> float:
        """The amplitude at which the mouth opens `opening` times as far as the person's."""
        return float(np.interp(opening, OPENINGS, self.articulation)) * (self.live if live else 1)


@dataclass(frozen=True)
class Bundle:
    """An avatar's folder, read and checked; its weights are still on disk.

    Attributes:
        folder: where it is.
        about: avatar.json, as format 4.
        recipe: what the components are.
        components: file of each component: renderer, space, motion/KEY, speech/student, and
            identity, where the renderer shows whom it is given.
        head: of the footage.
        calibration: of each motion model, by "motion/KEY".
        speech_width: numbers of a speech feature.
        format_version: of the files on disk.
    """

    folder: Path
    about: dict[str, Any]
    recipe: Recipe
    components: dict[str, Path]
    head: HeadStatistics
    calibration: dict[str, Calibration]
    speech_width: int
    format_version: int


def avatar_folder(name: str | os.PathLike[str]) -> Path:
    """The folder of an avatar. "default" and "mock" always name those that talkers brings; a
    folder that is called so is named by its path, ./default.

    Raises:
        ArtefactError: there is none.
    """
    shipped = str(name) in SHIPPED
    folder = Path(str(files("talkers") / "avatars" / str(name))) if shipped else Path(name)
    if not (folder / "avatar.json").is_file():
        why = "avatar.json is missing" if folder.exists() else "there is no such folder"
        if folder.is_file():
            why = "this is a file: an avatar is a folder, trained from minutes of video"
        raise ArtefactError(
            "there is no avatar here",
            where=folder,
            why=why,
            todo="Name a folder made by `talkers train`, or 'default' for the bundled avatar",
        )
    return folder


def _damaged(folder: Path, error: BaseException) -> ArtefactError:
    why = f"{type(error).__name__}: {reason(error)}"
    return ArtefactError("avatar.json is damaged", where=folder / "avatar.json", why=why, todo=TODO)


def read_about(folder: Path) -> tuple[dict[str, Any], int]:
    """avatar.json as format 4, and the format that it has on disk.

    Raises:
        ArtefactError: damaged, or of a version that cannot be read.
    """
    path = folder / "avatar.json"
    try:
        if path.stat().st_size > MAX_ABOUT_BYTES:
            raise ValueError("it is far too long")
        about = json.loads(path.read_text("utf-8"))
        version = about["format_version"]
        if not isinstance(version, int):
            raise ValueError("its version is no number")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        refuse_if_out_of_memory(error, path)
        raise _damaged(folder, error) from error
    if version not in READABLE:
        newer = version > FORMAT_VERSION
        raise ArtefactError(
            f"this avatar has format version {version}, this talkers reads "
            f"{' and '.join(map(str, READABLE))}",
            where=folder,
            why="a newer talkers wrote it" if newer else None,
            todo="Update talkers: `pip install -U talkers`" if newer else "Train the avatar again",
        )
    return (upgrade_about(about) if version == 3 else dict(about)), version


def base_folder() -> Path:
    """The shipped avatar that shows nobody yet."""
    return Path(str(files("talkers") / "avatars" / BASE))


def read_bundle(name: str | os.PathLike[str] = BUNDLED) -> Bundle:
    """Read and check an avatar's folder.

    Args:
        name: a folder made by `talkers train`, "default" or "mock".

    Raises:
        ArtefactError: no avatar there, damaged, from a newer version.
        MissingComponent: a plug-in that its recipe names is not installed.
    """
    folder = avatar_folder(name)
    about, version = read_about(folder)
    recipe = from_dict(about.get("recipe"), folder / "avatar.json")
    try:
        for key in ("data", "metrics", "training"):
            if not isinstance(about.get(key) or {}, dict):
                raise ValueError(f"{key} is no object")
        width = about["speech"]["width"]
        if not isinstance(width, int) or not 1 <= width <= MAX_FEATURE_WIDTH:
            raise ValueError("speech.width is no width of speech features")
        head = _head(about["head"])
        components = _components(folder, about["components"], recipe)
        if version == 3:  # which said by its files what it has
            optional = ("motion/flow", "speech/student")
            components = {k: p for k, p in components.items() if k not in optional or p.exists()}
        calibration = {
            key: _calibration(key, (about.get("calibration") or {}).get(key) or {})
            for key in components
            if key.startswith("motion/")
        }
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _damaged(folder, error) from error
    return Bundle(folder, about, recipe, components, head, calibration, width, version)


def _head(values: Mapping[str, Any]) -> HeadStatistics:
    shapes = dict.fromkeys(("mean", "std", "low", "high"), (len(HEAD),))
    shapes["translation_from_rotation"] = (3, 3)  # type: ignore[assignment]
    shapes["turn"] = (3,)
    held = {}
    values = {"turn": [1.0, 1.0, 1.0], **values}
    for key, shape in shapes.items():
        numbers = np.array(values[key])
        wrong = numbers.shape != shape or numbers.dtype.kind not in "if"
        if wrong or not (np.abs(numbers) < MAX_VALUE).all():
            raise ValueError(f"head.{key} does not hold {' x '.join(map(str, shape))} numbers")
        held[key] = torch.tensor(values[key], dtype=torch.float32)
    return HeadStatistics(**held)


def _components(folder: Path, values: Mapping[str, Any], recipe: Recipe) -> dict[str, Path]:
    """Files of the components, by their names."""
    needed = {"renderer", "space"}
    known = needed | {f"motion/{key}" for key in recipe.motion} | {"speech/student", IDENTITY}
    if not needed <= set(values) or not set(values) <= known:
        raise ValueError(f"components are {', '.join(values)}; its recipe has {', '.join(known)}")
    if not any(key.startswith("motion/") for key in values):
        raise ValueError("it has no motion model")
    for key, name in values.items():
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"components.{key} is no name of a file in this folder")
    return {key: folder / name for key, name in values.items()}


def _calibration(key: str, values: Mapping[str, Any]) -> Calibration:
    known = np.array(values.get("articulation") or 1.0, dtype=np.float64)
    articulation = known if known.ndim else known * np.array(OPENINGS)
    pose, live = (float(values.get(name) or 1.0) for name in ("pose", "live"))
    fine = articulation.shape == (len(OPENINGS),) and (articulation >= 0).all()
    if not fine or not (articulation < MAX_VALUE).all():
        raise ValueError(f"calibration.{key}.articulation is no number of times")
    for name, times in (("pose", pose), ("live", live)):
        if not math.isfinite(times) or not 0 <= times < MAX_VALUE:
            raise ValueError(f"calibration.{key}.{name} is no number of times")
    return Calibration(tuple(articulation.tolist()), pose, live)


def component_file(name: str) -> str:
    """The file that holds a component's weights in an avatar of format 4."""
    return f"{name.replace('/', '-')}.safetensors"
