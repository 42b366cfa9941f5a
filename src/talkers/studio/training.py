"""Trainings as jobs: each in a process of its own, paused and gone on with, and found again."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkers.artefacts.documents import read_json, write_json
from talkers.errors import ArtefactError, TalkersError, UsageError
from talkers.server.jobs import Job, Paused
from talkers.server.problem import Problem, Refused
from talkers.studio.training_process import ABOUT, AVATAR, FOOTAGE, PROBLEM, PROGRESS
from talkers.studio.visitors import MAX_TRAININGS, Visitor

if TYPE_CHECKING:
    from talkers.studio.studio import Studio

LOOK_EVERY = 0.5  # seconds
ENDING_SECONDS = 60.0  # in which a process writes its checkpoint
MAX_LINES = 4_000  # of a training's metrics that are read
MONTAGES = 6  # that are shown
PREVIEW = "preview.png"
KIND = "train"
COMMAND = (sys.executable, "-m", "talkers.studio.training_process")
_FINDING = threading.Lock()


class Unable(TalkersError):
    """A training cannot be done; its process has said why."""


def begin(
    studio: Studio, me: Visitor, footage: Sequence[str], name: str, about: dict[str, Any]
) -> Job:
    """Begin a training.

    Args:
        studio: where.
        me: whose it is.
        footage: uploads.
        name: of the avatar.
        about: consent, recipe and budget.

    Raises:
        UsageError: there is no footage. Refused: there is too much of what is not finished.
    """
    me.new_avatar(name)  # says now if the name will not do
    if not footage:
        raise UsageError("there is no footage yet", todo="Choose one or more videos first")
    if len(list(me.trainings.glob(f"*/{ABOUT}"))) >= MAX_TRAININGS:
        raise Refused(
            503,
            f"{MAX_TRAININGS} of your trainings are not finished",
            todo="Finish or remove one of them",
        )
    folder = me.trainings / secrets.token_hex(8)
    try:
        with studio.service.jobs.admitted(KIND, me.name, "trainings", name) as job:
            (folder / FOOTAGE).mkdir(parents=True)
            for k, path in enumerate(footage):
                safe = f"{k + 1}-{Path(path).name}"
                studio.uploads.take(me.name, path, folder / FOOTAGE / safe, "footage")
            _arrange(job, me, folder)  # before it can be found
            write_json(folder / ABOUT, {"name": name, **about})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return job


def find_left(studio: Studio, me: Visitor) -> None:
    """Take up trainings that a server has left which ended: as paused jobs."""
    jobs = studio.service.jobs
    with _FINDING:
        known = {job.outcome.get("training") for job in jobs.of(me.name)}
        for path in me.trainings.glob(f"*/{ABOUT}"):
            if path.parent.name in known:
                continue
            with suppress(ArtefactError):  # damaged
                job = jobs.left_over(KIND, me.name, "trainings", str(read_json(path)["name"]))
                _arrange(job, me, path.parent)
                job.progress = float(_progress(path.parent).get("share", 0.0))


def discard(me: Visitor, job: Job) -> None:
    """A job was removed: delete its training, now or when its process has ended."""
    job.outcome["discarded"] = True
    if job.state != "running" and (folder := _folder(me, job)):
        shutil.rmtree(folder, ignore_errors=True)


def state_of(me: Visitor, job: Job) -> dict[str, Any]:
    """Curves of a training: of each stage and figure, [seconds, value]; and its montages' names."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    folder = _folder(me, job)
    path = folder / AVATAR / "training" / "metrics.jsonl" if folder else None
    lines = path.read_text("utf-8").splitlines() if path and path.is_file() else []
    for line in lines[-MAX_LINES:]:
        try:
            values = json.loads(line)
        except ValueError:  # the last one is being written
            continue
        kind = "val/" if values["kind"] == "validation" else "train/"
        for name, value in values.items():
            if name.startswith(kind):
                rows = curves.setdefault(values["stage"], {}).setdefault(name, [])
                rows.append((values["seconds"], value))
    return {"curves": curves, "montages": list(montages(me, job))[-MONTAGES:]}


def montages(me: Visitor, job: Job) -> dict[str, Path]:
    """Pictures of validations by their names, the oldest first: above real, below generated."""
    folder = _folder(me, job)
    found = sorted((folder / AVATAR / "training").glob("*.png")) if folder else []
    return {path.name: path for path in found}


def _folder(me: Visitor, job: Job) -> Path | None:
    """Where a job's training lies; None: it is none, or has become an avatar."""
    name = job.outcome.get("training")
    folder = me.trainings / name if name else None
    return folder if folder is not None and folder.is_dir() else None


def _progress(folder: Path) -> dict[str, Any]:
    path = folder / PROGRESS
    try:
        return read_json(path) if path.exists() else {}
    except ArtefactError:
        return {}


def _arrange(job: Job, me: Visitor, folder: Path) -> None:
    job.pausable, job.results = True, {PREVIEW}
    job.outcome["training"] = folder.name
    job.work = lambda job: _work(job, me, folder)


def _work(job: Job, me: Visitor, folder: Path) -> None:
    """What the job does: it watches its process."""
    (folder / PROBLEM).unlink(missing_ok=True)
    command = [*COMMAND, str(folder)]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while process.poll() is None:
            noted = _progress(folder)
            job.report(noted.get("stage", "beginning"), float(noted.get("share", 0.0)))
            if job.pausing.is_set():
                raise Paused
            time.sleep(LOOK_EVERY)
    finally:
        _end(process)
        if job.outcome.get("discarded"):
            shutil.rmtree(folder, ignore_errors=True)
    if process.returncode:
        raise _reason(folder)
    name = str(read_json(folder / ABOUT)["name"])
    shutil.copyfile(folder / AVATAR / PREVIEW, job.folder / PREVIEW)
    made = me.new_avatar(name)
    made.parent.mkdir(parents=True, exist_ok=True)
    (folder / AVATAR).replace(made)
    shutil.rmtree(made / "training", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    job.outcome["avatar"] = made.name


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process write its checkpoint, and wait until it has ended."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reason(folder: Path) -> Unable:
    """Why a training could not be done."""
    path = folder / PROBLEM
    problem = (
        Problem.model_validate_json(path.read_text("utf-8"))
        if path.exists()
        else Problem(
            what="the training has ended without a word",
            why="its process was killed, perhaps because memory ran out",
            todo="Let it go on: what it has learnt is kept",
        )
    )
    return Unable(problem.what, why=problem.why, todo=problem.todo)
