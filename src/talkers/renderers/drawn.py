"""A drawn face: a renderer without weights, for trying a pipeline out before there is an avatar.

It draws antialiased ellipses, each in its own box, in less than a millisecond a frame of 256 px.
NumPy does that: on arrays this small torch takes longer to begin than to compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.configuration import limited
from talkers.renderers.contract import Identity, Needs, RenderOptions, RenderState
from talkers.space.face_state import FACE_STATE

Colour = tuple[int, int, int]
EYES_APART = 0.22  # shares of the side, of a face whose `scale` is this
CLOTHES: Colour = (60, 70, 90)
WHITE, DARK = (250, 250, 250), (40, 40, 60)
LIDS, LIPS, THROAT, BROWS = (214, 168, 140), (170, 60, 70), (50, 10, 20), (110, 75, 55)
MIN_SIZE = 0.01  # shares of the side; what is smaller is not drawn


class Ellipse(NamedTuple):
    """An ellipse; all in shares of the side.

    Attributes:
        x, y: its middle.
        width, height: of its axes.
        colour: RGB, 0..255.
    """

    x: float
    y: float
    width: float
    height: float
    colour: Colour


@dataclass(frozen=True)
class DrawnConfig:
    """Size and colours of a drawn face."""

    type: str = "drawn"
    size: int = limited(256, 32, 2048)  # side of the frames, pixels
    skin: tuple[int, int, int] = limited((224, 180, 150), 0, 255)
    background: tuple[int, int, int] = limited((40, 110, 180), 0, 255)

    def __post_init__(self) -> None:
        if self.size % 2:
            raise ValueError("size must be even")


class DrawnFace:
    """Face states -> a drawn face; see `Renderer`.

    Args:
        config: its size and colours.
    """

    needs: Needs = "nothing"
    motion_width = len(FACE_STATE)

    def __init__(self, config: DrawnConfig):
        self.config, self.size = config, config.size
        self._centres = ((np.arange(config.size) + 0.5) / config.size).astype(np.float32)
        canvas = np.empty((3, config.size, config.size), np.float32)
        canvas[:] = _level(config.background)
        self._shoulders = (slice(None), self._box(0.9, 1.0), self._box(0.15, 0.85))
        canvas[self._shoulders] = _level(CLOTHES)
        self._canvas = canvas

    def identity(self, source: Tensor | None = None, landmarks: Tensor | None = None) -> Identity:
        """See `Renderer.identity`: there is one drawn person."""
        return Identity()

    def prepare_for(self, device: torch.device) -> None:
        """See `Renderer.prepare_for`: it draws on the CPU, whatever the device."""

    def render(
        self,
        motion: Tensor,
        options: RenderOptions,
        identity: Identity | None = None,
        background: Tensor | None = None,
        state: RenderState | None = None,
    ) -> Tensor:
        """See `Renderer.render`; nothing is drawn by chance, so that options change nothing."""
        canvas = self._canvas
        if background is not None:
            canvas = background.float().cpu().numpy().copy()
            canvas[self._shoulders] = _level(CLOTHES)
        pictures = np.repeat(canvas[None], len(motion), 0)
        for picture, row in zip(pictures, motion.float().cpu().tolist(), strict=True):
            for ellipse in self._ellipses(dict(zip(FACE_STATE, row, strict=True))):
                self._draw(picture, ellipse)
        return torch.from_numpy(pictures)

    def _ellipses(self, face: dict[str, float]) -> list[Ellipse]:
        """What is drawn of a face state, from the back to the front."""
        scale, x, y = face["scale"] / EYES_APART, face["x"], face["y"]
        roll = math.radians(face["roll"])
        cos, sin = math.cos(roll), math.sin(roll)
        # A head that turns shows its outline less far to the side than its eyes and mouth.
        turn, nod = 0.0015 * face["yaw"], 0.0015 * face["pitch"]
        ellipses: list[Ellipse] = []

        def add(right: float, down: float, width: float, height: float, colour: Colour) -> None:
            """An ellipse at a place relative to the eyes' midpoint, turned by the roll."""
            right, down = right * scale, down * scale
            place = x + cos * right - sin * down, y + sin * right + cos * down
            ellipses.append(Ellipse(*place, width * scale, height * scale, colour))

        add(-turn, 0.1 - nod, 0.5, 0.7, self.config.skin)
        closed = min(1.0, max(0.0, face["blink"]))
        left = min(1.0, max(-1.0, face["gaze_left"]))
        up = min(1.0, max(-1.0, face["gaze_up"]))
        for side in (-EYES_APART / 2, EYES_APART / 2):
            add(side, 0, 0.15, 0.1, WHITE)
            # The person's left is the picture's right.
            add(side + 0.035 * left, -0.015 * up, 0.06, 0.09, DARK)
            add(side, 0, 0.16, 0.11 * closed, LIDS)
            add(side, -0.085 - 0.03 * face["brows"], 0.14, 0.018, BROWS)
        opening = min(1.5, max(0.0, face["mouth"]))
        add(turn / 2, 0.28 + nod / 2, 0.2, 0.05 + 0.12 * opening, LIPS)
        add(turn / 2, 0.28 + nod / 2, 0.15, 0.11 * opening, THROAT)
        return ellipses

    def _box(self, low: float, high: float) -> slice:
        """Pixels that lie between two places."""
        first, last = (min(1.0, max(0.0, edge)) * self.size for edge in (low, high))
        return slice(int(first), math.ceil(last))

    def _draw(self, picture: NDArray[np.float32], ellipse: Ellipse) -> None:
        """Draw an ellipse into a picture [3, S, S]."""
        a, b = ellipse.width / 2, ellipse.height / 2
        if 2 * min(a, b) < MIN_SIZE:
            return
        edge = 1 / self.size
        rows = self._box(ellipse.y - b - edge, ellipse.y + b + edge)
        columns = self._box(ellipse.x - a - edge, ellipse.x + a + edge)
        # r = sqrt((dx / a)^2 + (dy / b)^2) is 1 on the edge; (1 - r) min(a, b) is about the
        # distance to it, and a pixel is covered by half where that is 0.
        across = np.square((self._centres[columns] - ellipse.x) * (1 / a))
        down = np.square((self._centres[rows] - ellipse.y) * (1 / b))
        covered = np.add.outer(down, across)
        np.sqrt(covered, covered)
        covered *= -min(a, b) * self.size
        covered += min(a, b) * self.size + 0.5
        np.maximum(covered, 0, covered)
        np.minimum(covered, 1, covered)
        part = picture[:, rows, columns]
        # y = (1 - c) y + c colour
        step = _level(ellipse.colour) - part
        step *= covered
        part += step


@cache
def _level(colour: Colour) -> NDArray[np.float32]:
    """RGB in 0..255 -> [3, 1, 1] in -1..1."""
    return (np.array(colour, np.float32) / np.float32(127.5) - 1).reshape(3, 1, 1)
