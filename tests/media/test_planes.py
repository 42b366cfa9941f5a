"""Films that are read and written as they are stored."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from talkers.media.colour import usual_matrix
from talkers.media.decode import decode_frames, decode_pictures
from talkers.media.encode import VideoWriter
from talkers.media.planes import is_stored, rgb_matrix, rgb_of, split

RATE = Fraction(25)


@pytest.fixture(scope="module", params=[(48, 64), (720, 1280)])
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames of smooth colours, in the matrix of small and of large pictures."""
    height, width = request.param
    path = tmp_path_factory.mktemp("planes") / "film.mp4"
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    with VideoWriter(path, RATE, crf=10) as writer:
        for k in range(5):
            shade = np.stack([60 + 100 * x, 50 + 90 * y, 70 + 20 * k + 60 * x * y], -1)
            writer.write(shade.astype(np.uint8))
    return path


def test_a_film_passes_through_without_rounding(film: Path, tmp_path: Path) -> None:
    pictures, frames = list(decode_pictures(film, RATE)), list(decode_frames(film, RATE))
    assert all(is_stored(picture) for picture in pictures)
    for picture, frame in zip(pictures, frames, strict=True):
        assert (rgb_of(picture) == frame).all()
    with VideoWriter(tmp_path / "again.mp4", RATE, crf=0) as writer:
        for picture in pictures:
            writer.write(picture)
    for before, after in zip(pictures, decode_pictures(tmp_path / "again.mp4", RATE), strict=True):
        assert (before == after).all()


def test_the_matrix_says_what_planes_look_like(film: Path) -> None:
    picture = next(decode_pictures(film, RATE))
    (light, colours), frame = split(picture), rgb_of(picture)
    wide = colours.repeat(2, 1).repeat(2, 2)
    stored = np.concatenate([light[None], wide, np.ones_like(light)[None]]).astype(np.float32)
    shown = np.tensordot(rgb_matrix(usual_matrix(*light.shape[::-1])), stored, 1)
    apart = (shown.transpose(1, 2, 0) + 1) * 127.5 - frame
    assert np.abs(apart).mean() < 2  # FFmpeg's fast conversion is a level too dark


def test_what_is_not_seen_as_it_is_stored_comes_as_rgb(film: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "few.gif", RATE) as writer:
        for frame in decode_frames(film, RATE):
            writer.write(frame)
    picture = next(decode_pictures(tmp_path / "few.gif", RATE))
    assert picture.shape == next(decode_frames(film, RATE)).shape
    assert rgb_of(picture) is picture


def test_only_some_frames_are_read(film: Path) -> None:
    frames = list(decode_frames(film, RATE))
    some = list(decode_frames(film, RATE, only=[3, 1]))
    assert len(some) == 2
    assert (some[0] == frames[1]).all()
    assert (some[1] == frames[3]).all()
