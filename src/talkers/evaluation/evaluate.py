"""`talkers evaluate`: an avatar on real clips, or pairs of videos, scored clip by clip in child processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

import talkers
from talkers.avatar import Avatar
from talkers.bundle import digest
from talkers.corpus import Corpus
from talkers.corpus.parallel import parallel
from talkers.corpus.prepare import footage_files, prepare
from talkers.corpus.store import write_json
from talkers.errors import ArtefactError, MediaError, TalkersError
from talkers.evaluation.judges import Judged, load_judges
from talkers.evaluation.report import write_report
from talkers.evaluation.speed import measure_speed
from talkers.evaluation.statistics import summary
from talkers.evaluation.variants import variants
from talkers.evaluation.watched import Watched, watch
from talkers.experts.load import RATE, SAMPLES_A_FRAME
from talkers.experts.words import sentence_of_name
from talkers.media import AUDIO_RATE, VideoWriter, decode_frames, probe, read_audio, write_png
from talkers.media.encode import atomic
from talkers.montage import montage
from talkers.speech import loudness, speech_activity
from talkers.training.frames import held_out
from talkers.training.motion_data import head_values
from talkers.training.progress import Report, quiet
from talkers.training.run import machine

FORMAT_VERSION = 1
SHOWN = 3  # clips whose videos and curves are in the report
SEEDED = ("codec", "speech", "speech_given_pose", "controls.per_frame_noise")  # variants made anew for every seed


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found. metrics: what metrics.json holds; failures: clips that could not be scored, and why."""

    metrics: dict[str, Any]
    failures: dict[str, str]


@lru_cache(1)
def _avatar(name: str) -> Avatar:
    return Avatar.load(name)


def _record(path: Path, judged: dict[str, list[Judged]], extra: dict[str, Any]) -> None:
    """Keep a clip's figures: NAME.json, with the features for Frechet distances in NAME.safetensors."""
    features = {}
    for variant, runs in judged.items():
        for distance, (made, real) in runs[0].features.items():
            features[f"{variant}/{distance}/made"], features[f"{variant}/{distance}/real"] = made, real
    with atomic(path.with_suffix(".safetensors")) as temporary:
        save_file(features, temporary)
    write_json(path, {"figures": {v: [j.figures for j in runs] for v, runs in judged.items()}, **extra})


def _show(folder: Path, columns: dict[str, Watched], samples: NDArray[np.float32]) -> dict[str, Any]:
    """Side-by-side video, montage and curves of a clip, for the report."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.concatenate([w.frames for w in columns.values()], 2)
    with VideoWriter(folder / "side-by-side.mp4", Fraction(RATE), [samples], AUDIO_RATE, crf=20) as writer:
        for frame in frames:
            writer.write(frame)
    write_png(folder / "montage.png", montage([w.frames for w in columns.values()]))
    return {
        name: {"opening": w.opening.round(4).tolist(), "yaw": w.angles[:, 0].round(3).tolist(), "pitch": w.angles[:, 1].round(3).tolist()}
        for name, w in columns.items()
    }


def score_clip(avatar: str, corpus: str, name: str, other: str, seeds: int, path: str, shown: bool, threads: int) -> None:
    """Score one clip of a corpus and write PATH; run in a child process."""
    torch.set_num_threads(threads)
    loaded, clips, judges = _avatar(avatar), Corpus(corpus), load_judges()
    frames, samples = clips.frames(name), clips.audio(name)
    real, sentence = watch(frames), sentence_of_name(name)
    speech = np.array(clips.column("speech", name), dtype=bool)
    phones = judges.said_when(samples, sentence)
    judged: dict[str, list[Judged]] = {}
    columns: dict[str, Watched] = {"real": real}
    foreign = clips.audio(other) if other != name else np.roll(samples, len(samples) // 2)  # a single clip: its own sound, begun in the middle
    for variant, make in variants(loaded, frames, samples, foreign, torch.from_numpy(head_values(clips, name))).items():
        judged[variant] = []
        for seed in range(seeds if variant in SEEDED else 1):
            made = real if variant == "controls.real" else watch(make(seed), 0.0)
            judged[variant].append(judges.judge(made, real, samples, speech, sentence, phones))
            if seed == 0 and not variant.startswith("controls."):
                columns[variant] = made
    curves = _show(Path(path).with_suffix(""), columns, samples) if shown else None
    _record(Path(path), judged, {"curves": curves, "skipped": judges.skipped, "sentence": sentence})


def score_pair(made_path: str, real_path: str, path: str, shown: bool, threads: int) -> None:
    """Score one pair of videos and write PATH; run in a child process."""
    torch.set_num_threads(threads)
    judges, notes = load_judges(), []
    made_frames, real_frames = (np.stack(list(decode_frames(p, Fraction(RATE)))) for p in (made_path, real_path))
    if abs(len(made_frames) - len(real_frames)) > 1:
        notes.append(f"they have {len(made_frames)} and {len(real_frames)} frames; the first {min(len(made_frames), len(real_frames))} are compared")
    count = min(len(made_frames), len(real_frames))
    made_frames, real_frames = made_frames[:count], real_frames[:count]
    if made_frames.shape != real_frames.shape:
        height, width = real_frames.shape[1:3]
        notes.append(f"the made one is {made_frames.shape[2]}x{made_frames.shape[1]}, the real one {width}x{height}; it is scaled to that")
        made_frames = np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)) for f in made_frames])
    sounds = [p for p in (real_path, made_path) if probe(p).audio is not None]
    if not sounds:
        raise MediaError("neither video of this pair has sound", where=made_path, todo="Give the speech with at least one of them")
    samples = read_audio(sounds[0])[: count * SAMPLES_A_FRAME]
    speech = speech_activity(loudness(samples, AUDIO_RATE, RATE, count))
    real, made, sentence = watch(real_frames), watch(made_frames), sentence_of_name(Path(real_path).stem)
    phones = judges.said_when(samples, sentence)
    still = np.repeat(real_frames.mean(0, dtype=np.float64).round().astype(np.uint8)[None], count, 0)
    before = np.concatenate([real_frames[:1], real_frames[:-1]])
    columns = {"pairs": made, "controls.real": real, "controls.mean_frame": watch(still, 0.0), "controls.previous_frame": watch(before, 0.0)}
    judged = {v: [judges.judge(w, real, samples, speech, sentence, phones)] for v, w in columns.items()}
    curves = _show(Path(path).with_suffix(""), {"real": real, "made": made}, samples) if shown else None
    _record(Path(path), judged, {"curves": curves, "skipped": judges.skipped, "sentence": sentence, "notes": notes})


def _corpus_of(clips: Sequence[Path], avatar: Avatar, work: Path, report: Report, jobs: int) -> tuple[Corpus, dict[str, str]]:
    """The clips as a corpus of the avatar's size: a corpus as it is, footage prepared beside the report."""
    if len(clips) == 1 and (clips[0] / "corpus.json").is_file():
        corpus, failures = Corpus(clips[0]), {}
    else:
        prepared = prepare(clips, work / "corpus", avatar.size, avatar.frame_rate, jobs, progress=report)
        corpus, failures = prepared.corpus, prepared.failures
    if corpus.size != avatar.size or corpus.rate != RATE or avatar.frame_rate != RATE:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {corpus.rate} fps, the avatar {avatar.size} px at {avatar.frame_rate} fps; evaluation needs both at {RATE}",
            where=corpus.folder,
            todo="Name the footage itself, it is prepared as it must be",
        )
    return corpus, failures


