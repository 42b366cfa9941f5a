"""`talkers evaluate`: an avatar on real clips, or pairs of videos, scored clip by clip in child processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

import talkers
from talkers.avatar import Avatar
from talkers.bundle import digest
from talkers.corpus import Corpus
from talkers.corpus.clips import LONGEST_SECONDS, in_pieces
from talkers.corpus.parallel import parallel
from talkers.corpus.prepare import footage_files, prepare
from talkers.corpus.store import write_json
from talkers.errors import ArtefactError, FaceError, MediaError, ResourceError, TalkersError, UsageError
from talkers.evaluation.judges import Judged, expert_paths, load_judges
from talkers.evaluation.motion import takes_differ
from talkers.evaluation.perceptual import frechet_distance
from talkers.evaluation.report import write_report
from talkers.evaluation.speed import measure_speed, measure_stream
from talkers.evaluation.statistics import summary
from talkers.evaluation.variants import variants
from talkers.evaluation.watched import Watched, watch
from talkers.experts.load import RATE, SAMPLES_A_FRAME, load_expert
from talkers.experts.words import sentence_of_name
from talkers.media import AUDIO_RATE, VideoWriter, audio_blocks, decode_frames, probe, write_png
from talkers.media.encode import atomic
from talkers.montage import montage
from talkers.speech import loudness_of, speech_activity
from talkers.training.motion_data import head_values
from talkers.training.progress import Report, quiet
from talkers.training.run import machine

FORMAT_VERSION = 1
RECORDS = 5  # version of the clips' records: raised when figures are computed otherwise, so that old ones are not taken
LONGEST_PIECE = LONGEST_SECONDS * RATE  # frames of a pair that are held in memory
SHOWN = 3  # clips whose videos and curves are in the report
SEEDED = ("codec", "speech", "speech_given_pose", "sampled", "sampled_given_pose", "live", "controls.per_frame_noise")  # variants made anew for every seed


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
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)))  # H.264 wants even sides
    with VideoWriter(folder / "side-by-side.mp4", Fraction(RATE), [samples], AUDIO_RATE, crf=20) as writer:
        for frame in frames:
            writer.write(frame)
    write_png(folder / "montage.png", montage([w.frames for w in columns.values()]))
    return {
        name: {"opening": w.opening.round(4).tolist(), "yaw": w.angles[:, 0].round(3).tolist(), "pitch": w.angles[:, 1].round(3).tolist()}
        for name, w in columns.items()
    }


def partner(name: str, names: Sequence[str]) -> str:
    """The clip whose sound is the wrong one for a clip: one that shares the fewest words with it."""
    said = set(enumerate(sentence_of_name(name) or ()))
    others = [n for n in names if n != name] or [name]
    return min(others, key=lambda n: (len(said & set(enumerate(sentence_of_name(n) or ()))), sha256(f"{name} {n}".encode()).hexdigest()))


def shuffled(samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Sound begun somewhere in its middle third, the place chosen by a name: sentences are begun alike."""
    place = 1 / 3 + int(sha256(name.encode()).hexdigest()[:8], 16) / 2**32 / 3
    return np.roll(samples, -int(place * len(samples)))


def score_clip(avatar: str, corpus: str, name: str, other: str, seeds: int, experts: Path | None, path: str, shown: bool, threads: int) -> None:
    """Score one clip of a corpus and write PATH; run in a child process."""
    torch.set_num_threads(threads)
    loaded, clips, judges = _avatar(avatar), Corpus(corpus), load_judges(experts)
    frames, samples = clips.frames(name), clips.audio(name)
    real, sentence = watch(frames), sentence_of_name(name)
    speech = np.array(clips.column("speech", name), dtype=bool)
    phones = judges.said_when(samples, sentence)
    judged: dict[str, list[Judged]] = {}
    columns: dict[str, Watched] = {"real": real}
    for variant, make in variants(loaded, frames, samples, shuffled(clips.audio(other), name), torch.from_numpy(head_values(clips, name))).items():
        judged[variant], first = [], real
        for seed in range(seeds if variant in SEEDED else 1):
            made = real if variant == "controls.real" else watch(make(seed), 0.0)
            judged[variant].append(judges.judge(made, real, samples, speech, sentence, phones))
            first = made if seed == 0 else first
            judged[variant][-1].figures["takes_differ"] = takes_differ(made, first) if seed else float("nan")
            if seed == 0 and not variant.startswith("controls."):
                columns[variant] = made
    curves = _show(Path(path).with_suffix(""), columns, samples) if shown else None
    _record(Path(path), judged, {"curves": curves, "skipped": judges.skipped, "sentence": sentence})


