"""Weights as safetensors: int8 with one scale an output, or float16; checked before anything is
allocated."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, OtherRecipeError, reason, refuse_if_out_of_memory

SCALE = ".scale"  # suffix of an int8 tensor's scales, one for each slice of its first dimension


def write_weights(
    path: Path, weights: Mapping[str, Tensor], form: Literal["int8", "float16"]
) -> None:
    """Save tensors compactly: large matrices as int8 with one scale an output, the rest as float16;
    buffers of statistics (1-D) stay float32."""
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


@contextmanager
def _opened(path: Path, owner: str) -> Iterator[Any]:
    """A safetensors file, open for reading.

    Raises:
        OtherRecipeError: it is missing. ArtefactError: it is damaged.
    """
    todo = f"Copy or train the {owner} again"
    try:
        with _utf8(path) as named, safe_open(named, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        what = f"this file of the {owner} is missing"
        raise OtherRecipeError(what, where=path, todo=todo) from error
    except (SafetensorError, OSError, ValueError) as error:
        refuse_if_out_of_memory(error, path)
        what = f"this file of the {owner} is damaged"
        raise ArtefactError(what, where=path, why=reason(error), todo=todo) from error


def load_weights(
    path: Path,
    expected: Mapping[str, Tensor],
    rename: Callable[[str], str] = str,
    owner: str = "avatar",
    *,
    partly: bool = False,
) -> dict[str, Tensor]:
    """Tensors of a file whose names and shapes are those of `expected`, as float32.

    Args:
        path: a safetensors file.
        expected: tensors of these names and shapes (on the meta device, say).
        rename: the name of a tensor in the file -> its name among `expected`.
        owner: whose file this is, for errors.
        partly: the file may lack some of the tensors.

    Raises:
        OtherRecipeError: the file is missing, or holds other tensors than are expected.
        ArtefactError: it is damaged.
    """
    todo = f"Copy or train the {owner} again"
    with _opened(path, owner) as file:
        held = set(file.keys())
        scales = {n for n in held if n.endswith(SCALE) and n.removesuffix(SCALE) in held}
        names = {rename(n): n for n in sorted(held - scales)}
        if partly:
            expected = {name: wanted for name, wanted in expected.items() if name in names}
        if unknown := set(names) ^ set(expected):
            name = min(unknown)
            what = "missing" if name in expected else "not part of its recipe"
            raise OtherRecipeError(f"the tensor '{name}' is {what}", where=path, todo=todo)
        for name, wanted in expected.items():
            _check_tensor(file, names[name], wanted, scales, path, todo)
        weights: dict[str, Tensor] = {}
        for name in expected:
            value = file.get_tensor(names[name])
            if value.dtype == torch.int8:
                scale = file.get_tensor(names[name] + SCALE)
                value = value.float() * scale.reshape(-1, *[1] * (value.ndim - 1))
            value = value.float()
            if not value.isfinite().all():
                what = f"the tensor '{name}' holds numbers that are not finite"
                raise ArtefactError(what, where=path, todo=todo)
            weights[name] = value
        return weights


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Save tensors as they are."""
    with atomic(path) as temporary:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)


MAX_TENSORS, MAX_NUMBERS = 16, 200_000_000  # of a file that says itself what it holds


def load_tensors(path: Path, owner: str = "avatar") -> dict[str, Tensor]:
    """All tensors of a small file, as they are stored.

    Args:
        path: a safetensors file.
        owner: whose file this is, for errors.

    Raises:
        ArtefactError: it is missing, damaged, or holds more than such a file does.
    """
    with _opened(path, owner) as file:
        names = list(file.keys())
        shapes = [file.get_slice(name).get_shape() for name in names]
        forms = {file.get_slice(name).get_dtype() for name in names}
        if not forms <= {"U8", "F16", "BF16", "F32"}:
            raise ValueError(f"it holds numbers of the kinds {', '.join(sorted(forms))}")
        if len(names) > MAX_TENSORS or sum(map(math.prod, shapes)) > MAX_NUMBERS:
            raise ValueError("it holds far too much")
        tensors = {name: file.get_tensor(name) for name in names}
        if any(not t.isfinite().all() for t in tensors.values() if t.is_floating_point()):
            raise ValueError("it holds numbers that are not finite")
        return tensors


def _check_tensor(
    file: Any, name: str, wanted: Tensor, scales: set[str], path: Path, todo: str
) -> None:
    """Refuse a tensor of another shape or kind before it is read."""
    found = tuple(file.get_slice(name).get_shape())
    form = file.get_slice(name).get_dtype()
    if found != tuple(wanted.shape):
        raise OtherRecipeError(
            f"the tensor '{name}' has the shape {list(found)}, its recipe asks for "
            f"{list(wanted.shape)}",
            where=path,
            todo=todo,
        )
    if form == "I8":
        scale = file.get_slice(name + SCALE) if name + SCALE in scales else None
        fits = scale is not None and tuple(scale.get_shape()) == found[:1]
        if not found or scale is None or not fits or scale.get_dtype() != "F32":
            raise ArtefactError(f"the tensor '{name}' lacks its scales", where=path, todo=todo)
    elif form not in ("F16", "BF16", "F32"):
        raise ArtefactError(f"the tensor '{name}' holds {form} numbers", where=path, todo=todo)


def read_weights(
    path: Path,
    model: nn.Module,
    expected: Mapping[str, Tensor],
    rename: Callable[[str], str] = str,
    owner: str = "avatar",
) -> None:
    """Fill a model made on the meta device; arguments and errors as in `load_weights`."""
    model.load_state_dict(load_weights(path, expected, rename, owner), strict=True, assign=True)
