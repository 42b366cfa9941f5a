"""`talkers evaluate`: an avatar on real clips, scored clip by clip in child processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from talkers.artefacts.documents import write_json
from talkers.corpus import Corpus
from talkers.corpus.footage import footage_files
from talkers.corpus.prepare import prepare
from talkers.errors import ArtefactError, TalkersError
from talkers.evaluation.outcome import PICTURED_CLIPS, Evaluation, Outcome, threads_each
from talkers.evaluation.records import RECORD_VERSION, score_all
from talkers.evaluation.scoring import ClipTask, avatar_of, partner, score_clip
from talkers.evaluation.speed import measure_speed, measure_stream
from talkers.experts import load_expert, people_folder
from talkers.hardware import machine
from talkers.progress import Report, quiet
from talkers.runtime.avatar import Avatar
from talkers.version import __version__

MAX_STREAM_SECONDS = 30.0  # of speech that is streamed to measure the latency


@dataclass(frozen=True)
class EvaluationOptions:
    """How clips are scored.

    Attributes:
        seeds: how often everything random is repeated.
        jobs: child processes (None: one a core).
        limit: at most so many clips (None: all).
        every: score also the clips that the avatar was trained on.
        speed_seconds: of speech for the speed figures; 0 leaves them out.
        experts: folder of experts made by `talkers train-expert`, used in place of the bundled
            ones of the same name; see `judges_of` for the default.
        command: that is kept with the report.
    """

    seeds: int = 1
    jobs: int | None = None
    limit: int | None = None
    every: bool = False
    speed_seconds: float = 60.0
    experts: Path | None = None
    command: str = ""

    @property
    def workers(self) -> int:
        """Child processes."""
        return self.jobs if self.jobs is not None else os.cpu_count() or 1


def judges_of(avatar: Avatar) -> Path | None:
    """The bundled experts for whom an avatar shows: None, those of its person, where they hold out
    the same clips as it does; else the folder of those that know many people."""
    known = load_expert("lips-points").about["data"]["held_out"]
    held_out = (avatar.about.get("data") or {}).get("held_out")
    return None if held_out == known else people_folder()


def _corpus_of(
    clips: Sequence[Path], avatar: Avatar, work: Path, report: Report, jobs: int
) -> tuple[Corpus, dict[str, str]]:
    """The clips as a corpus of the avatar's size and rate: a corpus as it is, footage prepared
    beside the report.

    Raises:
        TalkersError: nothing could be prepared, or the corpus is another one.
    """
    if len(clips) == 1 and (clips[0] / "corpus.json").is_file():
        corpus, failures = Corpus(clips[0]), {}
    else:
        files = [
            (str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) if p.is_file() else str(p)
            for p in footage_files(clips)
        ]
        # other footage is another corpus
        key = sha256(f"{avatar.size} {avatar.frame_rate} {files}".encode()).hexdigest()[:12]
        prepared = prepare(
            clips, work / f"corpus-{key}", avatar.size, avatar.frame_rate, jobs, progress=report
        )
        corpus, failures = prepared.corpus, prepared.failures
    if corpus.size != avatar.size or corpus.rate != avatar.frame_rate:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {float(corpus.rate):g} fps, evaluating this "
            f"avatar needs {avatar.size} px at {float(avatar.frame_rate):g} fps",
            where=corpus.folder,
            todo="Name the footage itself, it is prepared as it must be",
        )
    return corpus, failures


def _chosen(
    corpus: Corpus, avatar: Avatar, every: bool, limit: int | None
) -> tuple[list[str], str]:
    """The clips to score and a remark: those that the avatar was not trained on, which is known
    by their sources' digests.

    Raises:
        ArtefactError: there are none.
    """
    about = avatar.about.get("data") or {}
    trained, held_out = set(about.get("sources") or []), set(about.get("held_out") or [])
    seen = {c.name for c in corpus.clips if c.sha256[:16] in trained and c.name not in held_out}
    names, remark = [n for n in corpus.names if every or n not in seen], ""
    if seen and every:
        remark = f"{len(seen)} of these clips are among those that the avatar was trained on."
    elif seen:
        remark = f"{len(seen)} clips that the avatar was trained on are left out."
    if not names:
        raise ArtefactError(
            "the avatar was trained on all of these clips",
            where=corpus.folder,
            todo="Name other footage, or add --every",
        )
    return (names[:limit] if limit else names), remark


def _speed_of(avatar: Avatar, seconds: float, work: Path) -> dict[str, float]:
    """Speed of speaking and streaming, measured once an avatar and report.

    Raises:
        TalkersError: it cannot be measured.
    """
    about = f"{avatar.digest} {seconds} {__version__} {machine()} {RECORD_VERSION}"
    path = work / f"speed-{sha256(about.encode()).hexdigest()[:12]}.json"
    if not path.is_file():
        folder = str(avatar.engine.folder)
        found = measure_speed(folder, seconds)
        if avatar.engine.streaming_encoder is not None:
            stream = measure_stream(folder, min(seconds, MAX_STREAM_SECONDS))
            found |= {f"live_{name}": value for name, value in stream.items()}
        write_json(path, found)
    figures: dict[str, float] = json.loads(path.read_text("utf-8"))
    return figures


def _training_of(about: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Frames seen and seconds of training of each stage, of what an avatar was initialized from
    too."""
    total = {stage: dict(spent) for stage, spent in (about.get("training") or {}).items()}
    before = about.get("initialized_from")
    while before:
        for key in ("frames_seen", "seconds"):
            if "codec" in total:
                total["codec"][key] = round(total["codec"][key] + before.get(key, 0), 1)
        before = before.get("initialized_from") or before.get("begun_with")
    return total


