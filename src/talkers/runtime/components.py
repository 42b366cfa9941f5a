"""An avatar's components: made from their settings, and filled with their weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from talkers.artefacts.weights import load_tensors, load_weights
from talkers.errors import ArtefactError, reason
from talkers.registry import component
from talkers.renderers.contract import Identity, Renderer, ShowsIdentities
from talkers.runtime.bundle import IDENTITY, Bundle
from talkers.systems import format3


def build_component(kind: Any, config: Any, *arguments: Any) -> Any:
    """A component made from its settings."""
    return component(kind, config.type).load()(config, *arguments)


def load_identity(bundle: Bundle, renderer: Renderer) -> Identity | None:
    """Who an avatar shows, where its renderer is told that.

    Raises:
        ArtefactError: its file is missing or damaged.
    """
    path = bundle.components.get(IDENTITY)
    if path is None:
        return None
    identity = Identity(load_tensors(path))
    try:
        if isinstance(renderer, ShowsIdentities):
            renderer.check_identity(identity)
    except ValueError as error:
        raise ArtefactError(
            "this is no identity that the avatar can show",
            where=path,
            why=reason(error),
            todo="Copy or make the avatar again",
        ) from error
    return identity


def load_component(
    bundle: Bundle, name: str, part: Any, space: Any = None, *, partly: bool = False
) -> None:
    """Fill a component, and the space that its file holds in format 3, if they have weights.

    Args:
        bundle: the avatar's files.
        name: slot of the component.
        part: is filled.
        space: is filled, too, where it lies in the same file.
        partly: what the file does not hold of the component stays as it is.
    """
    if not isinstance(part, nn.Module):
        return
    expected = dict(part.state_dict())
    if isinstance(space, nn.Module):
        expected |= {f"space.{key}": value for key, value in space.state_dict().items()}
    rename = format3.renaming(name) if bundle.format_version == 3 else str
    if not expected and not bundle.components[name].exists():
        return
    weights = load_weights(bundle.components[name], expected, rename, partly=partly)
    if isinstance(space, nn.Module):
        inner = {k.removeprefix("space."): w for k, w in weights.items() if k.startswith("space.")}
        space.load_state_dict(inner, strict=True, assign=True)
        weights = {k: w for k, w in weights.items() if not k.startswith("space.")}
    part.load_state_dict(weights, strict=not partly, assign=True)
    reset = getattr(part, "reset_constants", None)
    if callable(reset):
        reset()
