"""A part of a picture changes; the rest stays as it was stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from talkers.media.planes import rgb_of, size_of
from talkers.runtime.film_box import added, cut_out, even_box, moved_box, within_picture

HEIGHT, WIDTH = 48, 64
BOX = 10, 12, 30, 40


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    planes = rng.integers(90, 160, (HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)
    return [planes, rgb_of(planes)]


@pytest.mark.parametrize("picture", pictures())
def test_only_a_box_changes_and_by_what_is_asked(picture: NDArray[np.uint8]) -> None:
    left, top, right, bottom = BOX
    assert size_of(picture) == (HEIGHT, WIDTH)
    before = cut_out(picture, BOX)
    assert before.shape == (3, bottom - top, right - left)
    assert (added(picture, BOX, torch.zeros_like(before)) == picture).all()
    change = torch.zeros_like(before)
    change[0] = 0.2  # redder
    after = added(picture, BOX, change)
    assert (cut_out(after, BOX) - before - change).abs().max() < 0.025  # rounding
    apart = rgb_of(after) != rgb_of(picture)
    rows, columns = np.nonzero(apart.any(-1))
    assert rows.min() >= top
    assert rows.max() < bottom
    assert columns.min() >= left
    assert columns.max() < right


@pytest.mark.parametrize("picture", pictures())
def test_beyond_a_picture_its_edge_goes_on(picture: NDArray[np.uint8]) -> None:
    found = cut_out(picture, (-6, -4, 8, 10))
    assert (found[:, :, :6] == found[:, :, 6:7]).all() or picture.ndim == 2
    assert (found[:, 4:, 6:] == cut_out(picture, (0, 0, 8, 10))).all()
    assert within_picture(even_box((-7, 40, 9, 99)), picture) == (0, 40, 10, HEIGHT)
    left, top, right, bottom = within_picture((80, 60, 90, 70), picture)
    assert left < right <= WIDTH
    assert top < bottom <= HEIGHT
    assert moved_box(BOX, 2, -2) == (12, 10, 32, 38)
