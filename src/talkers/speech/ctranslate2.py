"""Reading Whisper's encoder out of a CTranslate2 model file (version 6).

Package indexes carry it in this form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkers.artefacts.binary import BinaryReader
from talkers.errors import ArtefactError, refuse_if_out_of_memory

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read_variables(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """All variables whose names begin with `prefix`.

    Raises:
        ArtefactError: not a CTranslate2 file of version 6, or damaged.
    """
    try:
        reader = BinaryReader(path, "H")
        if (version := reader.number("I")) != 6:
            raise ValueError(f"it has version {version}, not 6")
        reader.text(), reader.number("I")
        variables: dict[str, Tensor] = {}
        for _ in range(reader.number("I")):
            name = reader.text().rstrip("\0")
            shape = [reader.number("I") for _ in range(reader.number("B"))]
            dtype = np.dtype(_DTYPES[reader.number("B")])
            raw = reader.take(reader.number("I"))
            if name.startswith(prefix):
                variables[name[len(prefix) :]] = torch.from_numpy(
                    np.frombuffer(raw, dtype).reshape(shape).copy()
                )
        return variables
    except (ValueError, KeyError, OSError, UnicodeDecodeError) as error:
        refuse_if_out_of_memory(error, path)
        raise ArtefactError(
            "this is not a readable CTranslate2 model",
            where=path,
            why=str(error),
            todo="Remove it; it is fetched again",
        ) from error


def encoder_variables(path: Path) -> dict[str, Tensor]:
    """Whisper's encoder: the file's `encoder/` variables as float32."""
    return {
        name: value.float()
        for name, value in read_variables(path, "encoder/").items()
        if value.dtype != torch.int8
    }