def evaluate(
    avatar: str,
    clips: Sequence[Path],
    out: Path,
    options: EvaluationOptions | None = None,
    report: Report = quiet,
) -> Outcome:
    """Score an avatar on real clips of its person.

    Args:
        avatar: folder of an avatar, or default.
        clips: footage that the avatar was not trained on, or a corpus folder; clips that it was
            trained on are left out, unless `options.every`.
        out: folder of the report: metrics.json, index.html, and what is needed to go on after an
            interruption.
        options: how clips are scored.
        report: told how far it is.

    Raises:
        TalkersError: no clip could be scored.
    """
    options = options or EvaluationOptions()
    threads = threads_each(options.workers)
    loaded = avatar_of(avatar)
    experts = options.experts or judges_of(loaded)
    run = Evaluation.begin(out, experts, options.command)
    corpus, run.failures = _corpus_of(clips, loaded, run.work, report, options.workers)
    names, remark = _chosen(corpus, loaded, options.every, options.limit)
    run.about["notes"] += [remark] if remark else []
    if options.speed_seconds:  # while nothing else runs
        try:
            speed = _speed_of(loaded, options.speed_seconds, run.work)
            run.speed = {name: {"mean": round(value, 3)} for name, value in speed.items()}
            run.speed["training"] = _training_of(loaded.about)
        except TalkersError as error:
            run.about["notes"].append(str(error))
    run.about |= {
        "avatar": str(loaded.engine.folder),
        "avatar_sha256": loaded.digest,
        "data": corpus.digest(names),
        "seeds": options.seeds,
    }
    key, paths, tasks = run.key, {}, {}
    for k, name in enumerate(names):
        other, pictured = partner(name, corpus.names), k < PICTURED_CLIPS
        data = f"{corpus.digest([name])} {corpus.digest([other])} {options.seeds} {pictured}"
        digest = sha256(f"{key} {loaded.digest} {data}".encode()).hexdigest()
        paths[name] = run.work / f"{name}-{digest[:12]}.json"
        tasks[name] = ClipTask(
            avatar,
            str(corpus.folder),
            name,
            other,
            options.seeds,
            experts,
            paths[name],
            pictured,
            threads,
        )
    run.failures |= score_all(score_clip, tasks, paths, options.workers, report)
    return run.finish(paths)
