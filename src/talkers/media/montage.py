"""Frames side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def montage(
    rows: Sequence[Sequence[NDArray[np.uint8]] | NDArray[np.uint8]], columns: int = 8
) -> NDArray[np.uint8]:
    """Clips as rows of evenly picked frames, the same moments in rows of the same length.

    Args:
        rows: each uint8 [T, S, S, 3], or a list of frames.
        columns: frames a row.

    Returns:
        uint8 [rows * S, columns * S, 3]
    """
    return np.concatenate(
        [
            np.concatenate(
                [row[i] for i in np.linspace(0, len(row) - 1, columns).round().astype(int)], 1
            )
            for row in rows
        ],
        0,
    )
