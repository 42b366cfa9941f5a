"""`talkers evaluate --pairs`: videos that any system made beside the real ones, in pieces, so that
memory does not grow with length."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.artefacts.files import file_digest
from talkers.corpus.footage import footage_files
from talkers.errors import FaceError, MediaError
from talkers.evaluation.contract import Utterance
from talkers.evaluation.evaluate import EvaluationOptions
from talkers.evaluation.metrics import ClipScores, Metrics, load_metrics
from talkers.evaluation.outcome import PICTURED_CLIPS, Evaluation, Outcome, threads_each
from talkers.evaluation.pieces import Frames, Soundtrack, joined, lockstep
from talkers.evaluation.records import score_all, write_pictures, write_record
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.experts import people_folder
from talkers.experts.contract import MIN_FACE_SHARE
from talkers.experts.rate import RATE
from talkers.hardware import give_back_memory
from talkers.media import probe
from talkers.progress import Report, quiet

MAX_NAMED = 20  # videos without a partner that are named


@dataclass(frozen=True)
class PairTask:
    """A pair of videos to score.

    Attributes:
        generated: a video that a system made.
        reference: the real one.
        experts: folder of experts of one's own, or None.
        path: of the record to write.
        pictured: whether its video and curves are in the report.
        threads: that this process may use.
    """

    generated: str
    reference: str
    experts: Path | None
    path: Path
    pictured: bool
    threads: int


@dataclass
class _PairScores:
    """What is known of a pair so far.

    Attributes:
        notes: what was done to compare them.
        parts: of each variant, the frames and scores of each piece.
        found: where there is a face in the generated frames, piece by piece.
        curves: of the first piece, for the report.
        unseen: the first piece of the real video in which there is no face.
    """

    notes: list[str] = field(default_factory=list)
    parts: dict[str, list[tuple[int, ClipScores]]] = field(default_factory=dict)
    found: list[NDArray[np.bool_]] = field(default_factory=list)
    curves: dict[str, Any] | None = None
    unseen: FaceError | None = None

    def add(
        self, task: PairTask, metrics: Metrics, piece: tuple[int, Frames, Frames], said: Utterance
    ) -> None:
        """Score a piece."""
        begin, generated_frames, reference_frames = piece
        frames, generated = len(generated_frames), track_clip(generated_frames, 0.0)
        self.found.append(generated.found)
        try:
            reference = track_clip(reference_frames)
        except FaceError as error:
            self.unseen = self.unseen or error
            seconds = f"{begin / RATE:.1f} to {(begin + frames) / RATE:.1f} s"
            self.notes.append(f"the real one from {seconds}: {error.what}; left out")
            return

        def mean_frame() -> TrackedClip:
            mean = reference_frames.mean(0, dtype=np.float64).round().astype(np.uint8)
            return track_clip(np.repeat(mean[None], frames, 0), 0.0)

        def previous_frame() -> TrackedClip:
            before = np.concatenate([reference_frames[:1], reference_frames[:-1]])
            return track_clip(before, 0.0)

        makers: dict[str, Callable[[], TrackedClip]] = {
            "pairs": lambda: generated,
            "controls.real": lambda: reference,
            "controls.mean_frame": mean_frame,
            "controls.previous_frame": previous_frame,
        }
        for variant, make in makers.items():
            scores = metrics.score(make(), reference, said)
            self.parts.setdefault(variant, []).append((frames, scores))
        if task.pictured and self.curves is None:
            columns = {"real": reference, "made": generated}
            self.curves = write_pictures(task.path.with_suffix(""), columns, said.samples)


def _sound_of(task: PairTask) -> str:
    """The video whose sound counts: the generated one's, or where it has none, the real one's.

    Raises:
        MediaError: neither has sound.
    """
    for path in (task.generated, task.reference):
        if probe(path).audio is not None:
            return path
    raise MediaError(
        "neither video of this pair has sound",
        where=task.generated,
        todo="Give the speech with at least one of them",
    )


def score_pair(task: PairTask) -> None:
    """Score a pair of videos and write its record.

    Raises:
        FaceError: a face is seen in fewer than half of the generated frames, or nowhere in the
            real video.
        MediaError: a video cannot be read, or neither has sound.
    """
    torch.set_num_threads(task.threads)
    metrics, pair = load_metrics(task.experts), _PairScores()
    for path in (task.generated, task.reference):
        video = probe(path).video
        if video is not None and abs(float(video.frame_rate) - RATE) > 0.01:
            rate = f"{float(video.frame_rate):.5g} frames a second"
            pair.notes.append(f"{Path(path).name} has {rate}; it is compared at {RATE}")
    sound = Soundtrack(_sound_of(task), Path(task.reference).stem)
    for piece in lockstep(task.generated, task.reference, pair.notes):
        pair.add(task, metrics, piece, sound.piece(len(piece[1])))
        del piece  # what it takes is given back before the next one is read
        give_back_memory()
    if pair.unseen is not None and not pair.parts:
        raise pair.unseen
    found = np.concatenate(pair.found)
    if found.mean() < MIN_FACE_SHARE:
        raise FaceError(
            f"a face is seen in only {found.sum()} of {len(found)} frames",
            where=task.generated,
            todo="Leave this clip out",
        )
    scores = {variant: [joined(pieces)] for variant, pieces in pair.parts.items()}
    about = {"curves": pair.curves, "skipped": metrics.skipped, "sentence": sound.sentence}
    write_record(task.path, scores, {**about, "notes": pair.notes})


def _by_name(path: Path) -> dict[str, Path]:
    """Videos by their names within a folder, without suffix.

    Raises:
        MediaError: there is no such folder.
    """
    if not path.exists():
        raise MediaError("there is no such file or folder", where=path, todo="Check its name")
    return {
        (str(p.relative_to(path).with_suffix("")) if path.is_dir() else p.stem): p
        for p in footage_files([path])
    }


def evaluate_pairs(
    generated: Path,
    reference: Path,
    out: Path,
    options: EvaluationOptions | None = None,
    report: Report = quiet,
) -> Outcome:
    """Score videos that any system made against the real ones of the same names.

    The sound that counts is the generated video's own; where it has none, the real one's.

    Args:
        generated: a folder, or a single file.
        reference: the same; files go together by their names without suffix.
        out: folder of the report, as in `evaluate`.
        options: jobs, limit, experts and command, as in `evaluate`.
        report: told how far it is.

    Raises:
        TalkersError: no pair could be scored.
    """
    options = options or EvaluationOptions()
    threads = threads_each(options.workers)
    theirs, ours = _by_name(generated), _by_name(reference)
    names = sorted(set(theirs) & set(ours))
    if generated.is_file() and reference.is_file():
        names, ours = list(theirs), dict(zip(theirs, ours.values(), strict=True))
    if not names:
        raise MediaError(
            "no two videos have the same name",
            where=generated,
            why=f"it was compared with {reference}",
            todo="Name each made video as the real one",
        )
    experts = options.experts or people_folder()
    run = Evaluation.begin(out, experts, options.command)
    if alone := sorted(set(theirs) ^ set(ours)):
        run.about["notes"].append(
            f"{len(alone)} videos have no partner and are left out: {', '.join(alone[:MAX_NAMED])}"
            + (" and others." if len(alone) > MAX_NAMED else ".")
        )
    key, paths, tasks = run.key, {}, {}
    for k, name in enumerate(names[: options.limit] if options.limit else names):
        pair, pictured = (theirs[name], ours[name]), k < PICTURED_CLIPS
        files = f"{file_digest(pair[0])} {file_digest(pair[1])} {pictured}"
        digest = sha256(f"{key} {files}".encode()).hexdigest()
        paths[name] = run.work / f"{name.replace(os.sep, '-')}-{digest[:12]}.json"
        videos = str(pair[0]), str(pair[1])
        tasks[name] = PairTask(*videos, experts, paths[name], pictured, threads)
    run.about |= {"made": str(generated), "real": str(reference)}
    run.failures |= score_all(score_pair, tasks, paths, options.workers, report)
    return run.finish(paths)
