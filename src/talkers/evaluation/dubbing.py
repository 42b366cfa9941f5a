"""`talkers evaluate --dub`: films dubbed with their own sound, another film's and silence, beside
films that were not dubbed and mouths that are held still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.artefacts.files import file_digest
from talkers.corpus.footage import footage_files
from talkers.corpus.naming import unique_names
from talkers.errors import ArtefactError, FaceError, MediaError
from talkers.evaluation.contract import Utterance
from talkers.evaluation.evaluate import EvaluationOptions
from talkers.evaluation.films import (
    FACE_UNIT,
    faces_alone,
    opening_of,
    opening_of_film,
    psnr_outside,
    with_still_mouth,
)
from talkers.evaluation.metrics import ClipScores, Metrics, load_metrics
from talkers.evaluation.motion import opening_correlation, opening_spread
from talkers.evaluation.outcome import PICTURED_CLIPS, Evaluation, Outcome, threads_each
from talkers.evaluation.pieces import Soundtrack, joined, lockstep
from talkers.evaluation.records import score_all, write_pictures, write_record
from talkers.evaluation.scoring import avatar_of, partner
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.experts import people_folder
from talkers.experts.rate import RATE, SAMPLES_PER_FRAME
from talkers.hardware import give_back_memory
from talkers.media import probe
from talkers.progress import Report, quiet
from talkers.runtime.avatar import Avatar
from talkers.runtime.bundle import BUNDLED, base_folder
from talkers.runtime.dubbing import DubTerms

OWN, CROSS, SILENT = "self_dub", "cross_dub", "silent_dub"
REAL, STILL, MEAN, COPIED = (
    f"controls.{name}" for name in ("real", "still", "mean_frame", "copied")
)
ALL_OF_FILM = DubTerms(when_longer="cut")
WHILE_SPOKEN = DubTerms(when_longer="cut", when_shorter="cut")
OTHER_WORDS = ("csim", "bilabial_closure")
"""Metrics that mean something of lips that say other words than the film's."""
NO_OTHER = "there is but one film with sound: it is not dubbed with another film's."


@dataclass(frozen=True)
class FilmTask:
    """A film to dub and to score.

    Attributes:
        base: folder of the avatar that knows how people speak.
        film: the film.
        other: the film whose sound is another, or None.
        experts: folder of experts, or None.
        path: of the record to write.
        pictured: whether its video and curves are in the report.
        threads: that this process may use.
    """

    base: str
    film: str
    other: str | None
    experts: Path | None
    path: Path
    pictured: bool
    threads: int


