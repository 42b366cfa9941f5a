"""One pass over a footage file: every frame's face, the sound, and the signs of trouble."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from talkers.errors import FaceError, MediaError
from talkers.face.landmarks import BLENDSHAPES, FaceTracker
from talkers.media import AUDIO_RATE, MediaInfo, decode_frames, probe, read_audio
from talkers.media.encode import atomic
from talkers.speech.activity import loudness

CUT_DIFFERENCE = 30.0  # mean absolute change of a 32x32 grey thumbnail (0..255) that no moving head makes


@dataclass
class Analysis:
    """What one file shows, at the corpus rate. Arrays have one row a frame; rows without a face hold NaN."""

    source: str
    sha256: str
    width: int
    height: int
    rate: float  # frames a second of the analysis
    source_rate: float
    audio_seconds: float  # 0: no sound
    clipped: float  # share of samples at full scale
    landmarks: NDArray[np.float32]  # [T, 478, 2] source pixels
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
        arrays = {k: np.ascontiguousarray(v) for k, v in self.__dict__.items() if isinstance(v, np.ndarray)}
        plain = {k: v for k, v in self.__dict__.items() if k not in arrays}
        with atomic(path) as temporary:
            save_file(arrays, temporary, {"plain": json.dumps(plain)})

    @staticmethod
    def load(path: Path) -> Analysis:
        with safe_open(path, framework="numpy") as file:
            return Analysis(**json.loads(file.metadata()["plain"]), **{k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def analyse(path: str | os.PathLike[str], rate: Fraction = Fraction(25), max_faces: int = 2) -> Analysis:
    """Read a footage file once and measure every frame.

    Args:
        path: a video file.
        rate: frames a second at which it is read.
        max_faces: faces looked for in a frame (2 suffice to notice that there is not one).

    Raises:
        MediaError: the file cannot be used at all (no such file, no picture, nothing decodes).
    """
    info: MediaInfo = probe(path)
    if info.video is None:
        raise MediaError("there is no picture in this file", where=path, todo="Give a video file")
    notes: list[str] = []
    landmarks, shapes, angles, counts, cuts = [], [], [], [], []
    last: NDArray[np.float32] | None = None
    width = height = 0
    with FaceTracker(max_faces) as tracker:
        for index, frame in enumerate(decode_frames(path, rate, notes.append)):
            height, width = frame.shape[:2]
            thumbnail = frame[:: max(1, height // 32), :: max(1, width // 32)].mean(2, dtype=np.float32)
            if last is not None and np.abs(thumbnail - last).mean() > CUT_DIFFERENCE:
                cuts.append(index)
            last = thumbnail
            reading = tracker.track(frame)
            landmarks.append(reading.landmarks if reading else np.full((478, 2), np.nan, np.float32))
            shapes.append(reading.blendshapes if reading else np.full(len(BLENDSHAPES), np.nan, np.float32))
            angles.append(reading.angles if reading else np.full(3, np.nan, np.float32))
            counts.append(reading.faces if reading else 0)
    samples = np.zeros(0, np.float32)
    if info.audio is not None:
        try:
            samples = read_audio(path)
        except MediaError as error:
            notes.append(str(error))
    return Analysis(
        source=str(path),
        sha256=file_digest(path),
        width=width,
        height=height,
        rate=float(rate),
        source_rate=float(info.video.frame_rate),
        audio_seconds=len(samples) / AUDIO_RATE,
        clipped=float(np.mean(np.abs(samples) >= 0.999)) if len(samples) else 0.0,
        landmarks=np.stack(landmarks),
        blendshapes=np.stack(shapes),
        angles=np.stack(angles),
        faces=np.array(counts, np.int8),
        levels=loudness(samples, AUDIO_RATE, float(rate), len(counts)),
        cuts=np.array(cuts, np.int32),
        notes=notes,
    )


def write_pose_file(video: Path, path: Path, rate: int = 25) -> Path:
    """Measure the head of a video and write it as a pose file: columns time, yaw, pitch, roll (see `Controls.pose`).

    Raises:
        MediaError: it cannot be read. FaceError: a face is seen in fewer than half of its frames.
    """
    with FaceTracker(1) as tracker:
        angles = [reading.angles if (reading := tracker.track(frame)) is not None else None for frame in decode_frames(video, Fraction(rate))]
    rows = [(k / rate, *row) for k, row in enumerate(angles) if row is not None]
    if 2 * len(rows) < len(angles) or not rows:
        raise FaceError(f"a face is seen in only {len(rows)} of {len(angles)} frames", where=video, todo="Use a video that shows a face from the front")
    path.write_text("time,yaw,pitch,roll\n" + "".join(",".join(f"{v:.4f}" for v in row) + "\n" for row in rows), "utf-8")
    return path
