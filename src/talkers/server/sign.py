"""The word that tells everybody who looks at a live picture that it is synthetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WORD = "SYNTHETIC"
HEIGHT = 1 / 22  # of the letters, in shares of the picture's
SMALLEST = 8  # pixels
SHADE = 0.6  # how dark the ground of the letters is


class Sign:
    """The word for pictures of one size, in their lower left corner.

    Args:
        size: side of the pictures, pixels.
    """

    def __init__(self, size: int):
        font = ImageFont.load_default(max(SMALLEST, round(size * HEIGHT)))
        left, top, right, bottom = (round(edge) for edge in font.getbbox(WORD))
        pad = max(2, (bottom - top) // 3)
        shape = min(size, right - left + 2 * pad), min(size, bottom - top + 2 * pad)
        letters = Image.new("L", shape)
        ImageDraw.Draw(letters).text((pad - left, pad - top), WORD, fill=255, font=font)
        white = np.asarray(letters, np.float32)[..., None] / 255
        self._kept = (1 - SHADE) * (1 - white)  # of the picture: [h, w, 1]
        self._added = 255 * white
        self.width, self.height = shape

    def put(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture with the word: uint8 [size, size, 3], another array."""
        signed = picture.copy()
        corner = signed[-self.height :, : self.width]
        corner[:] = (corner * self._kept + self._added).round()
        return signed
