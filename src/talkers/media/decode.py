"""Foreign video -> RGB frames at a constant rate, whatever the file's own timing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MediaError
from talkers.media.guard import ask
from talkers.media.pictures import Frame, PictureReader, deinterlaced
from talkers.media.probe import MAX_GAP, decoded_of, open_media, require_picture, stream_start
from talkers.media.timeline import MAX_OVERLAP

LONG_STILL = 10.0  # seconds without a new picture that are worth a note


class _Picture:
    """A decoded picture, which is brought to the wanted form when it is asked for.

    Args:
        frame: FFmpeg's.
        reader: of the stream.
        stored: whether it is wanted as it is stored, where that is possible.

    Attributes:
        size: height and width as it is shown.
    """

    def __init__(self, frame: Any, reader: PictureReader, stored: bool):
        self._frame, self._read = frame, reader.stored if stored else reader.rgb
        self.size = reader.size(frame)
        self._array: NDArray[np.uint8] | None = None

    @property
    def array(self) -> NDArray[np.uint8]:
        """Its numbers."""
        if self._array is None:
            self._array, self._frame = self._read(self._frame), None
        return self._array


def _timed_pictures(
    path: str | os.PathLike[str], warn: Callable[[str], None], stored: bool
) -> Iterator[tuple[float, _Picture, float]]:
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
            yield time, _Picture(frame, reader, stored), step
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
    only: Collection[int] | None = None,
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
        only: numbers of the frames that are wanted, where a rate is given (default: all); what lies
            between takes less time.

    Yields:
        uint8 [H, W, 3] RGB.

    Raises:
        MediaError: no such file, no picture stream, nothing decodes.
    """
    yield from _from_child(path, warn, {"rate": None if rate is None else str(rate), "only": only})


def decode_pictures(
    path: str | os.PathLike[str],
    rate: Fraction,
    warn: Callable[[str], None] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video as they are stored, so that they can be written again without rounding.

    See `decode_frames`.

    Yields:
        uint8 [H * 3 / 2, W], see `talkers.media.planes`; of a video that a viewer does not see as
        it is stored, uint8 [H, W, 3] RGB.
    """
    yield from _from_child(path, warn, {"rate": str(rate), "stored": True})


def _from_child(
    path: str | os.PathLike[str], warn: Callable[[str], None] | None, wanted: dict[str, Any]
) -> Iterator[NDArray[np.uint8]]:
    """Frames that another process reads."""
    if wanted.get("only") is not None:
        wanted["only"] = sorted(map(int, wanted["only"]))
    for head, frame in ask("frames", path, **wanted):
        if frame is not None:
            yield frame
        elif warn:
            warn(head["note"])


def frames_here(
    path: str | os.PathLike[str],
    rate: Fraction | None,
    warn: Callable[[str], None],
    stored: bool = False,
    only: Collection[int] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """`decode_frames` or, of `stored` ones, `decode_pictures` in this process."""
    if rate is None:
        for _, frame, _ in _timed_pictures(path, warn, stored):
            yield frame.array
        return
    wanted, last = (None, -1) if only is None else (frozenset(only), max(only, default=-1))
    for k, picture in enumerate(_paced(path, rate, warn, stored)):
        if wanted is None or k in wanted:
            yield picture.array
        if wanted is not None and k >= last:
            return


def _paced(
    path: str | os.PathLike[str], rate: Fraction, warn: Callable[[str], None], stored: bool
) -> Iterator[_Picture]:
    """Pictures of a video at a constant rate."""
    period = float(1 / rate)
    shown: _Picture | None = None
    end, k = 0.0, 0
    for time, frame, step in _timed_pictures(path, warn, stored):
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
        if shown is not None and frame.size != shown.size:
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
