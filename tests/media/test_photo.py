"""Pictures of every form are read as a viewer sees them; what is none is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkers.errors import MediaError
from talkers.media.photo import MAX_SIDE, read_photo

SIDE = 64


@pytest.fixture
def picture() -> np.ndarray:
    """Four quarters: red, green, blue and grey."""
    image = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    image[: SIDE // 2, :SIDE], image[: SIDE // 2, SIDE:] = (220, 40, 40), (40, 200, 40)
    image[SIDE // 2 :, :SIDE], image[SIDE // 2 :, SIDE:] = (40, 40, 220), (128, 128, 128)
    return image


def close(a: np.ndarray, b: np.ndarray, most: float = 6) -> bool:
    return a.shape == b.shape and np.abs(a.astype(float) - b).mean() < most


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_pictures_of_every_form_are_read(tmp_path: Path, picture: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path)
    assert close(read_photo(path), picture)


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path, picture: np.ndarray) -> None:
    image = Image.fromarray(
        np.ascontiguousarray(np.rot90(picture))
    )  # as a camera on its side stores it
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right
    image.save(tmp_path / "a.jpg", exif=exif)
    assert close(read_photo(tmp_path / "a.jpg"), picture)


def test_other_kinds_of_colour_become_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    grey = picture.mean(2).astype(np.uint8)
    deep = (grey.astype(np.uint16) << 8) + grey
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(grey).save(tmp_path / "grey.jpg")
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "cmyk.jpg")
    wanted = np.repeat(grey[..., None], 3, 2)
    assert close(read_photo(tmp_path / "deep.png"), wanted, 1)
    assert close(read_photo(tmp_path / "grey.jpg"), wanted)
    assert close(read_photo(tmp_path / "cmyk.jpg"), picture, 12)


def test_what_is_transparent_is_grey(tmp_path: Path, picture: np.ndarray) -> None:
    alpha = np.full((*picture.shape[:2], 1), 255, np.uint8)
    alpha[:, :SIDE] = 0
    Image.fromarray(np.concatenate([picture, alpha], 2)).save(tmp_path / "a.png")
    shown = read_photo(tmp_path / "a.png")
    assert (shown[:, :SIDE] == 128).all()
    assert np.array_equal(shown[:, SIDE:], picture[:, SIDE:])


def test_a_huge_picture_is_reduced(tmp_path: Path) -> None:
    Image.new("RGB", (12_000, 3_000), (90, 120, 150)).save(tmp_path / "a.jpg")
    shown = read_photo(tmp_path / "a.jpg")
    assert shown.shape == (MAX_SIDE // 4, MAX_SIDE, 3)
    assert np.abs(shown.reshape(-1, 3).mean(0) - [90, 120, 150]).max() < 3


def test_what_is_no_picture_is_told(tmp_path: Path, picture: np.ndarray) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(picture).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:300])
    (tmp_path / "folder.jpg").mkdir()
    for name in ("text.jpg", "cut.jpg", "folder.jpg", "missing.jpg"):
        with pytest.raises(MediaError):
            read_photo(tmp_path / name)


def test_far_too_many_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("1", (16_000, 16_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="16000 x 16000 pixels"):
        read_photo(tmp_path / "bomb.png")
