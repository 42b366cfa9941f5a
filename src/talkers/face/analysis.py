"""One pass over a footage file: every frame's face, the sound, and the signs of trouble."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from talkers.artefacts.files import atomic, file_digest
from talkers.errors import FaceError, MediaError
from talkers.face.crop import box_of
from talkers.face.landmarks import BLENDSHAPES, FaceTracker, mouth_opening
from talkers.media import AUDIO_RATE, MediaInfo, audio_blocks, decode_frames, probe, require_footage
from talkers.speech.activity import loudness_of, of_length

CUT_DIFFERENCE = (
    30.0  # mean absolute change of a 32x32 grey thumbnail (0..255) that no moving head makes
)


@dataclass
class Analysis:
    """What one file shows, at the corpus rate. Arrays have one row a frame; rows without a face hold NaN.

    All landmarks of a long file would not fit in memory: they are in a file of their own, see `analyse` and `landmarks_in`."""

    source: str
    sha256: str
    width: int
    height: int
    rate: float  # frames a second of the analysis
    source_rate: float
    audio_seconds: float  # 0: no sound
    clipped: float  # share of samples at full scale
    boxes: NDArray[np.float32]  # [T, 4] left, top, right, bottom of the face, source pixels
    opening: NDArray[np.float32]  # [T] gap between the lips in inter-ocular distances
    blendshapes: NDArray[np.float32]  # [T, 52]
    angles: NDArray[np.float32]  # [T, 3] degrees
    faces: NDArray[np.int8]  # [T] how many faces were seen
    levels: NDArray[np.float32]  # [T] dB
    cuts: NDArray[np.int32]  # frames at which the picture jumps
    notes: list[str] = field(default_factory=list)

    @property
    def found(self) -> NDArray[np.bool_]:
        """bool [T]: frames with the tracked face."""
        return self.faces > 0

    def save(self, path: Path) -> None:
        """Write as safetensors; what is no array goes into its header."""
        arrays = {
            k: np.ascontiguousarray(v)
            for k, v in self.__dict__.items()
            if isinstance(v, np.ndarray)
        }
        plain = {k: v for k, v in self.__dict__.items() if k not in arrays}
        with atomic(path) as temporary:
            save_file(arrays, temporary, {"plain": json.dumps(plain)})

    @staticmethod
    def load(path: Path) -> Analysis:
        with safe_open(path, framework="numpy") as file:
            return Analysis(
                **json.loads(file.metadata()["plain"]),
                **{k: file.get_tensor(k) for k in file.keys()},  # noqa: SIM118 - not a dict
            )


POINTS = 478, 2  # of a face


def landmarks_in(path: Path, part: slice) -> NDArray[np.float32]:
    """Some frames of the landmarks that `analyse` wrote: [n, 478, 2] source pixels."""
    row = int(np.prod(POINTS))
    return np.fromfile(
        path, np.float32, row * (part.stop - part.start), offset=4 * row * part.start
    ).reshape(-1, *POINTS)


def analyse(
    path: str | os.PathLike[str],
    rate: Fraction = Fraction(25),
    max_faces: int = 2,
    marks: str | os.PathLike[str] | None = None,
) -> Analysis:
    """Read a footage file once and measure every frame.

    Args:
        path: a video file.
        rate: frames a second at which it is read.
        max_faces: faces looked for in a frame (2 suffice to notice that there is not one).
        marks: file for every frame's landmarks, float32 [478, 2] source pixels (NaN: no face) one after the other.

    Raises:
        MediaError: the file cannot be used at all (no such file, no picture, nothing decodes).
    """
    info: MediaInfo = probe(path)
    video = require_footage(info)
    notes: list[str] = []
    boxes, opening, shapes, angles, counts, cuts = [], [], [], [], [], []
    last: NDArray[np.float32] | None = None
    width = height = 0
    nowhere = np.full(POINTS, np.nan, np.float32)
    with ExitStack() as stack:
        tracker = stack.enter_context(FaceTracker(max_faces))
        kept = (
            stack.enter_context(stack.enter_context(atomic(marks)).open("wb"))
            if marks is not None
            else None
        )
        for index, frame in enumerate(decode_frames(path, rate, notes.append)):
            height, width = frame.shape[:2]
            thumbnail = frame[:: max(1, height // 32), :: max(1, width // 32)].mean(
                2, dtype=np.float32
            )
            if last is not None and np.abs(thumbnail - last).mean() > CUT_DIFFERENCE:
                cuts.append(index)
            last = thumbnail
            reading = tracker.track(frame)
            points = reading.landmarks if reading else nowhere
            if kept is not None:
                kept.write(np.ascontiguousarray(points, np.float32).tobytes())
            boxes.append(box_of(points))
            opening.append(mouth_opening(points))
            shapes.append(
                reading.blendshapes if reading else np.full(len(BLENDSHAPES), np.nan, np.float32)
            )
            angles.append(reading.angles if reading else np.full(3, np.nan, np.float32))
            counts.append(reading.faces if reading else 0)
    clipped, levels, samples = 0, np.zeros(0, np.float32), 0

    def heard() -> Iterator[NDArray[np.float32]]:
        nonlocal clipped
        for block in audio_blocks(path, note=lambda text: notes.append(f"{path}: {text}")):
            clipped += int((np.abs(block) >= 0.999).sum())
            yield block

    if info.audio is not None:
        try:
            levels, samples = loudness_of(heard(), AUDIO_RATE, float(rate))
        except MediaError as error:
            notes.append(str(error))
    return Analysis(
        source=str(path),
        sha256=file_digest(path),
        width=width,
        height=height,
        rate=float(rate),
        source_rate=float(video.frame_rate),
        audio_seconds=samples / AUDIO_RATE,
        clipped=clipped / samples if samples else 0.0,
        boxes=np.stack(boxes),
        opening=np.array(opening, np.float32),
        blendshapes=np.stack(shapes),
        angles=np.stack(angles),
        faces=np.array(counts, np.int8),
        levels=of_length(levels, len(counts)),
        cuts=np.array(cuts, np.int32),
        notes=notes,
    )


def poses_in(video: str | os.PathLike[str], rate: int = 25) -> dict[str, NDArray[np.float64]]:
    """Measure the head of a video: time in seconds and yaw, pitch, roll in degrees of the frames with a face, [n] each.

    Raises:
        MediaError: it cannot be read. FaceError: a face is seen in fewer than half of its frames.
    """
    with FaceTracker(1) as tracker:
        angles = [
            reading.angles if (reading := tracker.track(frame)) is not None else None
            for frame in decode_frames(video, Fraction(rate))
        ]
    rows = [(k / rate, *row) for k, row in enumerate(angles) if row is not None]
    if 2 * len(rows) < len(angles) or not rows:
        raise FaceError(
            f"a face is seen in only {len(rows)} of {len(angles)} frames",
            where=video,
            todo="Use a video that shows a face from the front",
        )
    return dict(zip(("time", "yaw", "pitch", "roll"), np.array(rows, np.float64).T, strict=True))
