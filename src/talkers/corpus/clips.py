"""Writing the clips of one source: its frames, sound and measurements, in pieces of at most ten seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from talkers.corpus.store import ClipRecord, frames_table, write_table
from talkers.errors import FaceError, MediaError
from talkers.face.analysis import Analysis, analyse, landmarks_in
from talkers.face.crop import Crop
from talkers.media import AUDIO_RATE, VideoWriter, audio_blocks, decode_frames, write_flac
from talkers.speech.activity import speech_activity

LONGEST_SECONDS = 10  # of a clip: what training holds out, validates on and shows is a whole clip


def analyse_to(path: str, rate: str, target: str) -> str:
    """Analyse a source into a file (its landmarks into another, see `marks_of`), unless that is done; refuses what cannot become a clip."""
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


def gaps_of(found: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Runs of frames without a face: bool [T] -> (first, one past last)."""
    missing = np.concatenate([[False], ~found, [False]])
    return tuple(
        (int(a), int(b)) for a, b in np.flatnonzero(missing[1:] != missing[:-1]).reshape(-1, 2)
    )


def pieces_of(name: str, count: int, rate: Fraction) -> list[tuple[str, slice]]:
    """Names and frames of a source's clips, of nearly equal lengths."""
    pieces = max(1, -(-count // int(LONGEST_SECONDS * rate)))
    edges = np.linspace(0, count, pieces + 1).round().astype(int)
    return [
        (name if pieces == 1 else f"{name}.{k + 1:03d}", slice(int(a), int(b)))
        for k, (a, b) in enumerate(pairwise(edges))
    ]


def in_pieces(
    blocks: Iterable[NDArray[np.float32]], edges: Iterable[int]
) -> Iterator[NDArray[np.float32]]:
    """Sound in blocks [n] cut at these samples, from the first to the last; silence where it ends sooner."""
    source, held = iter(blocks), np.zeros(0, np.float32)
    for first, last in pairwise(edges):
        while len(held) < last - first and (block := next(source, None)) is not None:
            held = np.concatenate([held, block])
        piece, held = held[: last - first], held[last - first :]
        yield np.pad(piece, (0, last - first - len(piece)))


def render(
    path: str, analysis_file: str, crop: Crop, rate_text: str, name: str, clips: str, rows_file: str
) -> list[ClipRecord]:
    """Write the clips of one source, unless that is done (its rows are written last); returns their records."""
    rate, folder, rows = Fraction(rate_text), Path(clips), Path(rows_file)
    a = Analysis.load(Path(analysis_file))
    pieces = pieces_of(name, len(a.faces), rate)
    if not rows.exists():
        edges = [
            round(edge * AUDIO_RATE / rate) for edge in (0, *(part.stop for _, part in pieces))
        ]
        frames, sounds, speaking = (
            decode_frames(path, rate),
            in_pieces(audio_blocks(path), edges),
            speech_activity(a.levels),
        )

        def written() -> Iterator[pa.Table]:
            for clip, part in pieces:
                with VideoWriter(folder / f"{clip}.mp4", rate, crf=16, preset="medium") as writer:
                    for frame in islice(frames, part.stop - part.start):
                        writer.write(crop.cut(frame))
                write_flac(folder / f"{clip}.flac", next(sounds), AUDIO_RATE)
                marks = crop.to_crop(landmarks_in(marks_of(analysis_file), part))
                yield frames_table(
                    clip,
                    a.angles[part],
                    marks,
                    a.blendshapes[part],
                    a.faces[part],
                    speaking[part],
                    crop.size,
                    rate,
                )

        write_table(rows, written())
    source = Path(path).name
    return [
        ClipRecord(clip, part.stop - part.start, source, a.sha256, crop, gaps_of(a.found[part]))
        for clip, part in pieces
    ]
