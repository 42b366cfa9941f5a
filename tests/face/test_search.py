"""Small faces in large pictures are found in tiles, then followed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkers import Avatar
from talkers.errors import MissingComponent
from talkers.face import FaceTracker
from talkers.face.crop import box_of, face_height
from talkers.face.search import MAX_PAUSE, Pauses, tile_levels, window_around
from talkers.media import decode_frames


@pytest.fixture(scope="module")
def portrait(bundled: Avatar) -> np.ndarray:
    return next(decode_frames(bundled.engine.folder / "preview.png"))


@pytest.fixture
def tracker() -> FaceTracker:
    try:
        return FaceTracker(2)
    except MissingComponent as error:
        pytest.skip(str(error))


def hall(face: np.ndarray, width: int, height: int, *corners: tuple[int, int]) -> np.ndarray:
    """A large patterned picture with a portrait at each (x, y)."""
    patches = np.random.default_rng(0).integers(0, 255, (height // 40, width // 40, 3))
    frame = np.array(Image.fromarray(patches.astype(np.uint8)).resize((width, height)))
    for x, y in corners:
        frame[y : y + len(face), x : x + len(face)] = face
    return frame


@pytest.mark.parametrize(
    ("width", "height", "x", "y"),
    [(1920, 1080, 1700, 30), (1920, 1080, 900, 900), (3840, 2160, 77, 2000), (1080, 1920, 500, 9)],
)
def test_a_face_of_48_pixels_is_found_anywhere(
    portrait: np.ndarray, tracker: FaceTracker, width: int, height: int, x: int, y: int
) -> None:
    with tracker:
        whole = tracker.track(portrait)
        assert whole is not None
        side = round(len(portrait) * 49 / face_height(box_of(whole.landmarks)[None]))
        small = np.asarray(Image.fromarray(portrait).resize((side, side), Image.Resampling.LANCZOS))
        expected = np.array([x, y]) + whole.landmarks * side / len(portrait)
        # where the face was is of no use any more: it is searched for, then followed as it moves
        reading = tracker.track(hall(small, width, height, (x, y)))
        moved = tracker.track(hall(small, width, height, (x + 12, y + 8)))
    assert reading is not None
    assert moved is not None
    assert np.abs(reading.landmarks - expected).mean() < 2
    assert np.abs(moved.landmarks - expected - [12, 8]).mean() < 2
    assert reading.faces == 1


def test_two_small_faces_are_counted(portrait: np.ndarray, tracker: FaceTracker) -> None:
    small = np.asarray(Image.fromarray(portrait).resize((120, 120), Image.Resampling.LANCZOS))
    with tracker:
        reading = tracker.track(hall(small, 1920, 1080, (200, 300), (1500, 400)))
    assert reading is not None
    assert reading.faces == 2


def test_empty_pictures_are_searched_ever_more_rarely(
    tracker: FaceTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    monkeypatch.setattr(tracker, "_search", lambda frame: searches.append(1) or [])
    with tracker:
        for _ in range(60):
            assert tracker.track(np.zeros((64, 64, 3), np.uint8)) is None
    assert len(searches) == 3  # frames 0, 13 and 38
    pauses = Pauses()
    assert sum(pauses.due() for _ in range(20 * MAX_PAUSE)) < 30
    pauses.seen()
    assert pauses.due()


@pytest.mark.parametrize(
    "shape", [(1920, 1080), (3840, 2160), (1080, 1920), (640, 480), (720, 576)]
)
def test_tiles_leave_no_place_out(shape: tuple[int, int]) -> None:
    """Whatever lies in a square of a third of a tile lies whole within one tile."""
    for tiles in tile_levels(*shape):
        side = max(t.right - t.left for t in tiles)
        for axis, length in enumerate(shape):
            spans = sorted({((t.left, t.right), (t.top, t.bottom))[axis] for t in tiles})
            assert spans[0][0] == 0
            assert spans[-1][1] == length
            for (_, end), (start, _) in pairwise(spans):
                assert end - start >= side / 3


def test_small_pictures_are_not_cut_up() -> None:
    assert list(tile_levels(360, 288)) == []
    face = np.array([[300.0, 10.0], [350.0, 60.0]], np.float32)
    window = window_around(face, np.zeros((288, 360, 3), np.uint8))
    assert (window.left, window.top, window.right, window.bottom) == (160, 0, 360, 200)


def test_a_film_with_a_small_face_is_read(tmp_path: Path, portrait: np.ndarray) -> None:
    from fractions import Fraction

    from talkers.face.analysis import analyse
    from talkers.media import VideoWriter

    small = np.asarray(Image.fromarray(portrait).resize((180, 180), Image.Resampling.LANCZOS))
    with VideoWriter(tmp_path / "a.mp4", Fraction(25), crf=12) as writer:
        for k in range(6):
            writer.write(hall(small, 1280, 720, (900 + 4 * k, 300)))
    try:
        a = analyse(tmp_path / "a.mp4")
    except MissingComponent as error:
        pytest.skip(str(error))
    assert a.found.all()
    assert (a.boxes[:, 0] > 880).all()
