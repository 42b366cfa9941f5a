"""A foreign picture file -> the picture as a viewer sees it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from talkers.errors import MediaError
from talkers.media.decode import decode_frames
from talkers.media.guard import Piece, ask
from talkers.media.pictures import BACKGROUND

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
MAX_SIDE = 4096  # pixels: larger pictures are reduced
MAX_PIXELS = 250_000_000
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I", "F")  # of more than 8 bits


def read_photo(path: str | os.PathLike[str]) -> Picture:
    """Read a picture: turned as its EXIF says, in RGB, on grey where it is transparent.

    Of several pictures in one file (GIF, a video) the first is taken.

    Args:
        path: a file of any usual form of picture.

    Returns:
        uint8 [H, W, 3], at most MAX_SIDE pixels wide and high.

    Raises:
        MediaError: it is no picture, damaged, or far too large.
    """
    ((_, picture),) = ask("photo", path)
    if picture is not None:
        return picture
    # a form that Pillow does not know: HEIC, AVIF, a video
    for frame in decode_frames(path):
        return _reduced(Image.fromarray(frame))
    raise MediaError("there is no picture in this file", where=path, todo="Name a photo")


def photo_here(path: str) -> Iterator[Piece]:
    """`read_photo` in this process, as far as Pillow knows the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = None
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise MediaError(
                        f"this picture has {image.width} x {image.height} pixels",
                        where=path,
                        todo=f"Reduce it to at most {MAX_SIDE} pixels a side",
                    )
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))
                yield {}, _reduced(_plain(ImageOps.exif_transpose(image) or image))
    except UnidentifiedImageError:
        yield {"other": True}, None
    except FileNotFoundError as error:
        raise MediaError("there is no such file", where=path, todo="Check the path") from error
    except IsADirectoryError as error:
        raise MediaError("this is a folder", where=path, todo="Name a picture in it") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        why = str(error).rstrip(".")
        todo = "Save it again as JPEG or PNG with another program"
        raise MediaError("this picture cannot be read", where=path, why=why, todo=todo) from error


def _plain(image: Image.Image) -> Image.Image:
    """A picture of 8 bits a channel in RGB, on grey where it is transparent."""
    if image.mode in DEEP_MODES:
        levels = np.asarray(image, np.float32)
        top = 65535.0 if levels.max() > 255 else 255.0
        image = Image.fromarray((levels.clip(0, top) * (255 / top)).round().astype(np.uint8))
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        ground = Image.new("RGBA", whole.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        image = Image.alpha_composite(ground, whole)
    return image.convert("RGB")


def _reduced(image: Image.Image) -> Picture:
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(image))
