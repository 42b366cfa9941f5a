"""Squares on larger pictures: the shape asked for, the square unchanged, its mark still found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import speaker
from talkers.errors import MediaError, UsageError
from talkers.media import write_png
from talkers.media.canvas import Layout, on_canvas
from talkers.media.watermark import STRENGTH, find, pattern


def square(side: int = 64) -> np.ndarray:
    return speaker.draw(side, 0.5, 0.0, 0.0)


@pytest.mark.parametrize(
    ("shape", "size"),
    [("1:1", (64, 64)), ("9:16", (64, 114)), ("16:9", (114, 64)), ("4:5", (64, 80))],
)
def test_the_canvas_has_its_shape_and_the_square_lies_in_its_middle(
    shape: str, size: tuple[int, int]
) -> None:
    (shown,) = on_canvas([square()], Layout(shape, "#102030"))
    assert (shown.shape[1], shown.shape[0]) == size
    top, left = (shown.shape[0] - 64) // 2, (shown.shape[1] - 64) // 2
    assert np.array_equal(shown[top : top + 64, left : left + 64], square())
    assert size == (64, 64) or shown[0, 0].tolist() == [16, 32, 48]


def test_the_square_is_put_where_it_is_asked_for() -> None:
    (shown,) = on_canvas([square()], Layout("16:9", "white", across=1.0))
    assert shown.shape == (64, 114, 3)
    assert np.array_equal(shown[:, -64:], square())
    assert (shown[:, :-64] == 255).all()
    (shown,) = on_canvas([square()], Layout("9:16", "white", down=1.0))
    assert np.array_equal(shown[-64:], square())


def test_a_picture_covers_the_canvas(tmp_path: Path) -> None:
    picture = np.zeros((100, 400, 3), np.uint8)
    picture[:, :200, 0] = 200
    picture[:, 200:, 2] = 200
    write_png(tmp_path / "back.png", picture)
    (shown,) = on_canvas([square()], Layout("16:9", tmp_path / "back.png"))
    assert shown.shape == (64, 114, 3)
    assert abs(int(shown[5, 5, 0]) - 200) < 12
    assert abs(int(shown[5, -5, 2]) - 200) < 12


def test_without_a_background_the_border_goes_on() -> None:
    (shown,) = on_canvas([square()], Layout("9:16"))
    assert shown[0, 0].tolist() == [40, 110, 180]


def test_frames_are_placed_as_they_come() -> None:
    drawn = (square() for _ in range(3))
    placed = on_canvas(drawn, Layout("9:16", "black"))
    next(placed)
    assert len(list(drawn)) == 2
    assert list(on_canvas([], Layout("9:16"))) == []


@pytest.mark.parametrize("shape", ["9:16", "16:9"])
def test_the_mark_is_found_on_a_canvas(shape: str) -> None:
    mark = STRENGTH * pattern(256).numpy()
    frames = [
        np.clip(square(256) + mark[..., None], 0, 255).round().astype(np.uint8) for _ in range(24)
    ]
    assert find(on_canvas(frames, Layout(shape, "#808080"))).there


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": "9x16"},
        {"shape": "1:0"},
        {"shape": "1:99"},
        {"shape": ""},
        {"background": "no such colour"},
        {"across": 2},
        {"across": float("nan")},
        {"down": -1},
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        list(on_canvas([square()], Layout(**wrong)))  # type: ignore[arg-type]
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(MediaError):
        list(on_canvas([square()], Layout("9:16", tmp_path / "a.png")))
