"""Sound in blocks, as it arrives in a stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def cut(samples: np.ndarray, sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Samples in blocks of these sizes in turn."""
    k = at = 0
    while at < len(samples):
        yield samples[at : at + sizes[k % len(sizes)]]
        at += sizes[k % len(sizes)]
        k += 1
