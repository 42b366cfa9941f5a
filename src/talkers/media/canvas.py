"""Square frames on a larger picture, before a colour or a photograph.

Upright for telephones, wide for screens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from talkers.errors import MediaError, UsageError
from talkers.media.decode import decode_frames

Frame = NDArray[np.uint8]  # [H, W, 3] RGB
MAX_RATIO = 4  # of a canvas, long side to short side
SHAPES = "9:16, 16:9, 1:1, 4:5"  # the usual ones
BORDER = 0.02  # share of a frame's side whose colour is that of a canvas without a background


@dataclass(frozen=True)
class Layout:
    """How a square lies on a canvas.

    Attributes:
        shape: width to height, such as "9:16".
        background: a colour as CSS writes it ("#203040", "white"), or a file with a picture; None:
            the colour of the first frame's border.
        across: place of the square, 0 at the left, 1 at the right.
        down: place of the square, 0 at the top, 1 at the bottom.
    """

    shape: str = "1:1"
    background: str | os.PathLike[str] | None = None
    across: float = 0.5
    down: float = 0.5

    def size(self, side: int) -> tuple[int, int]:
        """Width and height of the canvas for a square of `side` pixels, even numbers.

        Raises:
            UsageError: no such shape or place.
        """
        found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", self.shape)
        ratio = Fraction(int(found[1]), int(found[2])) if found and int(found[2]) else Fraction(0)
        if not Fraction(1, MAX_RATIO) <= ratio <= MAX_RATIO:
            raise UsageError(f"'{self.shape}' is no shape of a picture", todo=f"Use {SHAPES}")
        for name, value in (("across", self.across), ("down", self.down)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}", todo="Use 0 to 1")
        width, height = side * max(ratio, Fraction(1)), side / min(ratio, Fraction(1))
        return _even(width), _even(height)


def _even(length: Fraction | float) -> int:
    return 2 * round(length / 2)


def on_canvas(frames: Iterable[Frame], layout: Layout) -> Iterator[Frame]:
    """Put square frames on a canvas, each as it comes.

    Args:
        frames: uint8 [S, S, 3]
        layout: shape, background and place.

    Yields:
        uint8 [H, W, 3], H and W even; the square's own pixels are unchanged.

    Raises:
        UsageError: no such shape, colour or place. MediaError: the background is no picture.
    """
    source = iter(frames)
    first = next(source, None)
    if first is None:
        return
    side = len(first)
    width, height = layout.size(side)
    canvas = background_of(layout.background, width, height, first)
    left, top = round((width - side) * layout.across), round((height - side) * layout.down)
    for frame in chain([first], source):
        shown = canvas.copy()
        shown[top : top + side, left : left + side] = frame
        yield shown


def background_of(
    background: str | os.PathLike[str] | None, width: int, height: int, frame: Frame
) -> Frame:
    """A canvas of a colour, or a picture that covers it.

    Args:
        background: see `Layout`.
        width, height: pixels.
        frame: whose border's colour is taken when there is no background.

    Returns:
        uint8 [height, width, 3]

    Raises:
        UsageError: it is neither a colour nor a file. MediaError: the file is no picture.
    """
    if background is None:
        edge = max(1, round(BORDER * len(frame)))
        inner = np.ones(frame.shape[:2], bool)
        inner[edge:-edge, edge:-edge] = False
        colour = np.median(frame[inner], 0).round().astype(np.uint8)
        return np.broadcast_to(colour, (height, width, 3)).copy()
    if isinstance(background, str) and not Path(background).exists():
        try:
            colour = np.array(ImageColor.getcolor(background, "RGB"), np.uint8)
        except ValueError as error:
            raise UsageError(
                f"'{background}' is neither a colour nor a file",
                todo="Give a colour such as #203040 or white, or a picture's path",
            ) from error
        return np.broadcast_to(colour, (height, width, 3)).copy()
    picture = next(decode_frames(background), None)
    if picture is None:
        raise MediaError("there is no picture in this file", where=background)
    return _covering(picture, width, height)


def _covering(picture: Frame, width: int, height: int) -> Frame:
    """The middle of a picture, as large as the canvas."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    w, h = width / scale, height / scale  # of what is seen of it
    left, top = (picture.shape[1] - w) / 2, (picture.shape[0] - h) / 2
    resized = Image.fromarray(picture).resize(
        (width, height), Image.Resampling.LANCZOS, (left, top, left + w, top + h)
    )
    return np.asarray(resized)