def joined(parts: Sequence[tuple[int, Judged]]) -> Judged:
    """Figures of a video from those of its pieces, each with its frames: means over the frames of pieces that define them."""
    figures = {}
    for key in parts[0][1].figures:
        held = [(frames, value) for frames, judged in parts if np.isfinite(value := judged.figures[key])]
        figures[key] = sum(frames * value for frames, value in held) / sum(frames for frames, _ in held) if held else float("nan")
    features = {k: tuple(np.concatenate([j.features[k][which] for _, j in parts]) for which in (0, 1)) for k in parts[0][1].features}
    return Judged(figures, features)  # type: ignore[arg-type]


def score_pair(made_path: str, real_path: str, experts: Path | None, path: str, shown: bool, threads: int) -> None:
    """Score one pair of videos, in pieces of at most LONGEST_PIECE frames, and write PATH; run in a child process."""
    torch.set_num_threads(threads)
    judges, notes = load_judges(experts), []
    for which in (made_path, real_path):
        if (video := probe(which).video) is not None and abs(float(video.frame_rate) - RATE) > 0.01:
            notes.append(f"{Path(which).name} has {float(video.frame_rate):.5g} frames a second; it is compared at {RATE}")
    sounds = [p for p in (made_path, real_path) if probe(p).audio is not None]
    if not sounds:
        raise MediaError("neither video of this pair has sound", where=made_path, todo="Give the speech with at least one of them")
    levels, _ = loudness_of(audio_blocks(sounds[0]), AUDIO_RATE, RATE)
    said = speech_activity(levels)
    sentence = sentence_of_name(Path(real_path).stem) if len(levels) <= LONGEST_PIECE else None
    heard = in_pieces(audio_blocks(sounds[0]), count(0, LONGEST_PIECE * SAMPLES_A_FRAME))
    films, totals = [decode_frames(p, Fraction(RATE)) for p in (made_path, real_path)], [0, 0]
    parts: dict[str, list[tuple[int, Judged]]] = {}
    first = curves = None
    while True:
        pieces = [list(islice(film, LONGEST_PIECE)) for film in films]
        totals = [total + len(piece) for total, piece in zip(totals, pieces, strict=True)]
        begin, frames = max(totals) - max(map(len, pieces)), min(map(len, pieces))
        if not frames:
            break
        made_frames, real_frames = (np.stack(piece[:frames]) for piece in pieces)
        if made_frames.shape != real_frames.shape:
            height, width = real_frames.shape[1:3]
            if not begin:
                notes.append(f"the made one is {made_frames.shape[2]}x{made_frames.shape[1]}, the real one {width}x{height}; it is scaled to that")
            made_frames = np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.LANCZOS)) for f in made_frames])
        samples = next(heard)[: frames * SAMPLES_A_FRAME]
        speech = np.pad(said[begin : begin + frames], (0, max(0, begin + frames - max(begin, len(said)))))[:frames]
        try:
            real, made = watch(real_frames), watch(made_frames)
        except FaceError as error:
            first = first or error
            notes.append(f"from {begin / RATE:.1f} to {(begin + frames) / RATE:.1f} s {error.what}; left out")
            continue
        phones = judges.said_when(samples, sentence)
        still = np.repeat(real_frames.mean(0, dtype=np.float64).round().astype(np.uint8)[None], frames, 0)
        before = np.concatenate([real_frames[:1], real_frames[:-1]])
        columns = {"pairs": made, "controls.real": real, "controls.mean_frame": watch(still, 0.0), "controls.previous_frame": watch(before, 0.0)}
        for variant, seen in columns.items():
            parts.setdefault(variant, []).append((frames, judges.judge(seen, real, samples, speech, sentence, phones)))
        if shown and curves is None:
            curves = _show(Path(path).with_suffix(""), {"real": real, "made": made}, samples)
    if not parts:
        raise first or MediaError("one of these videos has no frames", where=made_path, todo="Give two videos")
    for film, k in zip(films, (0, 1), strict=True):
        totals[k] += sum(1 for _ in film)
    if abs(totals[0] - totals[1]) > 1:
        notes.append(f"they have {totals[0]} and {totals[1]} frames; the first {min(totals)} are compared")
    judged = {variant: [joined(pieces)] for variant, pieces in parts.items()}
    _record(Path(path), judged, {"curves": curves, "skipped": judges.skipped, "sentence": sentence, "notes": notes})


