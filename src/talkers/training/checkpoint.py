"""Checkpoints without pickle: Lightning's state as safetensors and a JSON tree that names them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning_fabric.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, reason

REMEDY = "Remove it and resume from an older one"
_TENSOR, _DICT, _TUPLE = "__tensor__", "__items__", "__tuple__"


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """A state as JSON values that refer to tensors, which are put into `tensors`."""
    if isinstance(value, torch.Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().to("cpu").contiguous().clone()
        # optimisers keep their state in the memory format of the weights
        channels_last = (
            value.ndim == 4
            and not value.is_contiguous()
            and value.is_contiguous(memory_format=torch.channels_last)
        )
        return {_TENSOR: key, "channels_last": True} if channels_last else {_TENSOR: key}
    if isinstance(value, dict):
        return {_DICT: [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_pack(v, tensors) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _unpack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The state that `_pack` packed."""
    if isinstance(value, dict):
        if _TENSOR in value:
            tensor = tensors[value[_TENSOR]]
            if value.get("channels_last") and tensor.ndim != 4:
                raise ValueError(
                    f"a tensor of {tensor.ndim} dimensions is said to lie as pictures do"
                )
            return (
                tensor.to(memory_format=torch.channels_last)
                if value.get("channels_last")
                else tensor
            )
        if _TUPLE in value:
            return tuple(_unpack(v, tensors) for v in value[_TUPLE])
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in value[_DICT]}
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    return value


class SafetensorsCheckpointIO(CheckpointIO):
    """Lightning's door to checkpoints: a whole file or none, and nothing in it can run."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        tensors: dict[str, torch.Tensor] = {}
        tree = json.dumps(_pack(checkpoint, tensors))
        with atomic(path) as temporary:
            save_file(tensors, temporary, metadata={"tree": tree})
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        try:
            with safe_open(path, framework="pt") as file:
                tree = json.loads(file.metadata()["tree"])
                names = list(file.keys())
                tensors = {name: file.get_tensor(name) for name in names}
            loaded = _unpack(tree, tensors)
            if not isinstance(loaded, dict):
                raise ValueError("it holds no state")
            return loaded
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtefactError(
                "the checkpoint cannot be read", where=path, why=reason(error), todo=REMEDY
            ) from error

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)


class Reached(NamedTuple):
    """How far a training was at a checkpoint.

    Attributes:
        weights: of the stage's module, by name.
        frames: seen so far.
        seconds: of training so far.
    """

    weights: dict[str, torch.Tensor]
    frames: int
    seconds: float


def reached(path: Path) -> Reached:
    """How far a training was at a checkpoint.

    Args:
        path: of the checkpoint.

    Raises:
        ArtefactError: this is no checkpoint of a training.
    """
    state = SafetensorsCheckpointIO().load_checkpoint(path)
    try:
        weights, callbacks = state["state_dict"], state["callbacks"]
        # "Pace" is what earlier versions called it
        progress = callbacks.get("TrainingProgress") or callbacks["Pace"]
        if not all(
            isinstance(name, str) and isinstance(weight, torch.Tensor)
            for name, weight in weights.items()
        ):
            raise ValueError("its weights are none")
        frames, seconds = int(progress["seen"]), float(progress["spent"])
        if frames < 0 or not 0 <= seconds < math.inf:
            raise ValueError(f"it says that {frames} frames were seen in {seconds} s")
        return Reached(weights, frames, seconds)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtefactError(
            "this is no checkpoint of a training",
            where=path,
            why=f"{type(error).__name__}: {reason(error)}",
            todo=REMEDY,
        ) from error
