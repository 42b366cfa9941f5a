"""Key points of a film's frames, in a file without a name: those of a long film fill the memory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POINTS = 478
ROW = POINTS * 2 * 4  # bytes
Points = NDArray[np.float32]  # [478, 2] pixels


class FilmPoints:
    """Key points [478, 2] by frames, NaN where there are none; safe to read from two threads."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._lock, self._count = threading.Lock(), 0

    def __len__(self) -> int:
        return self._count

    def append(self, points: Points | None) -> None:
        """Take the next frame's."""
        self._count += 1
        self[self._count - 1] = np.full((POINTS, 2), np.nan) if points is None else points

    def __setitem__(self, number: int, points: NDArray[np.floating]) -> None:
        with self._lock:
            self._file.seek(number * ROW)
            self._file.write(np.ascontiguousarray(points, np.float32).tobytes())

    def __getitem__(self, number: int) -> Points:
        if not 0 <= number < self._count:
            raise IndexError(number)
        with self._lock:
            self._file.seek(number * ROW)
            return np.frombuffer(self._file.read(ROW), np.float32).reshape(POINTS, 2)

    def rows(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of some frames: [N, 478, 2]."""
        return np.stack([self[int(number)] for number in numbers])
