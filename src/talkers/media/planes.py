"""Pictures as films store them: brightness for each pixel, two colours for each four (YUV 4:2:0).

To RGB and back, pixels change by rounding: a film of which only a part changes is better left as it
is stored. Its three planes lie one under another in one array uint8 [H * 3 / 2, W]; see
`usual_matrix` for what the numbers mean.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from talkers.media.colour import Matrix, usual_matrix

STORED = "yuv420p"  # FFmpeg's name of the form
RED_BLUE = {Matrix.BT709: (0.2126, 0.0722), Matrix.BT601: (0.299, 0.114)}  # shares of brightness
WHITE_TO_BLACK, COLOUR_RANGE, BLACK, GREY = 219.0, 224.0, 16.0, 128.0  # of 8-bit video


def is_stored(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture is planes, and not RGB."""
    return picture.ndim == 2


def size_of(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of a picture, planes or RGB."""
    height, width = picture.shape[:2]
    return (height * 2 // 3, width) if is_stored(picture) else (height, width)


def split(planes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Views of planes: brightness [H, W], and both colours [2, H / 2, W / 2]."""
    height, width = size_of(planes)
    return planes[:height], planes[height:].reshape(2, height // 2, width // 2)


def as_video_frame(planes: NDArray[np.uint8]) -> Any:
    """Planes as FFmpeg's frame."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format=STORED)


def rgb_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture as uint8 [H, W, 3] RGB, as `decode_frames` gives it."""
    if not is_stored(picture):
        return picture
    height, width = size_of(picture)
    hd = usual_matrix(width, height) is Matrix.BT709
    options = {"src_colorspace": Colorspace.ITU709} if hd else {}
    return np.asarray(as_video_frame(picture).reformat(format="rgb24", **options).to_ndarray())


def rgb_matrix(matrix: Matrix) -> NDArray[np.float32]:
    """What makes RGB of -1..1 of code values: [3, 4] for (Y, U, V, 1)."""
    red, blue = RED_BLUE[matrix]
    green = 1 - red - blue
    # R = Y + 2 (1 - kr) V, B = Y + 2 (1 - kb) U, Y = kr R + kg G + kb B
    plain = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    scaled = 2 * plain / [WHITE_TO_BLACK, COLOUR_RANGE, COLOUR_RANGE]
    return np.concatenate([scaled, -1 - scaled @ [[BLACK], [GREY], [GREY]]], 1).astype(np.float32)
