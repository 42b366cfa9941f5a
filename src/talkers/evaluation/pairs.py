"""`talkers evaluate --pairs`: videos that any system made beside the real ones, in pieces, so that memory does not grow with length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from talkers.artefacts.files import file_digest
from talkers.corpus.clips import LONGEST_SECONDS, in_pieces
from talkers.corpus.footage import footage_files
from talkers.errors import FaceError, MediaError
from talkers.evaluation.metrics import ClipScores, load_metrics
from talkers.evaluation.records import (
    SHOWN,
    Outcome,
    about_run,
    finish,
    judges_key,
    run,
    show,
    threads_each,
    work_folder,
    write_record,
)
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.experts.rate import RATE, SAMPLES_PER_FRAME
from talkers.experts.words import sentence_of_name
from talkers.hardware import give_back_memory
from talkers.media import AUDIO_RATE, audio_blocks, decode_frames, probe
from talkers.progress import Report, quiet
from talkers.speech import loudness_of, speech_activity

Frames = NDArray[np.uint8]  # [T, H, W, 3]
LONGEST_PIECE = LONGEST_SECONDS * RATE  # frames of a pair that are held in memory


def joined(parts: Sequence[tuple[int, ClipScores]]) -> ClipScores:
    """Figures of a video from those of its pieces, each with its frames: means over the frames of pieces that define them."""
    figures = {}
    for key in parts[0][1].figures:
        held = [
            (frames, value) for frames, judged in parts if np.isfinite(value := judged.figures[key])
        ]
        figures[key] = (
            sum(frames * value for frames, value in held) / sum(frames for frames, _ in held)
            if held
            else float("nan")
        )
    features = {
        k: tuple(np.concatenate([j.features[k][which] for _, j in parts]) for which in (0, 1))
        for k in parts[0][1].features
    }
    return ClipScores(figures, features)  # type: ignore[arg-type]


def lockstep(
    made_path: str, real_path: str, notes: list[str]
) -> Iterator[tuple[int, Frames, Frames]]:
    """Frames of two videos at RATE, LONGEST_PIECE at a time, as far as both go: (first frame, made, real), the made ones scaled to
    the real ones' size. What was done to compare them is added to the notes."""
    films, totals = [decode_frames(path, Fraction(RATE)) for path in (made_path, real_path)], [0, 0]
    for begin in count(0, LONGEST_PIECE):
        pieces = [list(islice(film, LONGEST_PIECE)) for film in films]
        totals = [total + len(piece) for total, piece in zip(totals, pieces, strict=True)]
        frames = min(map(len, pieces))
        if frames:
            made, real = (np.stack(piece[:frames]) for piece in pieces)
            if made.shape != real.shape:
                height, width = real.shape[1:3]
                if not begin:
                    notes.append(
                        f"the made one is {made.shape[2]}x{made.shape[1]}, the real one {width}x{height}; it is scaled to that"
                    )
                made = np.stack(
                    [
                        np.asarray(
                            Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)
                        )
                        for f in made
                    ]
                )
            del pieces
            yield begin, made, real
            del made, real
        if frames < LONGEST_PIECE:
            break
    totals = [total + sum(1 for _ in film) for total, film in zip(totals, films, strict=True)]
    if abs(totals[0] - totals[1]) > 1:
        notes.append(
            f"they have {totals[0]} and {totals[1]} frames; the first {min(totals)} are compared"
        )