def _corpus_of(clips: Sequence[Path], avatar: Avatar, work: Path, report: Report, jobs: int) -> tuple[Corpus, dict[str, str]]:
    """The clips as a corpus of the avatar's size: a corpus as it is, footage prepared beside the report."""
    if avatar.frame_rate != RATE:
        raise ArtefactError(
            f"this avatar makes {float(avatar.frame_rate):g} frames a second; the judges know {RATE}",
            where=avatar.folder,
            todo=f"Prepare its footage with --rate {RATE} and train it again; or score its videos with --pairs",
        )
    if len(clips) == 1 and (clips[0] / "corpus.json").is_file():
        corpus, failures = Corpus(clips[0]), {}
    else:
        files = [(str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) if p.is_file() else str(p) for p in footage_files(clips)]
        key = sha256(f"{avatar.size} {files}".encode()).hexdigest()[:12]  # other footage is another corpus
        prepared = prepare(clips, work / f"corpus-{key}", avatar.size, avatar.frame_rate, jobs, progress=report)
        corpus, failures = prepared.corpus, prepared.failures
    if corpus.size != avatar.size or corpus.rate != RATE:
        raise ArtefactError(
            f"this corpus has {corpus.size} px at {corpus.rate} fps, evaluating this avatar needs {avatar.size} px at {RATE} fps",
            where=corpus.folder,
            todo="Name the footage itself, it is prepared as it must be",
        )
    return corpus, failures


def _chosen(corpus: Corpus, avatar: Avatar, every: bool, limit: int | None, notes: list[str]) -> list[str]:
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
        raise ArtefactError("the avatar was trained on all of these clips", where=corpus.folder, todo="Name other footage, or add --every")
    return names[:limit] if limit else names


