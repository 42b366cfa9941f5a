"""A film is shown for as long as a speech lasts: which of its frames, and these one by one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkers.media.decode import decode_frames, decode_pictures
from talkers.media.encode import VideoWriter
from talkers.media.planes import is_stored

WhenLonger = Literal["loop", "bounce", "freeze", "stretch", "cut", "error"]
WhenShorter = Literal["keep", "silence", "cut"]
SLACK_SECONDS = 0.2  # by which a speech may be longer than its film as if it were not
HELD_BYTES = 100_000_000  # of the frames that are turned round at a time
Frame = NDArray[np.uint8]  # RGB [H, W, 3], or planes [H * 3 / 2, W] of `talkers.media.planes`


def shown_frames(
    film: int, said: int, rate: Fraction, longer: WhenLonger, shorter: WhenShorter
) -> NDArray[np.int64]:
    """The film's frame that each frame of the result shows.

    Args:
        film: frames of the film.
        said: frames of the speech.
        rate: frames a second.
        longer: what is shown where the speech is longer.
        shorter: what happens after a speech that is shorter.
    """
    if said <= film:
        return np.arange(said if shorter == "cut" else film)
    if longer == "cut":
        return np.arange(film)
    if longer == "stretch":
        return np.arange(said) * film // said
    if longer in ("loop", "bounce") and said - film > SLACK_SECONDS * rate:
        if longer == "loop" or film == 1:
            return np.arange(said) % film
        # there and back: 0 1 2 3 2 1 0 1 ...
        at = np.arange(said) % (2 * film - 2)
        return np.minimum(at, 2 * film - 2 - at)
    return np.minimum(np.arange(said), film - 1)


def frames_in_order(
    path: str | os.PathLike[str], rate: Fraction, order: NDArray[np.int64]
) -> Iterator[tuple[int, Frame]]:
    """Frames of a film in any order that goes on or back by one frame, stands, or begins anew.

    Args:
        path: the film.
        rate: its frames a second.
        order: numbers of frames.

    Yields:
        a number, and its frame as it is stored, see `decode_pictures`.
    """
    frames, at, frame = decode_pictures(path, rate), -1, None
    steps = np.diff(order, append=order[-1:])
    k = 0
    while k < len(order):
        number = int(order[k])
        if k and number == order[k - 1] - 1:
            back = k + int(np.argmax(np.append(steps[k:], 1) != -1))
            yield from _backwards(path, rate, int(order[back]), number)
            frames, at, k = decode_pictures(path, rate), -1, back + 1
            continue
        if number < at:
            frames, at = decode_pictures(path, rate), -1
        while at < number:
            frame, at = next(frames, frame), at + 1
        assert frame is not None
        yield number, frame
        k += 1


def _backwards(
    path: str | os.PathLike[str], rate: Fraction, first: int, last: int
) -> Iterator[tuple[int, Frame]]:
    """Frames of a film from the last one back to the first, with little memory.

    A film is decoded from its beginning only. So its part is written in pieces without loss, and
    the pieces are read one by one, the last one first.
    """
    with tempfile.TemporaryDirectory() as name:
        part = islice(decode_pictures(path, rate), first, last + 1)
        pieces: list[tuple[Path, int]] = []  # and how many frames each has
        held: list[Frame] = []

        def write() -> None:
            piece = Path(name) / f"{len(pieces)}.mkv"
            with VideoWriter(piece, rate, crf=0) as writer:
                for frame in held:
                    writer.write(even(frame))
            pieces.append((piece, len(held)))
            held.clear()

        for frame in part:
            held.append(frame)
            if len(held) * frame.nbytes >= HELD_BYTES:
                write()
        height, width = (held[-1] if held else frame).shape[:2]
        stored = is_stored(held[-1] if held else frame)
        number = last
        for frame in reversed(held):
            yield number, frame
            number -= 1
        for piece, count in reversed(pieces):
            again = decode_pictures(piece, rate) if stored else decode_frames(piece, rate)
            for frame in reversed(list(islice(again, count))):
                yield number, frame if stored else np.ascontiguousarray(frame[:height, :width])
                number -= 1


def even(frame: Frame) -> Frame:
    """A frame of even height and width, as encoders want it: its last row and column repeated."""
    if is_stored(frame):
        return frame
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return frame
