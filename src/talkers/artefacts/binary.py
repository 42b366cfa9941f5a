"""Bounds-checked, little-endian reading of binary files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np


class BinaryReader:
    """Reads a file from its beginning, without loading it whole.

    Args:
        path: the file.
        length: of texts, as struct's code of the number before each.

    Attributes:
        data: the file's bytes.
        at: the place that is read next.

    Raises:
        OSError, ValueError: it cannot be read, or is empty.
    """

    def __init__(self, path: Path, length: str):
        self.data = memoryview(np.memmap(path, np.uint8, "r"))  # type: ignore[arg-type]
        self.at, self._length = 0, length

    def take(self, count: int) -> memoryview:
        """The next bytes.

        Raises:
            ValueError: there are not so many.
        """
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        """The next number, of a type that struct calls so. Raises ValueError: it ends too early."""
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]

    def text(self) -> str:
        """The next text. Raises ValueError: it ends too early, or is no UTF-8."""
        return bytes(self.take(self.number(self._length))).decode()
