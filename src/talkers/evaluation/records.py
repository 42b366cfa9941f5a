"""Records of scored clips: one file each, so that an evaluation goes on where it was; and what is made of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from talkers.artefacts.documents import write_json
from talkers.artefacts.files import atomic
from talkers.errors import MediaError, ResourceError, TalkersError, UsageError
from talkers.evaluation.metrics import ClipScores, expert_paths, load_metrics
from talkers.evaluation.perceptual import frechet_distance
from talkers.evaluation.report import write_report
from talkers.evaluation.statistics import summary
from talkers.evaluation.tracked import TrackedClip
from talkers.experts.load import load_expert
from talkers.experts.rate import RATE
from talkers.hardware import machine
from talkers.media import AUDIO_RATE, VideoWriter, write_png
from talkers.media.montage import montage
from talkers.parallel import parallel
from talkers.progress import Report
from talkers.runtime.avatar import Avatar
from talkers.version import __version__

FORMAT_VERSION = 1
RECORDS = 6  # version of the clips' records: raised when figures are computed otherwise, so that old ones are not taken
SHOWN = 3  # clips whose videos and curves are in the report


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found. metrics: what metrics.json holds; failures: clips that could not be scored, and why."""

    metrics: dict[str, Any]
    failures: dict[str, str]


def write_record(path: Path, judged: dict[str, list[ClipScores]], extra: dict[str, Any]) -> None:
    """Keep a clip's figures: NAME.json, with the features for Frechet distances in NAME.safetensors."""
    features = {}
    for variant, runs in judged.items():
        for distance, (made, real) in runs[0].features.items():
            features[f"{variant}/{distance}/made"], features[f"{variant}/{distance}/real"] = (
                made,
                real,
            )
    with atomic(path.with_suffix(".safetensors")) as temporary:
        save_file(features, temporary)
    write_json(
        path, {"figures": {v: [j.figures for j in runs] for v, runs in judged.items()}, **extra}
    )


def show(
    folder: Path, columns: dict[str, TrackedClip], samples: NDArray[np.float32]
) -> dict[str, Any]:
    """Side-by-side video, montage and curves of a clip, for the report."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.concatenate([w.frames for w in columns.values()], 2)
    frames = np.pad(
        frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0))
    )  # H.264 wants even sides
    with VideoWriter(
        folder / "side-by-side.mp4", Fraction(RATE), [samples], AUDIO_RATE, crf=20
    ) as writer:
        for frame in frames:
            writer.write(frame)
    write_png(folder / "montage.png", montage([w.frames for w in columns.values()]))
    return {
        name: {
            "opening": w.opening.round(4).tolist(),
            "yaw": w.angles[:, 0].round(3).tolist(),
            "pitch": w.angles[:, 1].round(3).tolist(),
        }
        for name, w in columns.items()
    }


def _spent(about: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Frames seen and seconds of training of each stage, of what an avatar was begun with too."""
    total = {stage: dict(spent) for stage, spent in (about.get("training") or {}).items()}
    before = about.get("initialized_from")
    while before:
        for key in ("frames_seen", "seconds"):
            if "codec" in total:
                total["codec"][key] = round(total["codec"][key] + before.get(key, 0), 1)
        before = before.get("begun_with") or before.get("initialized_from")
    return total


def _distances(paths: Sequence[Path]) -> dict[str, float]:
    """Frechet distances over all clips as {variant/metric: distance}; the features of one are in memory at a time."""

    def rows(key: str) -> Iterator[NDArray[np.float32]]:
        for path in paths:
            with safe_open(path, framework="numpy") as file:
                if key in file.keys():  # noqa: SIM118 - not a dict
                    yield file.get_tensor(key)

    keys: dict[str, None] = {}
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            keys |= dict.fromkeys(key.rpartition("/")[0] for key in file.keys())  # noqa: SIM118 - not a dict
    return {
        key: frechet_distance(
            *(np.concatenate(list(rows(f"{key}/{which}"))) for which in ("made", "real"))
        )
        for key in keys
    }


def _gather(
    paths: dict[str, Path],
) -> tuple[dict[str, dict[str, list[list[float]]]], dict[str, dict[str, Any]]]:
    """Figures as {variant: {metric: [[value of each seed] of each clip]}}, and the clips' own records."""
    values: dict[str, dict[str, list[list[float]]]] = {}
    records: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        records[name] = json.loads(path.read_text("utf-8"))
        for variant, runs in records[name]["figures"].items():
            for metric in runs[0]:
                values.setdefault(variant, {}).setdefault(metric, []).append(
                    [run[metric] for run in runs]
                )
    return values, records


def run(
    tasks: dict[str, tuple[Any, ...]], work: Any, paths: dict[str, Path], jobs: int, report: Report
) -> dict[str, str]:
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


def finish(
    out: Path,
    about: dict[str, Any],
    paths: dict[str, Path],
    failures: dict[str, str],
    speed: dict[str, float] | None,
    avatar: Avatar | None,
) -> Outcome:
    scored = {name: path for name, path in paths.items() if name not in failures}
    if not scored:
        first = next(iter(failures.values()), "there are none")
        raise MediaError(
            "none of the clips could be scored",
            why=f"the first: {first.rstrip('.')}",
            todo="See `talkers check`",
        )
    values, records = _gather(scored)
    skipped = {metric: why for r in records.values() for metric, why in r["skipped"].items()}
    if not any(r["sentence"] for r in records.values()):
        skipped = (
            dict.fromkeys(
                ("lip_wer", "lip_wer_points", "bilabial_closure"),
                "no clip has a GRID file name that spells its sentence.",
            )
            | skipped
        )
    metrics: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "about": {**about, "skipped": skipped, "failures": failures, "clips": sorted(scored)},
    }
    metrics |= summary(
        values, _distances([path.with_suffix(".safetensors") for path in scored.values()])
    )
    if speed is not None and avatar is not None:
        metrics["speed"] = {k: {"mean": round(v, 3)} for k, v in speed.items()} | {
            "training": _spent(avatar.about)
        }
    notes = [
        f"{name}: {note}" for name, record in records.items() for note in record.get("notes", [])
    ]
    metrics["about"]["notes"] = [*about.get("notes", []), *notes]
    write_report(out, metrics, {n: r for n, r in records.items() if r["curves"]}, scored)
    write_json(out / "metrics.json", metrics)
    return Outcome(metrics, failures)


def about_run(command: str) -> dict[str, Any]:
    notes = [
        "the lip readers and sync experts know GRID speaker 1 only, unless others were given: of anybody else they say little."
    ]
    return {
        "talkers": __version__,
        "command": command,
        "machine": machine(),
        "notes": notes,
    }


def work_folder(out: Path) -> Path:
    try:
        (out / ".work").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(
            "the report's folder cannot be made",
            where=out,
            why=error.strerror,
            todo="Choose a folder that can be written",
        ) from error
    return out / ".work"


def threads_each(workers: int) -> int:
    if workers < 1:
        raise UsageError(f"{workers} jobs were asked for", todo="Use at least 1")
    return max(1, torch.get_num_threads() // workers)  # which OMP_NUM_THREADS limits


def judges_key(experts: Path | None) -> str:
    """What decides the judges' figures: the experts' weights, and what is installed here."""
    load = [load_expert(path).about.get("metrics") for path in expert_paths(experts).values()]
    return (
        f"{RECORDS} {FORMAT_VERSION} {__version__} {load} {sorted(load_metrics(experts).skipped)}"
    )
