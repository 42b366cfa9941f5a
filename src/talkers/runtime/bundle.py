"""The avatar on disk: avatar.json and safetensors. Everything is checked before anything is allocated or run."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from talkers.errors import ArtefactError, reason

FORMAT_VERSION = 3
BUNDLED = "default"


def avatar_folder(name: str | os.PathLike[str]) -> Path:
    """The folder of an avatar; "default" is the bundled one.

    Raises:
        ArtefactError: there is none.
    """
    bundled = str(name) == BUNDLED and not Path(name).exists()
    folder = Path(str(files("talkers") / "avatars" / BUNDLED)) if bundled else Path(name)
    if not (folder / "avatar.json").is_file():
        why = "avatar.json is missing" if folder.exists() else "there is no such folder"
        raise ArtefactError(
            "there is no avatar here",
            where=folder,
            why=why,
            todo="Name a folder made by `talkers train`, or 'default' for the bundled avatar",
        )
    return folder


def read_about(folder: Path) -> dict[str, Any]:
    """avatar.json, checked for its version.

    Raises:
        ArtefactError: damaged, or of another version.
    """
    path = folder / "avatar.json"
    try:
        if path.stat().st_size > 4_000_000:
            raise ValueError("it is far too long")
        about = json.loads(path.read_text("utf-8"))
        version = about["format_version"]
        if not isinstance(version, int):
            raise ValueError("its version is no number")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtefactError(
            "avatar.json is damaged",
            where=path,
            why=f"{type(error).__name__}: {reason(error)}",
            todo="Copy or train the avatar again",
        ) from error
    if version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise ArtefactError(
            f"this avatar has format version {version}, this talkers reads version {FORMAT_VERSION}",
            where=folder,
            why="a newer talkers wrote it" if newer else None,
            todo="Update talkers: `pip install -U talkers`" if newer else "Train the avatar again",
        )
    return dict(about)
