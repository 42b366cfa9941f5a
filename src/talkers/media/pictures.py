"""A decoder's frames -> RGB as a viewer sees them.

Whole pictures, square pixels, ordinary colours, nothing see-through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation
from numpy.typing import NDArray

from talkers.media.colour import ROWS, Matrix, Transfer, to_ordinary_brightness, usual_matrix
from talkers.media.planes import STORED
from talkers.media.probe import pixel_aspect, shown_width

Frame = NDArray[np.uint8]  # [H, W, 3] RGB

BACKGROUND = 128  # grey level behind what is see-through
FULL_RANGE = 2  # as FFmpeg numbers it


def deinterlaced(frames: Iterator[Any]) -> Iterator[Any]:
    """Make both fields of interlaced frames one moment (FFmpeg's bwdif).

    Frames before the first interlaced one pass as they are.
    """
    graph, form = None, None
    for frame in frames:
        now = frame.width, frame.height, frame.format.name
        if graph is not None and now != form:
            yield from _rest(graph)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            form, graph = now, av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base,
            )
            step = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
            source.link_to(step)
            step.link_to(graph.add("buffersink"))
            graph.configure()
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        yield from _rest(graph)


def _ready(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _rest(graph: Any) -> Iterator[Any]:
    graph.push(None)
    yield from _ready(graph)


class PictureReader:
    """Makes a stream's decoded frames RGB.

    Args:
        path: of the file, for notes.
        stream: its picture stream.
        note: called with a sentence, once for each kind of change that a viewer should know of.
    """

    def __init__(self, path: str | os.PathLike[str], stream: Any, note: Callable[[str], None]):
        self._path, self._note = path, note
        self._aspect, self._codec = pixel_aspect(stream), stream.codec_context
        self._noted: set[str] = set()
        self._plain: bool | None = None  # whether its pictures may stay as they are stored

    def _say(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._note(f"{self._path}: {text}")

    def size(self, frame: Any) -> tuple[int, int]:
        """Height and width of a frame as it is shown."""
        size = frame.height, shown_width(frame.width, self._aspect)
        return size[::-1] if int(frame.rotation) % 180 else size

    def stored(self, frame: Any) -> NDArray[np.uint8]:
        """A frame as it is stored, uint8 [H * 3 / 2, W] (see `talkers.media.planes`), if a viewer
        sees this stream's pictures just so; else as `rgb` gives it."""
        if self._plain is None:
            self._plain = self._is_plain(frame)
        if not self._plain:
            return self.rgb(frame)
        return np.asarray(frame.reformat(format=STORED).to_ndarray())

    def _is_plain(self, frame: Any) -> bool:
        """Whether a frame is ordinary 8-bit video whose numbers mean what its size says."""
        height, width = frame.height, frame.width
        ordinary = frame.format.name == STORED and int(frame.color_range) != FULL_RANGE
        whole = shown_width(width, self._aspect) == width and int(frame.rotation) % 360 == 0
        hdr = self._codec.color_trc in (Transfer.PQ, Transfer.HLG)
        known = {Matrix.BT709: (1,), Matrix.BT601: (5, 6)}[usual_matrix(width, height)]
        matrix = int(frame.colorspace) in (int(Matrix.UNSPECIFIED), *known)
        return ordinary and whole and matrix and not hdr and height % 2 == width % 2 == 0

    def rgb(self, frame: Any) -> Frame:
        """A frame as it is shown: uint8 [H, W, 3]."""
        options: dict[str, Any] = {}
        width = shown_width(frame.width, self._aspect)
        if width != frame.width:
            options |= {
                "width": width,
                "height": frame.height,
                "interpolation": Interpolation.BICUBIC,
            }
        if frame.colorspace == Matrix.UNSPECIFIED and not frame.format.is_rgb:
            hd = usual_matrix(frame.width, frame.height) is Matrix.BT709
            options |= {"src_colorspace": Colorspace.ITU709} if hd else {}
        transfer = self._codec.color_trc
        if transfer in (Transfer.PQ, Transfer.HLG):
            self._say(
                f"it is HDR ({Transfer(transfer).name}), and was brought to ordinary brightness"
            )
            wide = frame.reformat(format="rgb48le", **options).to_ndarray()
            image = to_ordinary_brightness(wide, Transfer(transfer))
        elif frame.format.has_palette or any(c.is_alpha for c in frame.format.components):
            image = self._on_background(frame.reformat(format="rgba", **options))
        else:
            image = frame.reformat(format="rgb24", **options).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, int(frame.rotation) % 360 // 90))

    def _on_background(self, frame: Any) -> Frame:
        """A frame in RGBA, its transparency not multiplied in -> [H, W, 3]."""
        plane, (h, w) = frame.planes[0], (frame.height, frame.width)
        image: NDArray[np.uint8] = np.ndarray(
            (h, w, 4), np.uint8, memoryview(plane), 0, (plane.line_size, 4, 1)
        )
        if image[..., 3].min() == 255:
            return image[..., :3].copy()
        self._say("parts of its picture are transparent, and are shown in plain grey")
        # Three bytes a pixel go where four were: large pictures are not held twice.
        out: NDArray[np.uint8] = np.ndarray((h, w, 3), np.uint8, memoryview(plane))
        for top in range(0, h, ROWS):
            rows = image[top : top + ROWS].copy()
            part, alpha = out[top : top + ROWS], rows[..., 3:]
            if alpha.max() == 0:
                part[:] = BACKGROUND
            elif alpha.min() == 255:
                part[:] = rows[..., :3]
            else:
                # out = a c + (1 - a) grey, with x / 255 = (x + 128 + (x + 128 >> 8)) >> 8, rounded
                a = alpha.astype(np.uint16)
                mixed = a * rows[..., :3] + (255 - a) * np.uint16(BACKGROUND) + np.uint16(128)
                part[:] = (mixed + (mixed >> 8)) >> 8
        return out