def _spent(about: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Frames seen and seconds of training of each stage, of what an avatar was begun with too."""
    total = {stage: dict(spent) for stage, spent in (about.get("training") or {}).items()}
    before = about.get("begun_with")
    while before:
        for key in ("frames_seen", "seconds"):
            if "codec" in total:
                total["codec"][key] = round(total["codec"][key] + before.get(key, 0), 1)
        before = before.get("begun_with")
    return total


def _distances(paths: Sequence[Path]) -> dict[str, float]:
    """Frechet distances over all clips as {variant/metric: distance}; the features of one are in memory at a time."""

    def rows(key: str) -> Iterator[NDArray[np.float32]]:
        for path in paths:
            with safe_open(path, framework="numpy") as file:
                if key in file.keys():  # noqa: SIM118
                    yield file.get_tensor(key)

    keys: dict[str, None] = {}
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            keys |= dict.fromkeys(key.rpartition("/")[0] for key in file.keys())  # noqa: SIM118
    return {key: frechet_distance(*(np.concatenate(list(rows(f"{key}/{which}"))) for which in ("made", "real"))) for key in keys}


def _gather(paths: dict[str, Path]) -> tuple[dict[str, dict[str, list[list[float]]]], dict[str, dict[str, Any]]]:
    """Figures as {variant: {metric: [[value of each seed] of each clip]}}, and the clips' own records."""
    values: dict[str, dict[str, list[list[float]]]] = {}
    records: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        records[name] = json.loads(path.read_text("utf-8"))
        for variant, runs in records[name]["figures"].items():
            for metric in runs[0]:
                values.setdefault(variant, {}).setdefault(metric, []).append([run[metric] for run in runs])
    return values, records


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
    values, records = _gather(scored)
    skipped = {metric: why for r in records.values() for metric, why in r["skipped"].items()}
    if not any(r["sentence"] for r in records.values()):
        skipped = dict.fromkeys(("lip_wer", "lip_wer_points", "bilabial_closure"), "no clip has a GRID file name that spells its sentence.") | skipped
    metrics: dict[str, Any] = {"format_version": FORMAT_VERSION, "about": {**about, "skipped": skipped, "failures": failures, "clips": sorted(scored)}}
    metrics |= summary(values, _distances([path.with_suffix(".safetensors") for path in scored.values()]))
    if speed is not None and avatar is not None:
        metrics["speed"] = {k: {"mean": round(v, 3)} for k, v in speed.items()} | {"training": _spent(avatar.about)}
    notes = [f"{name}: {note}" for name, record in records.items() for note in record.get("notes", [])]
    metrics["about"]["notes"] = [*about.get("notes", []), *notes]
    write_report(out, metrics, {n: r for n, r in records.items() if r["curves"]}, scored)
    write_json(out / "metrics.json", metrics)
    return Outcome(metrics, failures)


def _about(command: str) -> dict[str, Any]:
    notes = ["the lip readers and sync experts know GRID speaker 1 only, unless others were given: of anybody else they say little."]
    return {"talkers": talkers.__version__, "command": command, "machine": machine(), "notes": notes}


def _work_folder(out: Path) -> Path:
    try:
        (out / ".work").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError("the report's folder cannot be made", where=out, why=error.strerror, todo="Choose a folder that can be written") from error
    return out / ".work"


def _threads(workers: int) -> int:
    if workers < 1:
        raise UsageError(f"{workers} jobs were asked for", todo="Use at least 1")
    return max(1, (os.cpu_count() or 1) // workers)


def _judges_key(experts: Path | None) -> str:
    """What decides the judges' figures: the experts' weights, and what is installed here."""
    load = [load_expert(path).about.get("metrics") for path in expert_paths(experts).values()]
    return f"{RECORDS} {FORMAT_VERSION} {talkers.__version__} {load} {sorted(load_judges(experts).skipped)}"


def _speed_of(avatar: Avatar, identity: list[str], seconds: float, work: Path, notes: list[str]) -> dict[str, float] | None:
    """Speed of speaking and streaming, measured once an avatar and report."""
    key = sha256(f"{identity} {seconds} {talkers.__version__} {machine()} {RECORDS}".encode()).hexdigest()[:12]
    path = work / f"speed-{key}.json"
    try:
        if not path.is_file():
            got = measure_speed(str(avatar.folder), seconds)
            if avatar.listener is not None:
                got |= {f"live_{k}": v for k, v in measure_stream(str(avatar.folder), min(seconds, 30.0)).items()}
            write_json(path, got)
        figures: dict[str, float] = json.loads(path.read_text("utf-8"))
        return figures
    except TalkersError as error:
        notes.append(str(error))
        return None


def evaluate(avatar: str, clips: Sequence[Path], out: Path, seeds: int = 1, jobs: int | None = None, limit: int | None = None, every: bool = False,
             speed_seconds: float = 60.0, experts: Path | None = None, command: str = "", report: Report = quiet) -> Outcome:  # fmt: skip
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
    threads, work = _threads(workers), _work_folder(out)
    loaded, about = _avatar(avatar), _about(command)
    corpus, failures = _corpus_of(clips, loaded, work, report, workers)
    names = _chosen(corpus, loaded, every, limit, about["notes"])
    parts = ("avatar.json", "codec.safetensors", "motion.safetensors", "listener.safetensors")
    identity = [digest(loaded.folder / f) for f in parts if (loaded.folder / f).is_file()]
    speed = _speed_of(loaded, identity, speed_seconds, work, about["notes"]) if speed_seconds else None  # while nothing else runs
    about |= {"avatar": str(loaded.folder), "avatar_sha256": sha256("".join(identity).encode()).hexdigest(), "data": corpus.digest(names), "seeds": seeds}
    judged, paths, tasks = _judges_key(experts), {}, {}
    for k, name in enumerate(names):
        other = partner(name, corpus.names)
        key = sha256(f"{judged} {identity} {corpus.digest([name])} {corpus.digest([other])} {seeds} {k < SHOWN}".encode())
        paths[name] = work / f"{name}-{key.hexdigest()[:12]}.json"
        tasks[name] = (avatar, str(corpus.folder), name, other, seeds, experts, str(paths[name]), k < SHOWN, threads)
    failures |= _run(tasks, score_clip, paths, workers, report)
    return _finish(out, about, paths, failures, speed, loaded)


def _by_name(path: Path) -> dict[str, Path]:
    """Videos by their names within a folder, without suffix."""
    if not path.exists():
        raise MediaError("there is no such file or folder", where=path, todo="Check its name")
    return {(str(p.relative_to(path).with_suffix("")) if path.is_dir() else p.stem): p for p in footage_files([path])}


def evaluate_pairs(made: Path, real: Path, out: Path, jobs: int | None = None, limit: int | None = None, experts: Path | None = None, command: str = "",
                   report: Report = quiet) -> Outcome:  # fmt: skip
    """Score videos that any system made against the real ones of the same names.

    The sound that counts is the made video's own; where it has none, the real one's.

    Args:
        made, real: folders (or single files) whose files go together by their names without suffix.
        out, experts: as in `evaluate`.

    Raises:
        TalkersError: no pair could be scored.
    """
    workers = jobs if jobs is not None else os.cpu_count() or 1
    threads, theirs, ours = _threads(workers), _by_name(made), _by_name(real)
    names = sorted(set(theirs) & set(ours))
    if made.is_file() and real.is_file():
        names, ours = list(theirs), dict(zip(theirs, ours.values(), strict=True))
    if not names:
        raise MediaError("no two videos have the same name", where=made, why=f"it was compared with {real}", todo="Name each made video as the real one")
    about, work, judged = _about(command), _work_folder(out), _judges_key(experts)
    if alone := sorted(set(theirs) ^ set(ours)):
        about["notes"].append(f"{len(alone)} videos have no partner and are left out, the first: {alone[0]}.")
    names = names[:limit] if limit else names
    paths, tasks = {}, {}
    for k, name in enumerate(names):
        key = sha256(f"{judged} {digest(theirs[name])} {digest(ours[name])} {k < SHOWN}".encode()).hexdigest()
        paths[name] = work / f"{name.replace(os.sep, '-')}-{key[:12]}.json"
        tasks[name] = (str(theirs[name]), str(ours[name]), experts, str(paths[name]), k < SHOWN, threads)
    about |= {"made": str(made), "real": str(real)}
    return _finish(out, about, paths, _run(tasks, score_pair, paths, workers, report), None, None)
