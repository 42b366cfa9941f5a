"""Avatars for contract tests: a system's components in a real folder of format 4."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from talkers.artefacts.documents import write_json
from talkers.artefacts.weights import write_tensors, write_weights
from talkers.hardware import bfloat16_pays
from talkers.registry import component
from talkers.renderers.contract import Identity, ReadsSpace
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import FORMAT_VERSION, IDENTITY, component_file
from talkers.speech import StreamingSpeechEncoder, can_stream, load_speech_encoder
from talkers.systems.recipe import Recipe, to_dict

HEAD_MEAN = (0.0, 0.0, 0.0, 0.5, 0.4, 0.22, 0.05)
HEAD_RANGE = (15.0, 12.0, 10.0, 0.05, 0.05, 0.03, 0.95)


@contextmanager
def bfloat16(used: bool) -> Iterator[None]:
    """Let avatars that are loaded meanwhile render in bfloat16, or in float32, on a CPU."""
    modules = [m for m in sys.modules.values() if vars(m).get("bfloat16_pays") is bfloat16_pays]
    patches = [patch.object(module, "bfloat16_pays", lambda device: used) for module in modules]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def as_avatar(folder: Path, recipe: Recipe, parts: dict[str, Any], about: dict[str, Any]) -> Avatar:
    """Write components into a folder of format 4, and load it.

    Args:
        folder: takes the files.
        recipe: what the components are.
        parts: components by their slots ("renderer", "space", "motion/KEY", "speech/student"), and
            an `Identity` as "identity".
        about: what avatar.json says beside the recipe and the components.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for slot, part in parts.items():
        if isinstance(part, Identity):
            write_tensors(folder / component_file(slot), part.values or {})
        elif isinstance(part, nn.Module) and part.state_dict():
            write_weights(folder / component_file(slot), part.state_dict(), recipe.weights)
    files = {slot: component_file(slot) for slot in parts}
    changes = {
        "format_version": FORMAT_VERSION,
        "recipe": to_dict(recipe),
        "components": files,
    }
    write_json(folder / "avatar.json", {**about, **changes})
    return Avatar.load(folder, device="cpu")


def random_avatar(
    folder: Path,
    recipe: Recipe,
    space: Any = None,
    identity_of: Callable[[Any], Identity] | None = None,
) -> Avatar:
    """An avatar of a recipe whose weights are random, so that no layer is zero.

    Args:
        folder: takes its files.
        recipe: a small one.
        space: of its motion, where random numbers would be none (default: a random one).
        identity_of: who is shown by a renderer that needs to know it.
    """
    torch.manual_seed(0)
    width = load_speech_encoder(recipe.speech).width

    def built(kind: Any, config: Any, *arguments: Any) -> Any:
        part = component(kind, config.type).load()(config, *arguments)
        if isinstance(part, nn.Module):
            with torch.no_grad():
                for parameter in part.parameters():
                    parameter.add_(0.02 * torch.randn_like(parameter))
        return part

    renderer = built("renderer", recipe.renderer)
    if space is None:
        space = built("space", recipe.space, renderer.motion_width)
    parts = {"renderer": renderer, "space": space}
    if isinstance(renderer, ReadsSpace):
        renderer.bind(space)
    if identity_of is not None:
        parts[IDENTITY] = identity_of(renderer)
    for key, config in recipe.motion.items():
        parts[f"motion/{key}"] = built("motion_model", config, width, space)
    if not can_stream(recipe.speech):
        parts["speech/student"] = StreamingSpeechEncoder(recipe.streaming_encoder, width)
    std = [reach / 3 for reach in HEAD_RANGE]
    pairs = list(zip(HEAD_MEAN, HEAD_RANGE, strict=True))
    head = {
        "mean": list(HEAD_MEAN),
        "std": std,
        "low": [mean - reach for mean, reach in pairs],
        "high": [mean + reach for mean, reach in pairs],
        "translation_from_rotation": [[0.0] * 3] * 3,
    }
    return as_avatar(folder, recipe, parts, {"speech": {"width": width}, "head": head})
