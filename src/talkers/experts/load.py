"""Experts on disk: NAME.json, and NAME.safetensors beside it."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.weights import read_weights, write_weights
from talkers.errors import ArtefactError, reason
from talkers.experts.models import ExpertConfig, LipReader, SyncExpert

FORMAT_VERSION = 2
BUNDLED = ("lips-pixels", "lips-points", "sync-pixels", "sync-points")
NAMES_BEFORE: dict[int, dict[str, str]] = {
    1: {
        "look": "backbone",
        "recall": "gru",
        "tell": "classifier",
        "watch": "video_head",
        "listen": "audio_encoder",
        "sharpness": "log_sharpness",
    },
    2: {},
}
"""What the networks' parts were called in files of each version, and are called today."""
TODO = "Copy or train the expert again"
_CONFIG = TypeAdapter(ExpertConfig)


def people_folder() -> Path:
    """Experts that know many people, which this package brings beside those that know one."""
    return Path(str(files("talkers") / "experts" / "weights" / "people"))


def build_expert(config: ExpertConfig) -> LipReader | SyncExpert:
    """An untrained expert."""
    return LipReader(config) if config.task == "lips" else SyncExpert(config)


def save_expert(folder: Path, expert: LipReader | SyncExpert) -> None:
    """Write an expert and what is known of it; its json file last.

    Args:
        folder: for NAME.json and NAME.safetensors, with the expert's own name.
        expert: trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / f"{expert.name}.safetensors", expert.state_dict(), "float16")
    config = _CONFIG.dump_python(expert.config, mode="json")
    content = {**expert.about, "format_version": FORMAT_VERSION, "config": config}
    write_json(folder / f"{expert.name}.json", content)


def load_expert(name: str | os.PathLike[str]) -> LipReader | SyncExpert:
    """An expert by its name in `BUNDLED`, or by the path of its json file.

    Raises:
        ArtefactError: there is none, or it is damaged.
    """
    path = Path(name)
    if str(name) in BUNDLED:
        path = Path(str(files("talkers") / "experts" / "weights" / f"{name}.json"))
    if not path.exists():
        raise ArtefactError(
            "there is no expert here",
            where=path,
            todo=f"Use one of {', '.join(BUNDLED)}, or the json file of your own",
        )
    about = read_json(path)
    config, parts = _read_about(about, path)
    with torch.device("meta"):
        expert = build_expert(config)

    def rename(weight: str) -> str:
        part, dot, rest = weight.partition(".")
        return f"{parts.get(part, part)}{dot}{rest}"

    weights = path.with_suffix(".safetensors")
    read_weights(weights, expert, expert.state_dict(), rename, owner="expert")
    expert.about = about
    expert.eval().requires_grad_(False)
    return expert


def _read_about(about: dict[str, Any], path: Path) -> tuple[ExpertConfig, dict[str, str]]:
    """An expert's settings, and what its networks' parts were called when it was written."""
    try:
        version = about["format_version"]
        if not isinstance(version, int):
            raise ValueError("its version is no number")
        if version not in NAMES_BEFORE:
            newest = max(NAMES_BEFORE)
            raise ArtefactError(
                f"this expert has format version {version}, this talkers reads up to {newest}",
                where=path,
                todo="Install a newer talkers" if version > newest else TODO,
            )
        config = _CONFIG.validate_python(about["config"])
        if not 8 <= config.width <= 4096:
            what = f"the setting 'width' is {config.width}"
            raise ArtefactError(what, where=path, todo="Use 8 to 4096")
        return config, NAMES_BEFORE[version]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ArtefactError(
            "this expert is damaged",
            where=path,
            why=f"{type(error).__name__}: {reason(error)}",
            todo=TODO,
        ) from error


def load_registered(name: str, folder: Path | None = None) -> LipReader | SyncExpert:
    """One of the bundled experts, or the one that takes its place.

    Args:
        name: in `BUNDLED`.
        folder: of experts, used where it holds NAME.json; where it does not, those of many people
            are. Without a folder those of one person are.

    Raises:
        ArtefactError: it is damaged, or the file holds another expert.
    """
    own = None
    if folder is not None:
        places = [place / f"{name}.json" for place in (folder, people_folder())]
        own = next((path for path in places if path.is_file()), None)
    expert = load_expert(own or name)
    if expert.name != name:
        raise ArtefactError(
            f"this file holds the expert '{expert.name}', not '{name}'",
            where=own,
            todo="Give it back the name that it was trained with",
        )
    return expert
