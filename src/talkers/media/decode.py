"""Foreign video -> RGB frames at a constant rate, whatever the file's own timing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.guard import ask
from talkers.media.probe import LONGEST_GAP, decoded_of, open_media, stream_start

Frame = NDArray[np.uint8]  # [H, W, 3] RGB


def _timed_frames(
    path: str | os.PathLike[str], warn: Callable[[str], None]
) -> Iterator[tuple[float, Frame, float]]:
    """(time in seconds, frame, nominal duration in seconds) of every picture that decodes, in order."""
    with open_media(path) as container:
        if not container.streams.video:
            raise MediaError(
                "there is no picture in this file", where=path, todo="Give a video file"
            )
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # threads with a picture each wait for each other for ever in some damaged files
        start = stream_start(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step = min(float(1 / rate) if rate else 0.04, LONGEST_GAP)
        time, decoded, broken = -step, 0, list[None]()
        for frame in decoded_of(container, stream, lambda: broken.append(None)):
            stamp = frame.time
            time = time + step if stamp is None else max(float(stamp) - start, time)
            image = frame.to_ndarray(format="rgb24")
            turns = int(frame.rotation) % 360 // 90
            decoded += 1
            yield time, np.ascontiguousarray(np.rot90(image, turns)), step  # FFmpeg pads its rows
        if not decoded:
            raise MediaError(
                "no frame of this video can be decoded",
                where=path,
                why="its data is damaged or cut short",
                todo="Convert or copy it again",
            )
        if broken:
            warn(f"{path}: {len(broken)} damaged packets were skipped")


def decode_frames(
    path: str | os.PathLike[str],
    rate: Fraction | None = None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Frame]:
    """Frames of a video at a constant rate, one by one (constant memory).

    Frame k is the picture that the file shows at k / rate seconds (to half a source frame), counted from the
    earliest sample of picture or sound, so that variable frame rates and late streams keep in step with
    `read_audio`. Rotation is applied.

    Args:
        path: any file with a picture stream.
        rate: frames a second of the result; None keeps every frame as it is stored.
        warn: called with a sentence when damaged parts were skipped.

    Yields:
        uint8 [H, W, 3] RGB.

    Raises:
        MediaError: no such file, no picture stream, nothing decodes.
    """
    for head, frame in ask("frames", path, rate=None if rate is None else str(rate)):
        if frame is not None:
            yield frame
        elif warn:
            warn(head["note"])


def frames_here(
    path: str | os.PathLike[str], rate: Fraction | None, warn: Callable[[str], None]
) -> Iterator[Frame]:
    """`decode_frames` in this process."""
    if rate is None:
        for _, frame, _ in _timed_frames(path, warn):
            yield frame
        return
    period = float(1 / rate)
    shown: Frame | None = None
    end, k = 0.0, 0
    for time, frame, step in _timed_frames(path, warn):
        if time - end > LONGEST_GAP:
            raise MediaError(
                f"the time jumps by {time - end:.0f} s",
                where=f"{path} at {end:.2f} s",
                todo="Cut the file there and give the parts",
            )
        while shown is not None and k * period < time - step / 2:
            yield shown
            k += 1
        if shown is not None and frame.shape != shown.shape:
            raise MediaError(
                "the picture changes its size",
                where=f"{path} at {time:.2f} s",
                todo="Cut the file there and give the parts",
            )
        shown, end = frame, time + step
    while shown is not None and k * period < end - period / 2 - 1e-6:
        yield shown
        k += 1
    if k == 0 and shown is not None:  # a clip shorter than half a frame is still a frame
        yield shown