def _chosen(corpus: Corpus, avatar: Avatar, every: bool, limit: int | None, notes: list[str]) -> list[str]:
    """The clips to score: those that the avatar was not trained on."""
    about = avatar.about.get("data", {})
    held = [n for n in corpus.names if n in set(about.get("held_out", []))]
    names = corpus.names
    if not every and held and about.get("digest") == corpus.digest([n for n in corpus.names if n not in set(held_out(corpus.names))]):
        names = held
        notes.append(f"this is the avatar's own corpus: only its {len(held)} held-out clips are scored.")
    return names[:limit] if limit else names


def _gather(paths: dict[str, Path]) -> tuple[dict[str, dict[str, list[list[float]]]], dict[str, dict[str, Any]], dict[str, Any]]:
    """Figures as {variant: {metric: [[value of each seed] of each clip]}}, the clips' own records, and FID's features."""
    values: dict[str, dict[str, list[list[float]]]] = {}
    records: dict[str, dict[str, Any]] = {}
    features: dict[str, list[Any]] = {}
    for name, path in paths.items():
        records[name] = json.loads(path.read_text("utf-8"))
        for variant, runs in records[name]["figures"].items():
            for metric in runs[0]:
                values.setdefault(variant, {}).setdefault(metric, []).append([run[metric] for run in runs])
        for key, rows in load_file(path.with_suffix(".safetensors")).items():
            features.setdefault(key, []).append(rows)
    return values, records, {k: np.concatenate(v) for k, v in features.items()}


def _run(tasks: dict[str, tuple[Any, ...]], work: Any, paths: dict[str, Path], jobs: int, report: Report) -> dict[str, str]:
    """Do what is not done yet; returns what failed and why."""
    failures: dict[str, str] = {}
    left = {name: arguments for name, arguments in tasks.items() if not paths[name].is_file()}
    finished = [len(tasks) - len(left)]
    report("scoring clips", finished[0], len(tasks))

    def done(name: str, result: Any) -> None:
        if isinstance(result, TalkersError):
            failures[name] = str(result)
        finished[0] += 1
        report("scoring clips", finished[0], len(tasks))

    parallel(work, left, jobs, done)
    return failures


