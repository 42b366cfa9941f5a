"""Reading a language model out of a GGUF file (versions 2 and 3), as the format's description says:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Only the kinds of blocks are read that the embedded model has.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from talkers.artefacts.binary import BinaryReader
from talkers.errors import ArtefactError, refuse_if_out_of_memory

MAGIC = b"GGUF"
ALIGNMENT = 32  # bytes, unless the file says otherwise
NUMBERS = "BbHhIif?__QqD".replace("D", "d")  # of struct, by the number of a value's type
TEXT, LIST = 8, 9  # the numbers of these types
BLOCK = 32  # values of a quantised block
BYTES = {0: 4 * BLOCK, 1: 2 * BLOCK, 3: 20, 8: 34}  # of a block by type: f32, f16, Q4_1, Q8_0


class ModelFile(NamedTuple):
    """What a GGUF file holds.

    Attributes:
        about: its key-value pairs.
        weights: by name, float32.
    """

    about: dict[str, Any]
    weights: dict[str, Tensor]


class _Reader(BinaryReader):
    """Of values whose types the file says."""

    def value(self, kind: int) -> Any:
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            inner, count = self.number("I"), self.number("Q")
            if inner == LIST or count > len(self.data):
                raise ValueError("a list in it cannot be")
            return [self.value(inner) for _ in range(count)]
        return self.number(NUMBERS[kind])


def read_gguf(path: Path) -> ModelFile:
    """Read a file whole.

    Raises:
        ArtefactError: no GGUF file of these versions, damaged, or quantised in another way.
    """
    try:
        reader = _Reader(path, "Q")
        if bytes(reader.take(4)) != MAGIC or reader.number("I") not in (2, 3):
            raise ValueError("it does not begin as a GGUF file of version 2 or 3")
        count, pairs = reader.number("Q"), reader.number("Q")
        about = {}
        for _ in range(pairs):
            key = reader.text()
            about[key] = reader.value(reader.number("I"))
        places = []
        for _ in range(count):
            name = reader.text()
            shape = [reader.number("Q") for _ in range(reader.number("I"))][::-1]
            places.append((name, shape, reader.number("I"), reader.number("Q")))
        step = int(about.get("general.alignment", ALIGNMENT))
        begin = -(-reader.at // step) * step
        weights = {}
        for name, shape, kind, offset in places:
            reader.at, blocks = begin + offset, -(-math.prod(shape) // BLOCK)
            if kind not in BYTES:
                raise ValueError(f"its tensor {name} is quantised in another way ({kind})")
            raw = np.frombuffer(reader.take(blocks * BYTES[kind]), np.uint8).copy()
            weights[name] = _dequantised(torch.from_numpy(raw), kind).reshape(shape)
        return ModelFile(about, weights)
    except (
        ValueError,
        KeyError,
        IndexError,
        struct.error,
        OSError,
        RuntimeError,
        OverflowError,
        ZeroDivisionError,
    ) as error:
        refuse_if_out_of_memory(error, path)
        raise ArtefactError(
            "this is not a readable GGUF model",
            where=path,
            why=str(error),
            todo="Remove it; it is fetched again",
        ) from error


def _dequantised(raw: Tensor, kind: int) -> Tensor:
    """Bytes of blocks -> float32, flat."""
    if kind == 0:
        return raw.view(torch.float32)
    if kind == 1:
        return raw.view(torch.float16).float()
    blocks = raw.view(-1, BYTES[kind])
    if kind == 3:  # x = d q + m, q of 4 bits: the low halves of 16 bytes, then the high ones
        scale = blocks[:, :4].contiguous().view(torch.float16).float()
        levels = torch.cat([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], 1)
        return (levels * scale[:, :1] + scale[:, 1:]).flatten()
    scale = blocks[:, :2].contiguous().view(torch.float16).float()  # x = d q, q of 8 bits
    return (blocks[:, 2:].view(torch.int8) * scale).flatten()
