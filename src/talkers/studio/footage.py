"""What is wrong with footage, with a picture of each moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from talkers.errors import TalkersError
from talkers.face.analysis import Analysis, analyse
from talkers.face.check import ALL_FILES, check_footage
from talkers.media import decode_frames, probe
from talkers.server.jobs import Job
from talkers.server.problem import without_paths

RATE = Fraction(25)
THUMB_SIDE = 160  # pixels
MAX_THUMBS = 12


def check(job: Job, files: Mapping[str, Path]) -> None:
    """Look at footage, as `talkers check` does.

    Args:
        job: takes the findings, each with a picture where it has a time.
        files: by the names that their owner gave them.
    """
    results: dict[str, Analysis | TalkersError] = {}
    total = sum(_frames(path) for path in files.values())
    before = 0

    def report(done: int) -> None:
        job.report("looking at every frame", 0.9 * min(1.0, (before + done) / total))

    for path in files.values():
        try:
            results[str(path)] = analyse(path, watch=report)
        except TalkersError as error:
            results[str(path)] = error
        before += _frames(path)
    names = {str(path): name for name, path in files.items()}
    verdict = check_footage(results)
    job.report("taking pictures", 0.9)
    findings = [
        {**f, "name": names.get(f["file"], ALL_FILES), "what": without_paths(f["what"])}
        for f in verdict["findings"]
    ]
    job.results = _picture(job, findings)
    job.outcome |= {
        "seconds": verdict["seconds"],
        "usable": bool(verdict["usable"]),
        "files": len(files),
        "findings": [{k: v for k, v in f.items() if k != "file"} for f in findings],
    }
    job.notes += [without_paths(note) for note in verdict["notes"]]


def _frames(path: Path) -> int:
    """About how many frames a file has; at least 1."""
    try:
        return max(1, round(float(probe(path).duration or 0) * RATE))
    except TalkersError:
        return 1


def _picture(job: Job, findings: list[dict[str, Any]]) -> set[str]:
    """Save a picture of each finding that has a time; returns the names of the files."""
    wanted: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(dict)
    for finding in [f for f in findings if f["at"] is not None][:MAX_THUMBS]:
        wanted[finding["file"]].setdefault(int(finding["at"] * RATE), []).append(finding)
    made: set[str] = set()
    for path, moments in wanted.items():
        last = max(moments)
        for number, frame in enumerate(decode_frames(path, RATE)):
            for finding in moments.get(number, ()):
                finding["picture"] = f"at-{len(made)}.jpg"
                made.add(finding["picture"])
                _save(frame, job.folder / finding["picture"])
            if number >= last:
                break
    return made


def _save(frame: NDArray[np.uint8], path: Path) -> None:
    picture = Image.fromarray(frame)
    picture.thumbnail((2 * THUMB_SIDE, THUMB_SIDE))
    picture.save(path, quality=85)
