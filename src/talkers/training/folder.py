"""The folder of a training: begun, resumed, and what it was initialised from."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.files import UNFINISHED, unfinished
from talkers.corpus import Corpus
from talkers.errors import ArtefactError, ResourceError, UsageError
from talkers.runtime.bundle import avatar_folder, read_about
from talkers.systems import recipe as recipes
from talkers.systems.recipe import Recipe
from talkers.training.budget import elapsed


def start_folder(
    out: Path, recipe: Recipe, corpus: Corpus, budget: float | None, resume: bool
) -> tuple[Path, float | None]:
    """Make the folder of a training's state, or find the one to be resumed.

    Args:
        out: the avatar's folder.
        recipe: of the training.
        corpus: that it learns from.
        budget: seconds for everything, or None (when resuming: as before).
        resume: whether a training that has begun here goes on.

    Returns:
        the folder of its state, and its budget in seconds.

    Raises:
        ArtefactError: there is something else.
        UsageError: a training has begun that is not to be resumed, or has another recipe.
        ResourceError: the folder cannot be made.
    """
    state = out / "training"
    stored, wanted = state / "recipe.json", {**recipes.to_dict(recipe), "data": corpus.digest()}
    if stored.exists():
        return state, _resumed(out, stored, wanted, budget, resume)
    # a training that was killed at its very beginning has left nothing
    files = (p for p in out.rglob("*") if p.is_file() and not p.match(UNFINISHED))
    if out.is_file() or next(files, None) is not None:
        raise ArtefactError(
            "this is not an empty folder", where=out, todo="Choose a new folder for the avatar"
        )
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            "the avatar's folder cannot be made",
            where=out,
            why=error.strerror,
            todo="Choose a folder that can be written",
        ) from error
    write_json(stored, {**wanted, "budget": budget})
    return state, budget


def _resumed(
    out: Path, path: Path, wanted: dict[str, Any], budget: float | None, resume: bool
) -> float | None:
    """The budget of the training that goes on; see `start_folder`."""
    if not resume:
        raise UsageError(
            "a training has begun here",
            where=out,
            todo="Add --resume to go on with it, or choose another folder",
        )
    stored = read_json(path)
    before: float | None = stored.pop("budget", None)
    if stored != json.loads(json.dumps(wanted)):
        raise UsageError(
            "the training that has begun here has another recipe or corpus",
            where=out,
            todo="Use the same --recipe, --set and corpus, or choose another folder",
        )
    for left in unfinished(out):
        left.unlink(missing_ok=True)
    if budget and budget != before:
        write_json(path, {**stored, "budget": budget})
    return budget or before


def initialized_from(folder: Path) -> dict[str, Any]:
    """What a training began with, for avatar.json.

    Args:
        folder: of the other avatar or training.

    Returns:
        its command, seed, stages and extent, and what that one was initialised from.
    """
    kept: dict[str, Any] = {}
    with suppress(ArtefactError):  # a training that is not finished
        about, _ = read_about(avatar_folder(folder))
        keys = ("command", "seed", "training", "initialized_from")
        kept = {key: about[key] for key in keys if about.get(key) is not None}
        kept["stages"] = about.get("recipe", {}).get("stages")
    settings = folder / "training" / "recipe.json"
    if settings.is_file() and not kept:
        kept = {"stages": read_json(settings).get("stages"), "training": elapsed(settings.parent)}
    return kept