def score_pair(
    made_path: str, real_path: str, experts: Path | None, path: str, shown: bool, threads: int
) -> None:
    """Score one pair of videos and write PATH; run in a child process.

    Raises:
        FaceError: a face is seen in fewer than half of the made frames, or nowhere in the real video.
    """
    torch.set_num_threads(threads)
    judges, notes = load_metrics(experts), []
    for which in (made_path, real_path):
        if (video := probe(which).video) is not None and abs(float(video.frame_rate) - RATE) > 0.01:
            notes.append(
                f"{Path(which).name} has {float(video.frame_rate):.5g} frames a second; it is compared at {RATE}"
            )
    sounds = [p for p in (made_path, real_path) if probe(p).audio is not None]
    if not sounds:
        raise MediaError(
            "neither video of this pair has sound",
            where=made_path,
            todo="Give the speech with at least one of them",
        )
    levels, _ = loudness_of(audio_blocks(sounds[0]), AUDIO_RATE, RATE)
    said = speech_activity(levels)
    sentence = sentence_of_name(Path(real_path).stem) if len(levels) <= LONGEST_PIECE else None
    heard = in_pieces(audio_blocks(sounds[0]), count(0, LONGEST_PIECE * SAMPLES_PER_FRAME))
    parts: dict[str, list[tuple[int, ClipScores]]] = {}
    unseen, curves, seen = None, None, list[NDArray[np.bool_]]()

    def take(begin: int, made_frames: Frames, real_frames: Frames) -> None:
        """Score a piece; what it takes is given back before the next one is read."""
        nonlocal unseen, curves
        frames, made = len(made_frames), track_clip(made_frames, 0.0)
        samples = next(heard)[: frames * SAMPLES_PER_FRAME]
        speech = said[begin : begin + frames]
        speech = np.pad(speech, (0, frames - len(speech)))
        seen.append(made.found)
        try:
            real = track_clip(real_frames)
        except FaceError as error:
            unseen = unseen or error
            notes.append(
                f"the real one from {begin / RATE:.1f} to {(begin + frames) / RATE:.1f} s: {error.what}; left out"
            )
            return
        phones = judges.align_phones(samples, sentence)

        def still() -> Frames:
            return np.repeat(
                real_frames.mean(0, dtype=np.float64).round().astype(np.uint8)[None], frames, 0
            )

        def before() -> Frames:
            return np.concatenate([real_frames[:1], real_frames[:-1]])

        columns: dict[str, Callable[[], TrackedClip]] = {
            "pairs": lambda: made,
            "controls.real": lambda: real,
            "controls.mean_frame": lambda: track_clip(still(), 0.0),
            "controls.previous_frame": lambda: track_clip(before(), 0.0),
        }
        for variant, shows in columns.items():
            parts.setdefault(variant, []).append(
                (frames, judges.judge(shows(), real, samples, speech, sentence, phones))
            )
        if shown and curves is None:
            curves = show(Path(path).with_suffix(""), {"real": real, "made": made}, samples)

    for piece in lockstep(made_path, real_path, notes):
        take(*piece)
        del piece
        give_back_memory()
    if unseen is not None and not parts:
        raise unseen
    found = np.concatenate(seen)
    if found.mean() < 0.5:
        raise FaceError(
            f"a face is seen in only {found.sum()} of {len(found)} frames",
            where=made_path,
            todo="Leave this clip out",
        )
    judged = {variant: [joined(pieces)] for variant, pieces in parts.items()}
    write_record(
        Path(path),
        judged,
        {"curves": curves, "skipped": judges.skipped, "sentence": sentence, "notes": notes},
    )


def _by_name(path: Path) -> dict[str, Path]:
    """Videos by their names within a folder, without suffix."""
    if not path.exists():
        raise MediaError("there is no such file or folder", where=path, todo="Check its name")
    return {
        (str(p.relative_to(path).with_suffix("")) if path.is_dir() else p.stem): p
        for p in footage_files([path])
    }


def evaluate_pairs(
    made: Path,
    real: Path,
    out: Path,
    jobs: int | None = None,
    limit: int | None = None,
    experts: Path | None = None,
    command: str = "",
    report: Report = quiet,
) -> Outcome:
    """Score videos that any system made against the real ones of the same names.

    The sound that counts is the made video's own; where it has none, the real one's.

    Args:
        made, real: folders (or single files) whose files go together by their names without suffix.
        out, experts: as in `evaluate`.

    Raises:
        TalkersError: no pair could be scored.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    threads, theirs, ours = threads_each(workers), _by_name(made), _by_name(real)
    names = sorted(set(theirs) & set(ours))
    if made.is_file() and real.is_file():
        names, ours = list(theirs), dict(zip(theirs, ours.values(), strict=True))
    if not names:
        raise MediaError(
            "no two videos have the same name",
            where=made,
            why=f"it was compared with {real}",
            todo="Name each made video as the real one",
        )
    about, work, judged = about_run(command), work_folder(out), judges_key(experts)
    if alone := sorted(set(theirs) ^ set(ours)):
        about["notes"].append(
            f"{len(alone)} videos have no partner and are left out, the first: {alone[0]}."
        )
    names = names[:limit] if limit else names
    paths, tasks = {}, {}
    for k, name in enumerate(names):
        key = sha256(
            f"{judged} {file_digest(theirs[name])} {file_digest(ours[name])} {k < SHOWN}".encode()
        ).hexdigest()
        paths[name] = work / f"{name.replace(os.sep, '-')}-{key[:12]}.json"
        tasks[name] = (
            str(theirs[name]),
            str(ours[name]),
            experts,
            str(paths[name]),
            k < SHOWN,
            threads,
        )
    about |= {"made": str(made), "real": str(real)}
    return finish(out, about, paths, run(tasks, score_pair, paths, workers, report), None, None)
