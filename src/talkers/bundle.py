"""The avatar on disk: avatar.json and safetensors. Everything is checked before anything is allocated or run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from talkers.errors import ArtefactError, OtherRecipeError, reason
from talkers.media.encode import atomic

FORMAT_VERSION = 3
SCALE = ".scale"  # suffix of an int8 tensor's scales, one for each slice of its first dimension
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
        raise ArtefactError("there is no avatar here", where=folder, why=why, todo="Name a folder made by `talkers train`, or 'default' for the bundled avatar")
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
            "avatar.json is damaged", where=path, why=f"{type(error).__name__}: {reason(error)}", todo="Copy or train the avatar again"
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


def write_weights(path: Path, weights: Mapping[str, Tensor], form: Literal["int8", "float16"]) -> None:
    """Save tensors compactly: large matrices as int8 with one scale an output, the rest as float16; buffers of
    statistics (1-D) stay float32."""
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        value = tensor.detach().float().cpu()
        if form == "int8" and value.ndim >= 2 and value.shape[0] > 1 and value.numel() >= 4096:
            scale = value.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
            stored[name] = (value / scale.reshape(-1, *[1] * (value.ndim - 1))).round().to(torch.int8).contiguous()
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
            yield Path(shutil.copy(path, Path(folder) / path.name.encode("ascii", "replace").decode()))


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
                raise OtherRecipeError(f"the tensor '{name}' is {'missing' if name in expected else 'not part of its recipe'}", where=path, todo=todo)
            for name, wanted in expected.items():
                found, form = tuple(file.get_slice(name).get_shape()), file.get_slice(name).get_dtype()
                if found != tuple(wanted.shape):
                    raise OtherRecipeError(f"the tensor '{name}' has the shape {list(found)}, its recipe asks for {list(wanted.shape)}", where=path, todo=todo)
                if form == "I8":
                    held = file.get_slice(name + SCALE) if name + SCALE in scales else None
                    if not found or held is None or tuple(held.get_shape()) != found[:1] or held.get_dtype() != "F32":
                        raise ArtefactError(f"the tensor '{name}' lacks its scales", where=path, todo=todo)
                elif form not in ("F16", "BF16", "F32"):
                    raise ArtefactError(f"the tensor '{name}' holds {form} numbers", where=path, todo=todo)
            state: dict[str, Tensor] = {}
            for name in expected:
                value = file.get_tensor(name)
                if value.dtype == torch.int8:
                    value = value.float() * file.get_tensor(name + SCALE).reshape(-1, *[1] * (value.ndim - 1))
                value = value.float()
                if not value.isfinite().all():
                    raise ArtefactError(f"the tensor '{name}' holds numbers that are not finite", where=path, todo=todo)
                state[name] = value
    except FileNotFoundError as error:
        raise OtherRecipeError("this file of the avatar is missing", where=path, todo=todo) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError("this file of the avatar is damaged", where=path, why=reason(error), todo=todo) from error
    model.load_state_dict(state, strict=True, assign=True)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