@dataclass
class _FilmScores:
    """What is known of a film so far.

    Attributes:
        film: the film.
        metrics: all of them.
        notes: what was left out, and why.
        parts: of each variant, the frames and scores of each piece.
        openings: of each variant, the mouth's opening in each piece.
        columns: the first piece of each dub, for the report.
        unseen: the first piece of the film in which there is no face.
    """

    film: str
    metrics: Metrics
    notes: list[str] = field(default_factory=list)
    parts: dict[str, list[tuple[int, ClipScores]]] = field(default_factory=dict)
    openings: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    columns: dict[str, TrackedClip] = field(default_factory=dict)
    unseen: FaceError | None = None

    def add(self, dub: str, made: Path, said: Soundtrack | None) -> None:
        """Score a dub, and the controls beside it.

        Args:
            dub: which.
            made: the dubbed film.
            said: what it was dubbed with, or None for silence.
        """
        own = Soundtrack(self.film, Path(self.film).stem)
        for _, made_frames, film_frames in lockstep(str(made), self.film, []):
            frames = len(film_frames)
            old, new = _utterance_of(own, frames), _utterance_of(said, frames)
            try:
                reference = track_clip(film_frames)
            except FaceError as error:
                self.unseen = self.unseen or error
                for rows in self.openings.values():
                    rows.append(np.full(frames, np.nan, np.float32))
                continue
            generated = track_clip(made_frames, 0.0)
            for variant, make in _beside(dub, generated, reference).items():
                clip = make()
                scores = self._scores(dub, clip, reference, new, old)
                self.parts.setdefault(variant, []).append((frames, scores))
                self.openings.setdefault(variant, []).append(opening_of(clip))
            self.columns.setdefault("real", reference)
            self.columns.setdefault(dub, generated)
            del made_frames, film_frames, generated, reference
            give_back_memory()

    def _scores(
        self,
        dub: str,
        clip: TrackedClip,
        reference: TrackedClip,
        new: Utterance,
        old: Utterance,
    ) -> ClipScores:
        """Figures of a piece: beside the film where it says the same, else beside other words."""
        if dub == OWN:
            return self.metrics.score(clip, reference, new)
        few = {n: m for n, m in self.metrics.metrics.items() if n in OTHER_WORDS}
        scores = replace(self.metrics, metrics=few).score(clip, reference, new)
        for found in self.metrics.judged(clip, old, "text").values():
            scores.figures.update({f"{name}_old": value for name, value in found.items()})
        return scores

    def finished(
        self, theirs: NDArray[np.float32], figures: dict[str, float]
    ) -> dict[str, list[ClipScores]]:
        """Scores of each variant of the whole film.

        Args:
            theirs: the opening in the film whose sound is another: [T].
            figures: of the film that was dubbed with its own sound, besides.

        Raises:
            FaceError: a face is seen nowhere in the film.
        """
        if not self.parts and self.unseen is not None:
            raise self.unseen
        scores = {variant: joined(pieces) for variant, pieces in self.parts.items()}
        openings = {name: np.concatenate(rows) for name, rows in self.openings.items()}
        film, nothing = openings[REAL], float("nan")
        for variant, of_film in scores.items():
            found, opening = of_film.figures, openings[variant]
            if variant in (OWN, REAL, STILL, MEAN):
                found["opening_correlation"] = opening_correlation(opening, film)
                mean = scores[MEAN].figures.get("psnr_mouth", nothing)
                found["psnr_mouth_gain"] = found.get("psnr_mouth", nothing) - mean
                found["lmd_face"] = FACE_UNIT * found.get("lmd_mouth_iod", nothing)
            if variant in (CROSS, COPIED):
                found["opening_correlation"] = opening_correlation(opening, theirs)
                found["opening_correlation_old"] = opening_correlation(opening, film)
            if variant in (SILENT, STILL, COPIED):
                found["lip_leak"] = opening_spread(opening, film[: len(opening)])
        scores[OWN].figures.update(figures)
        return {variant: [of_film] for variant, of_film in scores.items()}


def _utterance_of(sound: Soundtrack | None, frames: int) -> Utterance:
    """What is said in the next piece, of so many frames: words only where none are cut off."""
    if sound is None:
        samples = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
        return Utterance(samples, np.zeros(frames, np.bool_))
    said = sound.piece(frames)
    return replace(said, sentence=None) if sound.speech[frames:].any() else said


def _beside(
    dub: str, generated: TrackedClip, reference: TrackedClip
) -> dict[str, Callable[[], TrackedClip]]:
    """A piece of a dub and of the controls that are scored as it is."""

    def mean_frame() -> TrackedClip:
        mean = reference.frames.mean(0, dtype=np.float64).round().astype(np.uint8)
        return track_clip(np.repeat(mean[None], len(reference.frames), 0), 0.0)

    variants: dict[str, Callable[[], TrackedClip]] = {dub: lambda: generated}
    if dub == OWN:
        variants[REAL] = lambda: reference
        variants[STILL] = lambda: track_clip(with_still_mouth(reference), 0.0)
        variants[MEAN] = mean_frame
    elif dub == CROSS:
        variants[COPIED] = lambda: reference
    return variants


