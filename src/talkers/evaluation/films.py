"""A film and its dub: a mouth that is held still, what should not have changed, whose lips move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.motion import RIGID
from talkers.evaluation.tracked import TrackedClip
from talkers.experts.rate import RATE
from talkers.face import FaceTracker, mouth_opening
from talkers.face.crop import Crop, box_of, choose_crop, face_height, paste_back
from talkers.face.landmarks import EYE_CORNERS, LIPS
from talkers.face.regions import psnr
from talkers.media import decode_frames, probe

Frames = NDArray[np.uint8]  # [T, H, W, 3]
FACE_UNIT = 56.0  # inter-ocular distance, in pixels, of a face that was cut to 256
CHIN = 152
MOUTH_MARGIN = 0.35  # around lips and chin, in shares of their box's longer side
FEATHER = 0.2  # of the edges of a mouth that is held still
MIN_FACE = 48.0  # pixels of the smallest face that is cut out for the report
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # brightness of red, green and blue (BT.601)


def with_still_mouth(clip: TrackedClip) -> Frames:
    """A clip whose mouth is held as it is where the lips are nearest to each other, while the head
    goes on moving.

    Args:
        clip: T frames with a face.

    Returns:
        uint8 [T, H, W, 3].
    """
    landmarks = clip.landmarks
    head = landmarks[:, list(RIGID)].mean(1)  # [T, 2]
    right, left = (landmarks[:, corner] for corner in EYE_CORNERS)
    unit = np.linalg.norm(left - right, axis=-1)  # [T]
    # lips and chin of all frames, from the head and in inter-ocular distances
    mouth = (landmarks[:, [*LIPS, CHIN]] - head[:, None]) / unit[:, None, None]
    low, high = mouth.min((0, 1)), mouth.max((0, 1))
    side = float((high - low).max()) * (1 + 2 * MOUTH_MARGIN)
    corner = head + unit[:, None] * ((low + high) / 2 - side / 2)
    rest = int(np.argmin(np.where(clip.found, clip.opening, np.inf)))
    size = max(2, round(side * float(unit[rest])))
    crops = [
        Crop(round(float(x)), round(float(y)), max(2, round(side * float(u))), size)
        for (x, y), u in zip(corner, unit, strict=True)
    ]
    held = crops[rest].cut(clip.frames[rest])
    return np.stack(
        [paste_back(f, held, crop, FEATHER) for f, crop in zip(clip.frames, crops, strict=True)]
    )


def opening_of(clip: TrackedClip) -> NDArray[np.float32]:
    """The mouth's opening of a clip: [T], NaN where there is no face."""
    return np.where(clip.found, clip.opening, np.float32(np.nan))


def opening_of_film(path: str) -> NDArray[np.float32]:
    """The mouth's opening in a film at RATE: [T], NaN where there is no face.

    Raises:
        MediaError: it cannot be read.
    """
    with FaceTracker(1) as tracker:
        readings = (tracker.track(frame) for frame in decode_frames(path, Fraction(RATE)))
        marks = [None if reading is None else reading.landmarks for reading in readings]
    nobody = float("nan")
    rows = [nobody if m is None else float(mouth_opening(m)) for m in marks]
    return np.array(rows, np.float32)


def psnr_outside(painted: Iterable[NDArray[np.uint8]], written: str, film: str) -> float:
    """How well the rest of a film survives its dub.

    Args:
        painted: frames of the dub before they were encoded, at the film's own rate.
        written: the dub.
        film: the film.

    Returns:
        PSNR in dB of the brightness of the pixels that `painted` has left as they were; NaN where
        there are none.

    Raises:
        MediaError: a file cannot be read.
    """
    video = probe(film).video
    rate = video.frame_rate if video is not None else Fraction(RATE)
    error, count = 0.0, 0
    frames = decode_frames(film, rate), decode_frames(written, rate)
    for own, shown, seen in zip(painted, *frames, strict=False):
        kept = (own == shown).all(-1)
        height, width = kept.shape
        apart = (seen[:height, :width].astype(np.float32) - shown) @ GREY
        error, count = error + float(np.square(apart[kept]).sum()), count + int(kept.sum())
    return psnr(error / count) if count else float("nan")


def faces_alone(clips: dict[str, TrackedClip], size: int = 256) -> dict[str, TrackedClip]:
    """Clips of one film, cut to the face for the report.

    Args:
        clips: by their names, the film's own first; of perhaps different lengths.
        size: side of the square in pixels.

    Returns:
        the clips, all as long as the shortest, with frames uint8 [T, size, size, 3].
    """
    first = next(iter(clips.values()))
    height, width = first.frames.shape[1:3]
    boxes = box_of(first.landmarks)
    crop = choose_crop(boxes, width, height, size, max(MIN_FACE, face_height(boxes)))
    count = min(len(clip.frames) for clip in clips.values())
    return {
        name: replace(
            clip,
            frames=np.stack([crop.cut(frame) for frame in clip.frames[:count]]),
            landmarks=crop.to_crop(clip.landmarks[:count]),
            blendshapes=clip.blendshapes[:count],
            angles=clip.angles[:count],
            found=clip.found[:count],
        )
        for name, clip in clips.items()
    }
