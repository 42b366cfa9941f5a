"""Records of scored clips: one file each, so that an evaluation goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from talkers.artefacts.documents import write_json
from talkers.artefacts.files import atomic
from talkers.errors import TalkersError
from talkers.evaluation.metrics import ClipScores
from talkers.evaluation.perceptual import frechet_distance
from talkers.evaluation.tracked import TrackedClip
from talkers.experts.rate import RATE
from talkers.media import AUDIO_RATE, VideoWriter, write_png
from talkers.media.montage import montage
from talkers.parallel import parallel
from talkers.progress import Report

RECORD_VERSION = 7
"""Raised when figures are computed otherwise, so that old records are not taken."""
Values = dict[str, dict[str, list[list[float]]]]
"""{variant: {figure: [[value of each seed] of each clip]}}"""


def write_record(
    path: Path, scores: Mapping[str, Sequence[ClipScores]], about: dict[str, Any]
) -> None:
    """Keep a clip's figures: NAME.json, with features for Frechet distances in NAME.safetensors.

    Args:
        path: of the json file.
        scores: of each variant, one for each seed.
        about: what else is kept of the clip.
    """
    features = {
        f"{variant}/{distance}/{side}": rows
        for variant, runs in scores.items()
        for distance, pair in runs[0].features.items()
        for side, rows in pair._asdict().items()
    }
    with atomic(path.with_suffix(".safetensors")) as temporary:
        save_file(features, temporary)
    figures = {variant: [run.figures for run in runs] for variant, runs in scores.items()}
    write_json(path, {"figures": figures, **about})


def write_pictures(
    folder: Path, columns: Mapping[str, TrackedClip], samples: NDArray[np.float32]
) -> dict[str, Any]:
    """Side-by-side video and montage of a clip, for the report.

    Args:
        folder: for the files.
        columns: clips by their names in the report.
        samples: their sound.

    Returns:
        their curves: opening, yaw and pitch of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.concatenate([clip.frames for clip in columns.values()], 2)
    # H.264 wants even sides
    even = ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0))
    video = folder / "side-by-side.mp4"
    with VideoWriter(video, Fraction(RATE), [samples], AUDIO_RATE, crf=20) as writer:
        for frame in np.pad(frames, even):
            writer.write(frame)
    write_png(folder / "montage.png", montage([clip.frames for clip in columns.values()]))
    return {
        name: {
            "opening": clip.opening.round(4).tolist(),
            "yaw": clip.angles[:, 0].round(3).tolist(),
            "pitch": clip.angles[:, 1].round(3).tolist(),
        }
        for name, clip in columns.items()
    }


def frechet_distances(paths: Sequence[Path]) -> dict[str, float]:
    """Frechet distances over all clips as {variant/figure: distance}; the features of one clip
    are in memory at a time."""

    def rows(key: str) -> Iterator[NDArray[np.float32]]:
        for path in paths:
            with safe_open(path, framework="numpy") as file:
                if key in file.keys():  # noqa: SIM118 - not a dict
                    yield file.get_tensor(key)

    keys: dict[str, None] = {}
    for path in paths:
        with safe_open(path, framework="numpy") as file:
            named = file.keys()  # no dict
            keys |= dict.fromkeys(key.rpartition("/")[0] for key in named)
    distances = {}
    for key in keys:
        sides = (list(rows(f"{key}/{side}")) for side in ("generated", "reference"))
        distances[key] = frechet_distance(*(np.concatenate(side) for side in sides))
    return distances


def read_records(paths: Mapping[str, Path]) -> tuple[Values, dict[str, dict[str, Any]]]:
    """Figures of all clips, and the clips' own records by their names."""
    values: Values = {}
    records: dict[str, dict[str, Any]] = {}
    for name, path in paths.items():
        records[name] = json.loads(path.read_text("utf-8"))
        for variant, runs in records[name]["figures"].items():
            for figure in runs[0]:
                of_seeds = [run[figure] for run in runs]
                values.setdefault(variant, {}).setdefault(figure, []).append(of_seeds)
    return values, records


def score_all(
    score: Callable[..., None],
    tasks: Mapping[str, Any],
    paths: Mapping[str, Path],
    jobs: int,
    report: Report,
) -> dict[str, str]:
    """Score the clips that have no record yet, in child processes.

    Args:
        score: scores a task and writes its record.
        tasks: by the clips' names.
        paths: of their records.
        jobs: child processes.
        report: told how far it is.

    Returns:
        clips that failed, and why.
    """
    failures: dict[str, str] = {}
    left = {name: (task,) for name, task in tasks.items() if not paths[name].is_file()}
    scored = len(tasks) - len(left)
    report("scoring clips", scored, len(tasks))

    def done(name: str, result: Any) -> None:
        nonlocal scored
        if isinstance(result, TalkersError):
            failures[name] = str(result)
        scored += 1
        report("scoring clips", scored, len(tasks))

    parallel(score, left, jobs, done)
    return failures