def _finish(
    out: Path, about: dict[str, Any], paths: dict[str, Path], failures: dict[str, str], speed: dict[str, float] | None, avatar: Avatar | None
) -> Outcome:
    scored = {name: path for name, path in paths.items() if name not in failures}
    if not scored:
        first = next(iter(failures.values()), "there are none")
        raise MediaError("none of the clips could be scored", why=f"the first: {first.rstrip('.')}", todo="See `talkers check`")
    values, records, features = _gather(scored)
    skipped = next(iter(records.values()))["skipped"]
    if not any(r["sentence"] for r in records.values()):
        skipped |= dict.fromkeys(("lip_wer", "lip_wer_points", "bilabial_closure"), "no clip has a GRID file name that spells its sentence.")
    metrics: dict[str, Any] = {"format_version": FORMAT_VERSION, "about": {**about, "skipped": skipped, "failures": failures, "clips": sorted(scored)}}
    metrics |= summary(values, features)
    if speed is not None and avatar is not None:
        training = avatar.about.get("training") or {}
        metrics["speed"] = {k: {"mean": round(v, 3)} for k, v in speed.items()} | {"training": training}
    notes = [f"{name}: {note}" for name, record in records.items() for note in record.get("notes", [])]
    metrics["about"]["notes"] = [*about.get("notes", []), *notes]
    write_report(out, metrics, {n: r for n, r in records.items() if r["curves"]}, scored)
    write_json(out / "metrics.json", metrics)
    return Outcome(metrics, failures)


def _about(command: str) -> dict[str, Any]:
    return {"talkers": talkers.__version__, "command": command, "machine": machine(), "notes": []}


def evaluate(avatar: str, clips: Sequence[Path], out: Path, seeds: int = 1, jobs: int | None = None, limit: int | None = None, every: bool = False,
             speed_seconds: float = 60.0, command: str = "", report: Report = quiet) -> Outcome:  # fmt: skip
    """Score an avatar on real clips of its person.

    Args:
        avatar: folder of an avatar, or default.
        clips: footage that the avatar was not trained on, or a corpus folder; of its own corpus only the held-out clips
            are taken, unless `every`.
        out: folder of the report: metrics.json, index.html, and what is needed to go on after an interruption.
        seeds: how often everything random is repeated.
        jobs: child processes (default: one a core).
        limit: at most so many clips.
        speed_seconds: of speech for the speed figures; 0 leaves them out.

    Raises:
        TalkersError: no clip could be scored.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    loaded, about = _avatar(avatar), _about(command)
    work = out / ".work"
    corpus, failures = _corpus_of(clips, loaded, work, report, workers)
    names = _chosen(corpus, loaded, every, limit, about["notes"])
    speed = measure_speed(str(loaded.folder), speed_seconds) if speed_seconds else None  # while nothing else runs
    identity = [digest(loaded.folder / f) for f in ("avatar.json", "codec.safetensors", "motion.safetensors")]
    about |= {"avatar": str(loaded.folder), "avatar_sha256": sha256("".join(identity).encode()).hexdigest(), "data": corpus.digest(names), "seeds": seeds}
    paths = {}
    for k, name in enumerate(names):
        key = sha256(f"{FORMAT_VERSION} {talkers.__version__} {identity} {corpus.digest([name])} {names[(k + 1) % len(names)]} {seeds} {k < SHOWN}".encode())
        paths[name] = work / f"{name}-{key.hexdigest()[:12]}.json"
    threads = max(1, (os.cpu_count() or 1) // workers)
    tasks = {name: (avatar, str(corpus.folder), name, names[(k + 1) % len(names)], seeds, str(paths[name]), k < SHOWN, threads) for k, name in enumerate(names)}
    failures |= _run(tasks, score_clip, paths, workers, report)
    return _finish(out, about, paths, failures, speed, loaded)


def evaluate_pairs(made: Path, real: Path, out: Path, jobs: int | None = None, limit: int | None = None, command: str = "", report: Report = quiet) -> Outcome:
    """Score videos that any system made against the real ones of the same names.

    Args:
        made, real: folders (or single files) whose files go together by their names without suffix.
        out: as in `evaluate`.

    Raises:
        TalkersError: no pair could be scored.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    theirs = {p.stem: p for p in footage_files([made])}
    ours = {p.stem: p for p in footage_files([real])}
    names = sorted(set(theirs) & set(ours))
    if made.is_file() and real.is_file():
        names, ours = list(theirs), dict(zip(theirs, ours.values(), strict=True))
    if not names:
        raise MediaError("no two videos have the same name", where=made, why=f"it was compared with {real}", todo="Name each made video as the real one")
    about = _about(command)
    if alone := sorted(set(theirs) ^ set(ours)):
        about["notes"].append(f"{len(alone)} videos have no partner and are left out, the first: {alone[0]}.")
    names = names[:limit] if limit else names
    work = out / ".work"
    work.mkdir(parents=True, exist_ok=True)
    paths, tasks = {}, {}
    for k, name in enumerate(names):
        key = sha256(f"{FORMAT_VERSION} {talkers.__version__} {digest(theirs[name])} {digest(ours[name])} {k < SHOWN}".encode()).hexdigest()
        paths[name] = work / f"{name}-{key[:12]}.json"
        tasks[name] = (str(theirs[name]), str(ours[name]), str(paths[name]), k < SHOWN, max(1, (os.cpu_count() or 1) // workers))
    about |= {"made": str(made), "real": str(real)}
    return _finish(out, about, paths, _run(tasks, score_pair, paths, workers, report), None, None)
