"""Weights as safetensors: int8 with one scale an output, or float16; checked before anything is allocated."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, OtherRecipeError, reason

SCALE = ".scale"  # suffix of an int8 tensor's scales, one for each slice of its first dimension


def write_weights(
    path: Path, weights: Mapping[str, Tensor], form: Literal["int8", "float16"]
) -> None:
    """Save tensors compactly: large matrices as int8 with one scale an output, the rest as float16; buffers of
    statistics (1-D) stay float32."""
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        value = tensor.detach().float().cpu()
        if form == "int8" and value.ndim >= 2 and value.shape[0] > 1 and value.numel() >= 4096:
            scale = value.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
            stored[name] = (
                (value / scale.reshape(-1, *[1] * (value.ndim - 1)))
                .round()
                .to(torch.int8)
                .contiguous()
            )
            stored[name + SCALE] = scale
        else:
            stored[name] = (value if value.ndim < 2 else value.half()).contiguous()
    with atomic(path) as temporary:
        save_file(stored, temporary)


@contextmanager
def _utf8(path: Path) -> Iterator[Path]:
    """The file under a name that safetensors can open: a copy, if its own is not UTF-8."""
    try:
        str(path).encode()
        yield path
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(
                shutil.copy(path, Path(folder) / path.name.encode("ascii", "replace").decode())
            )


def read_weights(path: Path, model: nn.Module, expected: Mapping[str, Tensor]) -> None:
    """Fill a model made on the meta device from a file whose names and shapes are those of `expected`.

    Raises:
        OtherRecipeError: the file is missing, or holds other tensors than the recipe asks for. ArtefactError: it is damaged.
    """
    todo = "Copy or train the avatar again"
    try:
        with _utf8(path) as named, safe_open(named, framework="pt") as file:
            names = set(file.keys())
            scales = {n for n in names if n.endswith(SCALE)}
            if unknown := (names - scales) ^ set(expected):
                name = min(unknown)
                raise OtherRecipeError(
                    f"the tensor '{name}' is {'missing' if name in expected else 'not part of its recipe'}",
                    where=path,
                    todo=todo,
                )
            for name, wanted in expected.items():
                found, form = (
                    tuple(file.get_slice(name).get_shape()),
                    file.get_slice(name).get_dtype(),
                )
                if found != tuple(wanted.shape):
                    raise OtherRecipeError(
                        f"the tensor '{name}' has the shape {list(found)}, its recipe asks for {list(wanted.shape)}",
                        where=path,
                        todo=todo,
                    )
                if form == "I8":
                    held = file.get_slice(name + SCALE) if name + SCALE in scales else None
                    if (
                        not found
                        or held is None
                        or tuple(held.get_shape()) != found[:1]
                        or held.get_dtype() != "F32"
                    ):
                        raise ArtefactError(
                            f"the tensor '{name}' lacks its scales", where=path, todo=todo
                        )
                elif form not in ("F16", "BF16", "F32"):
                    raise ArtefactError(
                        f"the tensor '{name}' holds {form} numbers", where=path, todo=todo
                    )
            state: dict[str, Tensor] = {}
            for name in expected:
                value = file.get_tensor(name)
                if value.dtype == torch.int8:
                    value = value.float() * file.get_tensor(name + SCALE).reshape(
                        -1, *[1] * (value.ndim - 1)
                    )
                value = value.float()
                if not value.isfinite().all():
                    raise ArtefactError(
                        f"the tensor '{name}' holds numbers that are not finite",
                        where=path,
                        todo=todo,
                    )
                state[name] = value
    except FileNotFoundError as error:
        raise OtherRecipeError(
            "this file of the avatar is missing", where=path, todo=todo
        ) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(
            "this file of the avatar is damaged", where=path, why=reason(error), todo=todo
        ) from error
    model.load_state_dict(state, strict=True, assign=True)
