"""What is heard with a dubbed film: the speech, what comes after it, and what lies under both."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [n] mono or [n, 2] stereo
BLOCK = 16_000  # samples that silence comes in


def widened(blocks: Iterator[Samples], channels: int) -> Iterator[Samples]:
    """Blocks with so many channels, 1 or 2; mono is doubled."""
    for block in blocks:
        yield np.stack([block, block], 1) if channels == 2 and block.ndim == 1 else block


def of_length(blocks: Iterator[Samples], count: int) -> Iterator[Samples]:
    """The first samples of blocks, exactly so many: after their end comes silence."""
    last = np.zeros(0, np.float32)
    for last in blocks:
        if len(last[:count]):
            yield last[:count]
        count -= len(last)
        if count <= 0:
            return
    for at in range(0, count, BLOCK):
        yield np.zeros((min(BLOCK, count - at), *last.shape[1:]), np.float32)


def followed(blocks: Iterator[Samples], more: Iterator[Samples]) -> Iterator[Samples]:
    """Blocks, and then what other blocks have beyond the same time."""
    done = 0
    for block in blocks:
        done += len(block)
        yield block
    for block in more:
        if len(block[done:]):
            yield block[done:]
        done = max(0, done - len(block))


def mixed(
    blocks: Iterator[Samples], under: Iterator[Samples], gain: float, count: int
) -> Iterator[Samples]:
    """Blocks with others under them, for so many samples; what ends goes on in silence.

    Args:
        blocks: as `widened` gives them.
        under: of the same rate and channels.
        gain: factor of what lies under.
        count: samples of the result.
    """
    left, below = _Reader(blocks), _Reader(under)
    for at in range(0, count, BLOCK):
        size = min(BLOCK, count - at)
        yield np.clip(left.take(size) + np.float32(gain) * below.take(size), -1, 1)


class _Reader:
    """Takes blocks apart into others; after their end comes silence."""

    def __init__(self, blocks: Iterator[Samples]):
        first = next(blocks, np.zeros(0, np.float32))
        self._blocks, self._rest = chain([first], blocks), first[:0]

    def take(self, count: int) -> Samples:
        """The next samples."""
        parts, there = [self._rest], len(self._rest)
        while there < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            there += len(block)
        if there < count:
            parts.append(np.zeros((count - there, *self._rest.shape[1:]), np.float32))
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return joined[:count]
