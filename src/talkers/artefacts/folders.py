"""Folders of the user: where fetched models and the signing identity lie unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from talkers.errors import ResourceError


def user_folder(chosen: str, base: str, fallback: str) -> Path:
    """A folder of talkers' own in the user's home.

    Args:
        chosen: environment variable that names the folder itself.
        base: environment variable of the folder that ours lies in, such as XDG_CACHE_HOME.
        fallback: that folder within the home folder, where the variable is not set.

    Raises:
        ResourceError: the user has no home folder, and neither variable is set.
    """
    if path := os.environ.get(chosen):
        return Path(path)
    if path := os.environ.get(base):
        return Path(path) / "talkers"
    try:
        return Path.home() / fallback / "talkers"
    except RuntimeError as error:
        raise ResourceError(
            "this user has no home folder",
            why="HOME is not set",
            todo=f"Name a folder that can be written in {chosen}",
        ) from error
