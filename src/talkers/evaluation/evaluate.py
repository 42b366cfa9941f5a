"""`talkers evaluate`: an avatar on real clips, scored clip by clip in child processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from talkers.artefacts.documents import write_json
from talkers.corpus import Corpus
from talkers.corpus.footage import footage_files
from talkers.corpus.prepare import prepare
from talkers.corpus.views import head_values
from talkers.errors import ArtefactError, TalkersError
from talkers.evaluation.metrics import ClipScores, load_metrics
from talkers.evaluation.motion import takes_differ
from talkers.evaluation.records import (
    RECORDS,
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
from talkers.evaluation.speed import measure_speed, measure_stream
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.evaluation.variants import RealClip, variants
from talkers.experts.rate import RATE
from talkers.experts.words import sentence_of_name
from talkers.hardware import give_back_memory, machine
from talkers.progress import Report, quiet
from talkers.runtime.avatar import Avatar
from talkers.version import __version__

SEEDED = (
    "codec",
    "speech",
    "speech_given_pose",
    "sampled",
    "sampled_given_pose",
    "live",
    "controls.per_frame_noise",
)  # variants made anew for every seed


@lru_cache(1)
def _avatar(name: str) -> Avatar:
    return Avatar.load(name)


def partner(name: str, names: Sequence[str]) -> str:
    """The clip whose sound is the wrong one for a clip: one that shares the fewest words with it."""
    said = set(enumerate(sentence_of_name(name) or ()))
    others = [n for n in names if n != name] or [name]
    return min(
        others,
        key=lambda n: (
            len(said & set(enumerate(sentence_of_name(n) or ()))),
            sha256(f"{name} {n}".encode()).hexdigest(),
        ),
    )


def shuffled(samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Sound begun somewhere in its middle third, the place chosen by a name: sentences are begun alike."""
    place = 1 / 3 + int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32 / 3
    return np.roll(samples, -int(place * len(samples)))


def score_clip(
    avatar: str,
    corpus: str,
    name: str,
    other: str,
    seeds: int,
    experts: Path | None,
    path: str,
    shown: bool,
    threads: int,
) -> None:
    """Score one clip of a corpus and write PATH; run in a child process."""
    torch.set_num_threads(threads)
    loaded, clips, judges = _avatar(avatar), Corpus(corpus), load_metrics(experts)
    frames, samples = clips.frames(name), clips.audio(name)
    real, sentence = track_clip(frames), sentence_of_name(name)
    speech = np.array(clips.column("speech", name), dtype=bool)
    phones = judges.align_phones(samples, sentence)
    judged: dict[str, list[ClipScores]] = {}
    columns: dict[str, TrackedClip] = {"real": real}
    head = torch.from_numpy(head_values(clips, name))
    clip = RealClip(frames, samples, shuffled(clips.audio(other), name), head)
    for variant, make in variants(loaded, clip).items():
        judged[variant], first = [], real
        for seed in range(seeds if variant in SEEDED else 1):
            made = real if variant == "controls.real" else track_clip(make(seed), 0.0)
            judged[variant].append(judges.judge(made, real, samples, speech, sentence, phones))
            first = made if seed == 0 else first
            judged[variant][-1].figures["takes_differ"] = (
                takes_differ(made, first) if seed else float("nan")
            )
            if seed == 0 and not variant.startswith("controls."):
                columns[variant] = made
            del made
            give_back_memory()
    curves = show(Path(path).with_suffix(""), columns, samples) if shown else None
    write_record(
        Path(path), judged, {"curves": curves, "skipped": judges.skipped, "sentence": sentence}
    )


def _corpus_of(
    clips: Sequence[Path], avatar: Avatar, work: Path, report: Report, jobs: int
) -> tuple[Corpus, dict[str, str]]:
    """The clips as a corpus of the avatar's size: a corpus as it is, footage prepared beside the report."""
    if avatar.frame_rate != RATE:
        raise ArtefactError(
            f"this avatar makes {float(avatar.frame_rate):g} frames a second; the judges know {RATE}",
            where=avatar.engine.folder,
            todo=f"Prepare its footage with --rate {RATE} and train it again; or score its videos with --pairs",
        )
    if len(clips) == 1 and (clips[0] / "corpus.json").is_file():
        corpus, failures = Corpus(clips[0]), {}
    else:
        files = [
            (str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) if p.is_file() else str(p)
            for p in footage_files(clips)
        ]
        key = sha256(f"{avatar.size} {files}".encode()).hexdigest()[
            :12
        ]  # other footage is another corpus
        prepared = prepare(
            clips, work / f"corpus-{key}", avatar.size, avatar.frame_rate, jobs, progress=report
        )
        corpus, failures = prepared.corpus, prepared.failures
    if corpus.size != avatar.size or corpus.rate != RATE:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {corpus.rate} fps, evaluating this avatar needs {avatar.size} px at {RATE} fps",
            where=corpus.folder,
            todo="Name the footage itself, it is prepared as it must be",
        )
    return corpus, failures


