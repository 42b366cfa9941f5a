"""One pass over a footage file: every frame's face, the sound, and the signs of trouble."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from talkers.artefacts.files import atomic, file_digest
from talkers.errors import FaceError, MediaError
from talkers.face.crop import box_of
from talkers.face.identity import FaceDescriptor, descriptor_or_reason
from talkers.face.landmarks import BLENDSHAPES, FaceTracker, mouth_opening
from talkers.face.picture import PictureSigns
from talkers.face.sync import BandEnergies
from talkers.media import AUDIO_RATE, MediaInfo, audio_blocks, decode_frames, probe, require_footage
from talkers.speech.activity import loudness_of, of_length

FULL_SCALE = 0.999  # of samples: beyond it sound is clipped
FIRST_IDENTITY, IDENTITY_EVERY = 2, 100  # frames after a cut, and between descriptions of the face


@dataclass
class Analysis:
    """What one file shows. Arrays have one row a frame; rows without a face hold NaN.

    All landmarks of a long file would not fit in memory: they are in a file of their own, see
    `analyse` and `landmarks_in`.
    """

    source: str
    sha256: str
    width: int
    height: int
    rate: Fraction  # frames a second of the analysis
    source_rate: float
    audio_seconds: float  # 0: no sound
    clipped: float  # share of samples at full scale
    boxes: NDArray[np.float32]  # [T, 4] left, top, right, bottom of the face, source pixels
    opening: NDArray[np.float32]  # [T] gap between the lips in inter-ocular distances
    blendshapes: NDArray[np.float32]  # [T, 52]
    angles: NDArray[np.float32]  # [T, 3] degrees
    faces: NDArray[np.int8]  # [T] how many faces were seen
    levels: NDArray[np.float32]  # [T] dB
    bands: NDArray[np.float32]  # [n, 20] the sound's log energies, 50 a second
    cuts: NDArray[np.int32]  # frames at which the picture jumps
    still: NDArray[np.bool_]  # [T] the picture is held
    identities: NDArray[np.float32]  # [K, 128] who is seen, in some frames
    identified: NDArray[np.int32]  # [K] those frames
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
        plain["rate"] = str(self.rate)
        with atomic(path) as temporary:
            save_file(arrays, temporary, {"plain": json.dumps(plain)})

    @staticmethod
    def load(path: Path) -> Analysis:
        """Read what `save` wrote."""
        with safe_open(path, framework="numpy") as file:
            plain = json.loads(file.metadata()["plain"])
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
        return Analysis(**(plain | {"rate": Fraction(plain["rate"])}), **arrays)


POINTS = 478, 2  # of a face
NOWHERE = np.full(POINTS, np.nan, np.float32)
NO_SHAPES = np.full(len(BLENDSHAPES), np.nan, np.float32)
NO_ANGLES = np.full(3, np.nan, np.float32)


def landmarks_in(path: Path, part: slice) -> NDArray[np.float32]:
    """Some frames of the landmarks that `analyse` wrote: [n, 478, 2] source pixels."""
    row = int(np.prod(POINTS))
    return np.fromfile(
        path, np.float32, row * (part.stop - part.start), offset=4 * row * part.start
    ).reshape(-1, *POINTS)


class _Watcher:
    """Gathers what each frame of a file shows."""

    def __init__(
        self, tracker: FaceTracker, describer: FaceDescriptor | None, marks: IO[bytes] | None
    ):
        self._tracker, self._describer, self._marks = tracker, describer, marks
        self.signs = PictureSigns()
        self.boxes: list[NDArray[np.float32]] = []
        self.opening: list[NDArray[np.float32]] = []
        self.blendshapes: list[NDArray[np.float32]] = []
        self.angles: list[NDArray[np.float32]] = []
        self.faces: list[int] = []
        self.identities: list[NDArray[np.float32]] = []
        self.identified: list[int] = []
        self.width = self.height = 0
        self._describe_at = FIRST_IDENTITY  # the next frame whose face is described

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Take the next frame."""
        index, (self.height, self.width) = len(self.faces), frame.shape[:2]
        reading = self._tracker.track(frame)
        points = NOWHERE if reading is None else reading.landmarks
        if self._marks is not None:
            self._marks.write(np.ascontiguousarray(points, np.float32).tobytes())
        self.boxes.append(box_of(points))
        self.opening.append(mouth_opening(points))
        self.blendshapes.append(NO_SHAPES if reading is None else reading.blendshapes)
        self.angles.append(NO_ANGLES if reading is None else reading.angles)
        self.faces.append(0 if reading is None else reading.faces)
        if self.signs.add(frame, self.boxes[-1]):  # perhaps to another person
            self._describe_at = index + FIRST_IDENTITY
        if self._describer is not None and reading is not None and index >= self._describe_at:
            self.identities.append(self._describer.describe(frame, points))
            self.identified.append(index)
            self._describe_at = index + IDENTITY_EVERY