def score_film(task: FilmTask) -> None:
    """Dub a film with its own sound, another's and silence, score it, and write its record.

    Raises:
        FaceError: no face is seen, or none that can be dubbed.
        MediaError: the film cannot be read.
    """
    torch.set_num_threads(task.threads)
    avatar, film = avatar_of(task.base), _FilmScores(task.film, load_metrics(task.experts))
    own = Soundtrack(task.film, Path(task.film).stem)
    theirs = np.zeros(0, np.float32)
    with TemporaryDirectory() as folder:
        made = Path(folder) / "made.mp4"
        dub = avatar.dub(task.film, task.film, ALL_OF_FILM, provenance=False)
        film.notes += [f"{a:.1f} to {b:.1f} s is left as it was: {why}." for a, b, why in dub.left]
        dub.save(made)
        seconds = sum(end - start for start, end, _ in dub.left)
        rate = _frame_rate(task.film)
        figures = {
            "psnr_outside": psnr_outside(dub, str(made), task.film),
            "dubbed_share": 1 - seconds * rate / dub.frame_count,
        }
        film.add(OWN, made, own)
        if task.other is not None:
            said = Soundtrack(task.other, Path(task.other).stem)
            avatar.dub(task.film, task.other, WHILE_SPOKEN, provenance=False).save(made)
            film.add(CROSS, made, said)
            theirs = opening_of_film(task.other)
        nothing = np.zeros(len(own.speech) * SAMPLES_PER_FRAME, np.float32)
        avatar.dub(task.film, nothing, ALL_OF_FILM, provenance=False).save(made)
        film.add(SILENT, made, None)
    if abs(rate - RATE) > 0.01:
        film.notes.append(f"it has {rate:.5g} frames a second; it is compared at {RATE}")
    scores, curves = film.finished(theirs, figures), None
    if task.pictured:
        columns = faces_alone(film.columns)
        samples = Soundtrack(task.film, "").piece(len(columns["real"].frames)).samples
        curves = write_pictures(task.path.with_suffix(""), columns, samples)
    about = {"curves": curves, "skipped": film.metrics.skipped, "sentence": own.sentence}
    write_record(task.path, scores, {**about, "notes": film.notes})


def _frame_rate(film: str) -> float:
    video = probe(film).video
    return float(video.frame_rate) if video is not None else float(RATE)


def _usable(films: Sequence[Path]) -> tuple[dict[str, Path], dict[str, str]]:
    """Films that have picture and sound by unique names, and why others cannot be scored."""
    usable: dict[str, Path] = {}
    failures: dict[str, str] = {}
    for path, name in unique_names(footage_files(films), set()).items():
        try:
            info = probe(path)
            if info.video is None or info.video.still or info.audio is None:
                lacking = "sound" if info.audio is None else "moving picture"
                raise MediaError(
                    f"this film has no {lacking}", where=path, todo="Name films of people who speak"
                )
            usable[name] = path
        except MediaError as error:
            failures[name] = str(error)
    return usable, failures


def _base(avatar: str) -> tuple[Avatar, str]:
    """An avatar that can dub, and its folder.

    Raises:
        ArtefactError: there is none, or it cannot.
    """
    folder = str(base_folder()) if avatar == BUNDLED else avatar
    base = avatar_of(folder)
    if base.engine.renderer.needs == "nothing":
        raise ArtefactError(
            "this avatar cannot dub films",
            where=folder,
            todo="Name default, or an avatar trained with the recipe 'portrait'",
        )
    return base, folder


def evaluate_dubbing(
    avatar: str,
    films: Sequence[Path],
    out: Path,
    options: EvaluationOptions | None = None,
    report: Report = quiet,
) -> Outcome:
    """Score how films are dubbed.

    Args:
        avatar: folder of a base for portraits; "default": the one that talkers brings.
        films: videos of people who speak, or folders of them.
        out: folder of the report, as in `evaluate`.
        options: jobs, limit, experts and command, as in `evaluate`.
        report: told how far it is.

    Raises:
        TalkersError: no film could be scored.
    """
    options = options or EvaluationOptions()
    threads = threads_each(options.workers)
    base, folder = _base(avatar)
    usable, failures = _usable(films)
    experts = options.experts or people_folder()
    run = Evaluation.begin(out, experts, options.command)
    run.failures = failures
    if len(usable) == 1:
        run.about["notes"].append(NO_OTHER)
    key, paths, tasks = run.key, {}, dict[str, Any]()
    for k, (name, path) in enumerate(list(usable.items())[: options.limit]):
        other = usable[partner(name, list(usable))]
        pictured = k < PICTURED_CLIPS
        files = f"{file_digest(path)} {file_digest(other)} {pictured}"
        digest = sha256(f"{key} dub {base.digest} {files}".encode()).hexdigest()
        paths[name] = run.work / f"{name}-{digest[:12]}.json"
        sound = str(other) if other != path else None
        tasks[name] = FilmTask(folder, str(path), sound, experts, paths[name], pictured, threads)
    run.about |= {"avatar": str(base.engine.folder), "avatar_sha256": base.digest}
    run.failures |= score_all(score_film, tasks, paths, options.workers, report)
    return run.finish(paths)
