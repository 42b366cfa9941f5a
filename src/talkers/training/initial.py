"""Weights that a stage begins with, from another avatar or training."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from pathlib import Path

from torch import nn

from talkers.errors import OtherRecipeError
from talkers.motion import MotionModel
from talkers.runtime.bundle import read_bundle
from talkers.runtime.components import load_component
from talkers.systems.format3 import new_name
from talkers.training.budget import latest_checkpoints
from talkers.training.checkpoint import reached

PREFIXES = ("model.", "codec.")  # of a component's weights in checkpoints; the second is older


def initialise_from(folder: Path, stage: str, slot: str, model: nn.Module) -> None:
    """Fill a component with the weights of another training or avatar.

    Those of a training's newest checkpoint are taken first. What the other does not have, as it
    is newer, begins anew.

    Args:
        folder: of the other avatar or training.
        stage: whose checkpoints are looked for.
        slot: of the component in an avatar.
        model: is filled.

    Raises:
        OtherRecipeError: there is neither, or it has another recipe.
        ArtefactError: it is damaged.
    """
    found = latest_checkpoints(folder / "training").get(stage)
    if found is None:
        if (folder / "training").is_dir() and not (folder / "avatar.json").exists():
            raise OtherRecipeError(
                f"the training here has no {stage} yet",
                where=folder,
                todo="Let it get there, or start from another",
            )
        _load_finished(folder, stage, slot, model)
        return
    weights = {
        new_name(slot, name.removeprefix(prefix)): weight
        for name, weight in reached(found).weights.items()
        for prefix in PREFIXES
        if name.startswith(prefix)
    }
    try:
        model.load_state_dict(model.state_dict() | weights)
    except RuntimeError as error:
        raise OtherRecipeError(
            f"this {stage} has another recipe",
            where=folder,
            todo="Start from one of the same recipe",
        ) from error


def initialise_beside(folder: Path, stage: str, prefix: str, part: nn.Module) -> None:
    """Fill what another training learnt beside its component, if it is there and fits.

    Args:
        folder: of the other training.
        stage: whose checkpoints are looked for.
        prefix: of the part's weights there.
        part: is filled.

    Raises:
        ArtefactError: the checkpoint is damaged.
    """
    found = latest_checkpoints(folder / "training").get(stage)
    if found is None:
        return
    weights = {
        name.removeprefix(prefix): weight
        for name, weight in reached(found).weights.items()
        if name.startswith(prefix)
    }
    own = {name: weight.shape for name, weight in part.state_dict().items()}
    if own == {name: weight.shape for name, weight in weights.items()}:
        part.load_state_dict(weights)


def _load_finished(folder: Path, stage: str, slot: str, model: nn.Module) -> None:
    """Fill a component with the weights of a finished avatar; see `initialise_from`."""
    bundle = read_bundle(folder)
    if slot not in bundle.components:
        raise OtherRecipeError(
            f"the avatar here has no {stage}", where=folder, todo="Start from another"
        )
    space = None
    if isinstance(model, MotionModel) and bundle.format_version == 3:
        space = deepcopy(model.space)  # which lay in the same file; its own is not wanted
    load_component(bundle, slot, model, space, partly=True)


def initialise_where_it_fits(folder: Path | None, stage: str, slot: str, model: nn.Module) -> None:
    """`initialise_from`, or begin with nothing where there is none or it has another shape.

    Raises:
        ArtefactError: it is damaged.
    """
    if folder is not None:
        with suppress(OtherRecipeError):
            initialise_from(folder, stage, slot, model)