def analyse(
    path: str | os.PathLike[str],
    rate: Fraction = Fraction(25),
    max_faces: int = 2,
    marks: str | os.PathLike[str] | None = None,
    watch: Callable[[int], None] = lambda done: None,
) -> Analysis:
    """Read a footage file once and measure every frame.

    Args:
        path: a video file.
        rate: frames a second at which it is read.
        max_faces: faces looked for in a frame (2 suffice to notice that there is not one).
        marks: file for every frame's landmarks, float32 [478, 2] source pixels (NaN: no face) one
            after the other.
        watch: called with the number of frames that were read, after each.

    Raises:
        MediaError: the file cannot be used at all (no such file, no picture, nothing decodes).
    """
    info: MediaInfo = probe(path)
    video = require_footage(info)
    notes: list[str] = []
    with ExitStack() as stack:
        tracker = stack.enter_context(FaceTracker(max_faces))
        kept = None
        if marks is not None:
            kept = stack.enter_context(stack.enter_context(atomic(marks)).open("wb"))
        describer = descriptor_or_reason()
        if isinstance(describer, str):
            notes.append(f"Whether all footage shows one person was not checked: {describer}")
        seen = _Watcher(tracker, None if isinstance(describer, str) else describer, kept)
        for frame in decode_frames(path, rate, notes.append):
            seen.add(frame)
            watch(len(seen.faces))
    sound = _Sound(path, rate, info.audio is not None, notes)
    count = len(seen.faces)
    return Analysis(
        source=str(path),
        sha256=file_digest(path),
        width=seen.width,
        height=seen.height,
        rate=rate,
        source_rate=float(video.frame_rate),
        audio_seconds=sound.samples / AUDIO_RATE,
        clipped=sound.clipped / max(1, sound.samples),
        boxes=np.stack(seen.boxes),
        opening=np.array(seen.opening, np.float32),
        blendshapes=np.stack(seen.blendshapes),
        angles=np.stack(seen.angles),
        faces=np.array(seen.faces, np.int8),
        levels=of_length(sound.levels, count),
        bands=sound.energies.all(),
        cuts=seen.signs.cuts,
        still=seen.signs.still(float(rate)),
        identities=np.array(seen.identities, np.float32).reshape(-1, 128),
        identified=np.array(seen.identified, np.int32),
        notes=notes,
    )


class _Sound:
    """What is measured of a file's sound, read once.

    Attributes:
        levels: [T] dB of each frame's sound.
        samples, clipped: how many samples there are, and how many of them at full scale.
        energies: of the bands.
    """

    def __init__(
        self, path: str | os.PathLike[str], rate: Fraction, there: bool, notes: list[str]
    ) -> None:
        self.levels, self.samples, self.clipped = np.zeros(0, np.float32), 0, 0
        self.energies = BandEnergies()
        if there:
            try:
                said = audio_blocks(path, note=lambda text: notes.append(f"{path}: {text}"))
                blocks = self._measured(said)
                self.levels, self.samples = loudness_of(blocks, AUDIO_RATE, float(rate))
            except MediaError as error:
                notes.append(str(error))

    def _measured(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            self.clipped += int((np.abs(block) >= FULL_SCALE).sum())
            self.energies.add(block)
            yield block


def poses_in(
    video: str | os.PathLike[str], rate: Fraction = Fraction(25)
) -> dict[str, NDArray[np.float64]]:
    """Measure the head of a video.

    Returns:
        "time" in seconds and "yaw", "pitch", "roll" in degrees of the frames with a face, [n] each.

    Raises:
        MediaError: it cannot be read. FaceError: a face is seen in fewer than half of its frames.
    """
    with FaceTracker(1) as tracker:
        angles = [
            reading.angles if (reading := tracker.track(frame)) is not None else None
            for frame in decode_frames(video, rate)
        ]
    rows = [(k / float(rate), *row) for k, row in enumerate(angles) if row is not None]
    if 2 * len(rows) < len(angles) or not rows:
        raise FaceError(
            f"a face is seen in only {len(rows)} of {len(angles)} frames",
            where=video,
            todo="Use a video that shows a face from the front",
        )
    return dict(zip(("time", "yaw", "pitch", "roll"), np.array(rows, np.float64).T, strict=True))