def _chosen(
    corpus: Corpus, avatar: Avatar, every: bool, limit: int | None, notes: list[str]
) -> list[str]:
    """The clips to score: those that the avatar was not trained on, which is told by their sources' digests."""
    about = avatar.about.get("data") or {}
    trained, held = set(about.get("sources") or []), set(about.get("held_out") or [])
    seen = [c.name for c in corpus.clips if c.sha256[:16] in trained and c.name not in held]
    names = [n for n in corpus.names if every or n not in set(seen)]
    if seen and every:
        notes.append(f"{len(seen)} of these clips are among those that the avatar was trained on.")
    elif seen:
        notes.append(f"{len(seen)} clips that the avatar was trained on are left out.")
    if not names:
        raise ArtefactError(
            "the avatar was trained on all of these clips",
            where=corpus.folder,
            todo="Name other footage, or add --every",
        )
    return names[:limit] if limit else names


def _speed_of(
    avatar: Avatar, seconds: float, work: Path, notes: list[str]
) -> dict[str, float] | None:
    """Speed of speaking and streaming, measured once an avatar and report."""
    key = sha256(
        f"{avatar.digest} {seconds} {__version__} {machine()} {RECORDS}".encode()
    ).hexdigest()[:12]
    path = work / f"speed-{key}.json"
    try:
        if not path.is_file():
            got = measure_speed(str(avatar.engine.folder), seconds)
            if avatar.engine.streaming_encoder is not None:
                got |= {
                    f"live_{k}": v
                    for k, v in measure_stream(
                        str(avatar.engine.folder), min(seconds, 30.0)
                    ).items()
                }
            write_json(path, got)
        figures: dict[str, float] = json.loads(path.read_text("utf-8"))
        return figures
    except TalkersError as error:
        notes.append(str(error))
        return None


def evaluate(
    avatar: str,
    clips: Sequence[Path],
    out: Path,
    seeds: int = 1,
    jobs: int | None = None,
    limit: int | None = None,
    every: bool = False,
    speed_seconds: float = 60.0,
    experts: Path | None = None,
    command: str = "",
    report: Report = quiet,
) -> Outcome:
    """Score an avatar on real clips of its person.

    Args:
        avatar: folder of an avatar, or default.
        clips: footage that the avatar was not trained on, or a corpus folder; clips that it was trained on are left out,
            unless `every`.
        out: folder of the report: metrics.json, index.html, and what is needed to go on after an interruption.
        seeds: how often everything random is repeated.
        jobs: child processes (default: one a core).
        limit: at most so many clips.
        speed_seconds: of speech for the speed figures; 0 leaves them out.
        experts: folder of judges made by `talkers train-expert`, used in place of the bundled ones of the same name.

    Raises:
        TalkersError: no clip could be scored.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    threads, work = threads_each(workers), work_folder(out)
    loaded, about = _avatar(avatar), about_run(command)
    corpus, failures = _corpus_of(clips, loaded, work, report, workers)
    names = _chosen(corpus, loaded, every, limit, about["notes"])
    speed = (
        _speed_of(loaded, speed_seconds, work, about["notes"]) if speed_seconds else None
    )  # while nothing else runs
    about |= {
        "avatar": str(loaded.engine.folder),
        "avatar_sha256": loaded.digest,
        "data": corpus.digest(names),
        "seeds": seeds,
    }
    judged, paths, tasks = judges_key(experts), {}, {}
    for k, name in enumerate(names):
        other = partner(name, corpus.names)
        key = sha256(
            f"{judged} {loaded.digest} {corpus.digest([name])} {corpus.digest([other])} {seeds} {k < SHOWN}".encode()
        )
        paths[name] = work / f"{name}-{key.hexdigest()[:12]}.json"
        tasks[name] = (
            avatar,
            str(corpus.folder),
            name,
            other,
            seeds,
            experts,
            str(paths[name]),
            k < SHOWN,
            threads,
        )
    failures |= run(tasks, score_clip, paths, workers, report)
    return finish(out, about, paths, failures, speed, loaded)
