"""The process of a training: python -m talkers.studio.training_process FOLDER

It prepares the footage and trains, goes on where it was interrupted, and tells in progress.json
how far it is. What it cannot do is told in problem.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from talkers.artefacts.documents import read_json, write_json
from talkers.errors import TalkersError, missing
from talkers.server.problem import problem_of

TELL_EVERY = 0.5  # seconds
PREPARE_SHARE = 0.15  # of the bar
LOCK_SECONDS = 60.0  # in which a process that still ends must have ended
ABOUT, PROGRESS, PROBLEM = "about.json", "progress.json", "problem.json"
FOOTAGE, CORPUS, AVATAR = "footage", "corpus", "avatar"


class ProgressFile:
    """Tells how far a training is; a `Report`.

    Args:
        path: of progress.json.
        budget: seconds of the training.
    """

    def __init__(self, path: Path, budget: float):
        self.path, self.budget = path, budget
        before: dict[str, Any] = read_json(path) if path.exists() else {}
        self.spent = float(before.get("spent", 0.0))  # in training, so far
        self.share = float(before.get("share", 0.0))
        self.trains = False
        self._counted = self._written = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """See `Report`."""
        now = time.monotonic()
        if self.trains:
            self.spent += now - self._counted
            share = PREPARE_SHARE + (1 - PREPARE_SHARE) * min(0.99, self.spent / self.budget)
        else:
            share = PREPARE_SHARE * done / max(1, total)
        self._counted, self.share = now, max(self.share, share)
        if now - self._written >= TELL_EVERY:
            self._written = now
            write_json(self.path, {"stage": stage, "share": self.share, "spent": self.spent})


def _end_with(parent: int) -> None:
    """Interrupt this process when the one that began it has died."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGINT)


def run(folder: Path) -> None:
    """Prepare and train.

    Args:
        folder: with about.json and the footage.

    Raises:
        TalkersError: it cannot be done.
    """
    try:
        from talkers.training.save import Terms
        from talkers.training.train import TrainOptions, train
    except ImportError as error:
        raise missing("training", "train", error) from error
    from talkers.corpus.prepare import Statement, prepare
    from talkers.systems.recipe import recipe_named

    about = read_json(folder / ABOUT)
    recipe = recipe_named(about["recipe"])
    progress_file = ProgressFile(folder / PROGRESS, about["budget"])
    consent = about["consent"]
    done = prepare(
        [folder / FOOTAGE],
        folder / CORPUS,
        recipe.renderer.size,
        statement=Statement(consent),
        progress=progress_file,
    )
    progress_file.trains = True
    resume = (folder / AVATAR / "training" / "recipe.json").exists()
    options = TrainOptions(about["budget"], resume, None, Terms("the studio", consent))
    train(done.corpus, folder / AVATAR, recipe, options, progress_file)


def main(folder: Path) -> int:
    """Run a training, and say in problem.json why it could not be done.

    Returns:
        the exit code.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        with FileLock(folder / "lock", timeout=LOCK_SECONDS):
            run(folder)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        (folder / PROBLEM).write_text(json.dumps(problem_of(error).model_dump()), "utf-8")
        return error.exit_code if isinstance(error, TalkersError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
