"""The table of a corpus, frames.parquet: what is measured of every frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from talkers.artefacts.files import atomic
from talkers.errors import ArtefactError, reason
from talkers.face.landmarks import BLENDSHAPES, BLINKS, EYE_CORNERS

LANDMARK_STEP = 1 / 64  # pixels: landmarks are stored as int16 multiples of this
POSE = ("yaw", "pitch", "roll", "x", "y", "scale")
"""Head pose: three angles in degrees, position of the eyes' midpoint and inter-ocular distance as
shares of the side."""

PoseSeries = NDArray[np.float32]  # [T, 6] in the order of POSE


def pose_of(angles: NDArray[np.float32], landmarks: NDArray[np.float32], size: int) -> PoseSeries:
    """Angles [T, 3] in degrees and crop landmarks [T, 478, 2] -> pose [T, 6]."""
    right, left = landmarks[:, EYE_CORNERS[0]], landmarks[:, EYE_CORNERS[1]]
    centre = (right + left) / 2 / size
    scale = np.linalg.norm(right - left, axis=-1, keepdims=True) / size
    return np.concatenate([angles, centre, scale], axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Measurements:
    """What is measured of a clip's frames; NaN where no face is seen.

    Attributes:
        angles: [T, 3] yaw, pitch, roll in degrees.
        landmarks: [T, 478, 2] pixels of the crop.
        blendshapes: [T, 52].
        faces: int8 [T], how many were seen.
        speech: bool [T], whether somebody speaks.
    """

    angles: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    faces: NDArray[np.int8]
    speech: NDArray[np.bool_]


def frames_table(clip: str, measured: Measurements, size: int, rate: Fraction) -> pa.Table:
    """The rows of one clip, whose frames have this size in pixels and rate."""
    angles, landmarks, blendshapes = measured.angles, measured.landmarks, measured.blendshapes
    faces, speech = measured.faces, measured.speech
    count = len(faces)
    pose = pose_of(angles, landmarks, size)
    stored = (
        np.clip(np.nan_to_num(landmarks) / LANDMARK_STEP, -32768, 32767)
        .round()
        .astype(np.int16)
        .reshape(count, -1)
    )
    columns: dict[str, Any] = {
        "clip": pa.array([clip] * count).dictionary_encode(),
        "frame": pa.array(np.arange(count, dtype=np.int32)),
        "time": pa.array((np.arange(count) / float(rate)).astype(np.float32)),
        "face": pa.array(faces > 0),
        "faces": pa.array(faces),
        "speech": pa.array(speech),
        "blink": pa.array(blendshapes[:, list(BLINKS)].mean(1)),
        **{name: pa.array(pose[:, i]) for i, name in enumerate(POSE)},
        "landmarks": pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), stored.shape[1]),
        "blendshapes": pa.FixedSizeListArray.from_arrays(
            pa.array(blendshapes.astype(np.float16).ravel()), len(BLENDSHAPES)
        ),
    }
    return pa.table(columns)


def schema() -> pa.Schema:
    """The columns of frames.parquet and what they hold."""
    none = Measurements(
        np.zeros((1, 3), np.float32),
        np.zeros((1, 478, 2), np.float32),
        np.zeros((1, len(BLENDSHAPES)), np.float32),
        np.zeros(1, np.int8),
        np.zeros(1, np.bool_),
    )
    return frames_table("", none, 1, Fraction(1)).schema


WIDE = {"landmarks": 478 * 2, "blendshapes": len(BLENDSHAPES)}  # columns of many numbers a frame
MAX_ROWS = 2048  # of a table that are held in memory and written together


def write_table(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write the rows of many clips as one parquet file; it appears when it is complete."""
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema(), compression="zstd", compression_level=9) as writer,
    ):
        held: list[pa.Table] = []
        for table in tables:
            held.append(table)
            if sum(map(len, held)) >= MAX_ROWS:
                writer.write_table(pa.concat_tables(held).unify_dictionaries())
                held = []
        if held:
            writer.write_table(pa.concat_tables(held).unify_dictionaries())


def read_tables(path: Path, limit: int | None = None) -> Iterator[pa.Table]:
    """The rows of such a file, or the first `limit` of them, a part at a time.

    Raises:
        ArtefactError: it is damaged.
    """
    wanted = schema()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(MAX_ROWS):
                table = pa.table(batch).slice(0, limit).select(wanted.names).cast(wanted)
                limit = None if limit is None else limit - len(table)
                yield table
                if limit == 0:
                    return
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ArtefactError(
            f"{path.name} cannot be read",
            where=path,
            why=reason(error),
            todo="Prepare the footage again",
        ) from error
