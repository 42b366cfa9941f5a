"""Where to look for a face that the detector does not see in the whole picture.

The detector sees a picture shrunk to 128 pixels, so that a face must be an eighth of the picture's
longer side. Smaller faces are looked for in overlapping square tiles, ever smaller, and then
followed in a window around where they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_TILE = 360  # pixels: a face of 48 pixels is found in it
TILE_STRIDE = 0.65  # in sides of a tile; faces of a third of the side lie whole in one of the tiles
WINDOW = 4.0  # side of the window in which a face is followed, in heights of the face
MIN_WINDOW = 192  # pixels
FIRST_PAUSE, MAX_PAUSE = 12, 100  # frames between searches that find nothing; doubled each time


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] -> the part, contiguous."""
        return np.ascontiguousarray(frame[self.top : self.bottom, self.left : self.right])


def whole(frame: NDArray[np.uint8]) -> Window:
    """The window that is the whole picture."""
    return Window(0, 0, frame.shape[1], frame.shape[0])


def window_around(landmarks: NDArray[np.float32], frame: NDArray[np.uint8]) -> Window:
    """A square around a face [478, 2], moved so that it lies within the picture."""
    height, width = frame.shape[:2]
    low, high = landmarks.min(0), landmarks.max(0)
    side = int(max(MIN_WINDOW, WINDOW * (high - low).max()))
    left, top = (
        int(np.clip(centre - side / 2, 0, max(0, limit - side)))
        for centre, limit in zip((low + high) / 2, (width, height), strict=True)
    )
    return Window(left, top, min(left + side, width), min(top + side, height))


def tile_levels(width: int, height: int) -> Iterator[list[Window]]:
    """Tiles of a picture, from large to small; each level finds faces half as high as the last."""
    side = max(width, height)
    while side > MIN_TILE:
        side = max(MIN_TILE, -(-side // 2))
        yield [
            Window(left, top, left + min(side, width), top + min(side, height))
            for top in _starts(height, side)
            for left in _starts(width, side)
        ]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles along an edge begin, evenly spaced from one end to the other."""
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (TILE_STRIDE * side))) + 1
    return [round(x) for x in np.linspace(0, length - side, count)]


class Pauses:
    """When to search again: soon after a face was seen, ever more rarely where none is found."""

    def __init__(self) -> None:
        self._left, self._next = 0, FIRST_PAUSE

    def due(self) -> bool:
        """Whether this frame is searched; called once for each frame without a face."""
        if self._left:
            self._left -= 1
            return False
        self._left, self._next = self._next, min(2 * self._next, MAX_PAUSE)
        return True

    def seen(self) -> None:
        """A face was seen: the next time that it is missing is searched at once."""
        self._left, self._next = 0, FIRST_PAUSE
