"""Mouths of a film from which the lips of its other frames are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TURN = 12.0  # degrees of yaw that one donor covers
MOST = 64  # donors of a film
UNLIKE_REST = 1.0  # by which a donor may rest less than the best one does
STAYS = 4.0  # degrees by which another donor must be nearer to be taken instead
TAKES_OVER = 3  # frames in which it takes over


@dataclass(frozen=True)
class Mouth:
    """The lower face of a frame of a film.

    Attributes:
        square: uint8 [S, S, 3].
        points: float32 [478, 2] its key points, shares of the side.
        number: of the frame.
        shot: of the frame.
        yaw: of the head, degrees.
    """

    square: NDArray[np.uint8]
    points: Tensor
    number: int
    shot: int
    yaw: float


def donor_frames(
    unrest: NDArray[np.float32],
    shot: NDArray[np.int64],
    yaw: NDArray[np.float32],
    good: NDArray[np.bool_],
) -> list[int]:
    """Which frames of a film give their lips: for each shot and turn of the head the one whose
    mouth rests most, if it rests nearly as much as the best.

    Args:
        unrest: [T] how far the mouth is from rest.
        shot: [T] of the film.
        yaw: [T] of the head, degrees.
        good: bool [T], frames that may be taken.

    Returns:
        numbers of frames, the best first.
    """
    found: dict[tuple[int, int], int] = {}
    numbers = np.flatnonzero(good)
    ranked = numbers[np.argsort(unrest[numbers], kind="stable")]
    for number in ranked[unrest[ranked] <= unrest[ranked[0]] + UNLIKE_REST]:
        found.setdefault((int(shot[number]), round(float(yaw[number]) / TURN)), int(number))
    return list(found.values())[:MOST]


class DonorChoice:
    """Which donor gives a frame its lips; it changes seldom, and not at once.

    Args:
        donors: to choose from.
    """

    def __init__(self, donors: list[Mouth]):
        self._donors = donors
        self._current = self._last = -1
        self._left = 0  # frames until the current one has taken over
        self._shot = -1

    def choose(self, shot: int, yaw: float) -> list[tuple[int, float]]:
        """The donors of the next frame.

        Args:
            shot: of the frame.
            yaw: of its head, degrees.

        Returns:
            their numbers and shares, one or two.
        """
        own = [k for k, donor in enumerate(self._donors) if donor.shot == shot]
        far = {k: abs(self._donors[k].yaw - yaw) for k in own or range(len(self._donors))}
        nearest = min(far, key=lambda k: far[k])
        if shot != self._shot or self._current not in far:
            self._current, self._left = nearest, 0
        elif not self._left and far[nearest] < far[self._current] - STAYS:
            self._last, self._current, self._left = self._current, nearest, TAKES_OVER
        self._shot = shot
        if not self._left:
            return [(self._current, 1.0)]
        share = self._left / (TAKES_OVER + 1)
        self._left -= 1
        return [(self._current, 1 - share), (self._last, share)]
