"""Foreign video -> RGB frames at a constant rate, whatever the file's own timing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction

from talkers.errors import MediaError
from talkers.media.guard import ask
from talkers.media.pictures import Frame, PictureReader, deinterlaced
from talkers.media.probe import MAX_GAP, decoded_of, open_media, require_picture, stream_start
from talkers.media.timeline import MAX_OVERLAP

LONG_STILL = 10.0  # seconds without a new picture that are worth a note


def _timed_frames(
    path: str | os.PathLike[str], warn: Callable[[str], None]
) -> Iterator[tuple[float, Frame, float]]:
    """Each picture that decodes: its time, itself, its nominal duration (seconds)."""
    with open_media(path) as container:
        stream = require_picture(container, path)
        # With a picture each, threads wait for each other for ever in some damaged files.
        stream.thread_type = "SLICE"
        zero = stream_start(container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        step = min(float(1 / rate) if rate else 0.04, MAX_GAP)
        reader = PictureReader(path, stream, warn)
        time, decoded, broken = -step, 0, list[None]()
        for frame in deinterlaced(decoded_of(container, stream, lambda: broken.append(None))):
            stamp = None if frame.time is None else float(frame.time) - zero
            if stamp is not None and stamp < time - MAX_OVERLAP:  # the clock was set back
                zero += stamp - (time + step)
                stamp = time + step
            time = time + step if stamp is None else max(stamp, time)
            decoded += 1
            yield time, reader.rgb(frame), step
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

    Frame k is the picture that the file shows at k / rate seconds (to half a source frame), counted
    from the earliest sample of picture or sound, so that variable frame rates and late streams keep
    in step with `read_audio`. What is stored in another form is brought to what a viewer sees:
    rotated, with square pixels, without interlacing, in ordinary brightness (HDR), and on grey
    where it is transparent.

    Args:
        path: any file with a picture stream.
        rate: frames a second of the result; None keeps every frame as it is stored.
        warn: called with a sentence where damaged parts were skipped, the picture stands still for
            long, or its brightness or transparency was changed.

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
        if shown is not None and LONG_STILL < time - end <= MAX_GAP:
            at = f"{int(end // 60)}:{end % 60:05.2f}"
            warn(f"{path}: the picture stands still for {time - end:.0f} s at {at}")
        if time - end > MAX_GAP:
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
