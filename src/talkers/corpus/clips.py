"""Writing the clips of one source: its frames, sound and measurements, in pieces of at most ten
seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talkers.corpus.store import ClipRecord
from talkers.corpus.table import Measurements, frames_table, write_table
from talkers.errors import FaceError, MediaError
from talkers.face.analysis import Analysis, analyse, landmarks_in
from talkers.face.crop import Crop
from talkers.face.picture import runs_of
from talkers.face.usable import usable_frames
from talkers.media import AUDIO_RATE, VideoWriter, audio_blocks, decode_frames, write_flac
from talkers.speech.activity import speech_activity

MAX_SECONDS = 10  # of a clip: what training holds out, validates on and shows is a whole clip


def analyse_to(path: str, rate: str, target: str) -> str:
    """Analyse a source into a file, and its landmarks into another, unless that is done.

    Args:
        path: the source.
        rate: frames a second, as `rate_of` reads it.
        target: the file of the analysis; see `marks_of` for the other.

    Returns:
        the target.

    Raises:
        FaceError: no face is seen. MediaError: there is no sound, or it cannot be read.
    """
    if not Path(target).exists():
        analysis = analyse(path, Fraction(rate), marks=marks_of(target))
        if not analysis.found.any():
            raise FaceError(
                "no face is seen in any frame",
                where=path,
                todo="Use footage that shows one face from the front",
            )
        if not analysis.audio_seconds:
            raise MediaError(
                "there is no sound in this file",
                where=path,
                todo="Use footage with the speaker's voice",
            )
        analysis.save(Path(target))
    return target


def marks_of(target: str) -> Path:
    """Where an analysis keeps the landmarks."""
    return Path(target).with_suffix(".landmarks")


def gaps_of(usable: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Runs of frames without a usable face: bool [T] -> (first, one past last)."""
    return tuple(runs_of(~usable))


def pieces_of(name: str, count: int, rate: Fraction) -> list[tuple[str, slice]]:
    """Names and frames of a source's clips, of nearly equal lengths."""
    pieces = max(1, -(-count // int(MAX_SECONDS * rate)))
    edges = np.linspace(0, count, pieces + 1).round().astype(int)
    return [
        (name if pieces == 1 else f"{name}.{k + 1:03d}", slice(int(a), int(b)))
        for k, (a, b) in enumerate(pairwise(edges))
    ]


def in_pieces(
    blocks: Iterable[NDArray[np.float32]], edges: Iterable[int]
) -> Iterator[NDArray[np.float32]]:
    """Cut sound at these samples, from the first to the last.

    Args:
        blocks: the sound, [n] each.
        edges: samples.

    Yields:
        the sound between two edges; silence where it ends sooner.
    """
    source, held = iter(blocks), np.zeros(0, np.float32)
    for first, last in pairwise(edges):
        while len(held) < last - first and (block := next(source, None)) is not None:
            held = np.concatenate([held, block])
        piece, held = held[: last - first], held[last - first :]
        yield np.pad(piece, (0, last - first - len(piece)))


@dataclass(frozen=True)
class Rendering:
    """How the clips of one source are made.

    Attributes:
        path: the source.
        analysis: file of its analysis.
        crop: how it is cut.
        rate: frames a second.
        name: of its clips.
        clips: folder of the clips.
        rows: file of their measurements, written last.
    """

    path: str
    analysis: str
    crop: Crop
    rate: Fraction
    name: str
    clips: Path
    rows: Path


def render(task: Rendering) -> list[ClipRecord]:
    """Write the clips of one source, unless that is done; returns their records."""
    a = Analysis.load(Path(task.analysis))
    usable = usable_frames(a, task.crop)
    pieces = pieces_of(task.name, len(a.faces), task.rate)
    if not task.rows.exists():
        write_table(task.rows, _written(task, a, usable, pieces))
    source = Path(task.path).name
    return [
        ClipRecord(name, part.stop - part.start, source, a.sha256, task.crop, gaps_of(usable[part]))
        for name, part in pieces
    ]


def _written(
    task: Rendering, a: Analysis, usable: NDArray[np.bool_], pieces: list[tuple[str, slice]]
) -> Iterator[pa.Table]:
    """Write one clip after the other; yields their rows. Frames of no use are without a face."""
    edges = [round(e * AUDIO_RATE / task.rate) for e in (0, *(part.stop for _, part in pieces))]
    frames, sounds = decode_frames(task.path, task.rate), in_pieces(audio_blocks(task.path), edges)
    speaking = speech_activity(a.levels)
    for clip, part in pieces:
        with VideoWriter(task.clips / f"{clip}.mp4", task.rate, crf=16, preset="medium") as writer:
            for frame in islice(frames, part.stop - part.start):
                writer.write(task.crop.cut(frame))
        write_flac(task.clips / f"{clip}.flac", next(sounds), AUDIO_RATE)
        seen = usable[part]
        measured = Measurements(
            angles=_where(seen, a.angles[part]),
            landmarks=_where(seen, task.crop.to_crop(landmarks_in(marks_of(task.analysis), part))),
            blendshapes=_where(seen, a.blendshapes[part]),
            faces=np.where(seen, a.faces[part], 0).astype(np.int8),
            speech=speaking[part],
        )
        yield frames_table(clip, measured, task.crop.size, task.rate)


def _where(seen: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values of the frames that are seen, NaN for the others: [T, ...]."""
    values = values.copy()
    values[~seen] = np.nan
    return values
