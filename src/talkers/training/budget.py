"""A budget of time, divided among the stages of a training."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talkers.artefacts.documents import read_json, write_json
from talkers.errors import ArtefactError
from talkers.training.checkpoint import reached

MEASURING_SECONDS = 180.0  # for calibrating and measuring a finished avatar; at most a tenth
MIN_STAGE_SECONDS = 30.0  # of training, below which a stage hardly learns
CHECKPOINT = re.compile(r"(.+)-(\d{9})\.ckpt")
log = logging.getLogger(__name__)


def latest_checkpoints(folder: Path) -> dict[str, Path]:
    """The newest complete checkpoint of every stage; they get their names when they are complete.

    Args:
        folder: of a training's state.
    """
    named = ((CHECKPOINT.fullmatch(path.name), path) for path in sorted(folder.glob("*.ckpt")))
    return {match[1]: path for match, path in named if match}


def elapsed(folder: Path) -> dict[str, dict[str, float]]:
    """Frames seen and seconds of training, by stage.

    Args:
        folder: of a training's state.

    Raises:
        ArtefactError: a checkpoint is damaged.
    """
    states = {stage: reached(path) for stage, path in latest_checkpoints(folder).items()}
    return {
        stage: {"frames_seen": state.frames, "seconds": round(state.seconds, 1)}
        for stage, state in states.items()
    }


class TimeBudget:
    """Divides a budget of time among the stages of a training.

    Each stage is given its share of what is left when it begins, so that what was prepared before
    it counts too. What a stage was given is kept in budget.json and holds when the training goes
    on, unless it goes on with another budget: then stages that are not finished, or that hardly
    learnt, are given time anew, and all of them if all are finished.

    Args:
        folder: of the training's state.
        budget: seconds for everything, or None.
        shares: relative share of each stage that will be trained, in their order.

    Raises:
        ArtefactError: budget.json is damaged.
    """

    def __init__(self, folder: Path, budget: float | None, shares: Mapping[str, float]):
        self.path, self.budget, self.shares = folder / "budget.json", budget, dict(shares)
        state = elapsed(folder) if budget else {}
        self.elapsed = {stage: float(known["seconds"]) for stage, known in state.items()}
        given = self._read()
        if given and given["budget"] != budget:
            stages = {stage: v for stage, v in given.items() if stage != "budget"}
            finished = {
                stage: v
                for stage, v in stages.items()
                if self.elapsed.get(stage, 0.0) >= v["seconds"] >= MIN_STAGE_SECONDS
            }
            given = {"budget": budget, **(finished if len(finished) < len(self.shares) else {})}
        ends = [v["from"] + self.elapsed.get(s, 0.0) for s, v in given.items() if s != "budget"]
        self.begin = time.monotonic() - max([sum(self.elapsed.values()), *ends])
        self.given = given or {"budget": budget}

    def _read(self) -> dict[str, Any]:
        """The budget, and for each stage that has begun from which second on it has how many."""
        if not self.path.exists():
            return {}
        given = read_json(self.path)
        stages = [v for stage, v in given.items() if stage != "budget"]
        numbers = [given.get("budget")] + [
            v.get(key) if isinstance(v, dict) else None
            for v in stages
            for key in ("from", "seconds")
        ]
        if not all(isinstance(n, (int, float)) and 0 <= n < math.inf for n in numbers):
            raise ArtefactError(
                "this file is damaged",
                where=self.path,
                todo="Remove it: the time that is left will be divided anew",
            )
        return given

    def __call__(self, stage: str) -> float | None:
        """Seconds of training for a stage that begins now, or None without a budget."""
        if self.budget is None:
            return None
        while stage not in self.given:
            if os.environ.get("LOCAL_RANK", "0") == "0":
                self._give(stage)
            else:  # all processes go by what the first one writes
                time.sleep(0.2)
                given = self._read()
                self.given = given if given.get("budget") == self.budget else self.given
        return float(self.given[stage]["seconds"])

    def _give(self, stage: str) -> None:
        """Give a stage its share of the time that is left, and write it down."""
        assert self.budget is not None
        stages = list(self.shares)
        rest = sum(self.shares[s] for s in stages[stages.index(stage) :])
        now = time.monotonic() - self.begin
        left = self.budget - now - min(MEASURING_SECONDS, self.budget / 10)
        # seconds = left * share / (sum of the shares of this stage and all later ones)
        seconds = max(1.0, left * self.shares[stage] / rest)
        if seconds < MIN_STAGE_SECONDS:
            log.warning(
                "the budget leaves %.0f s for training the %s, which will hardly learn; "
                "--resume with a larger one goes on",
                seconds,
                stage,
            )
        before = self.elapsed.get(stage, 0.0)
        self.given[stage] = {
            "from": round(max(0.0, now - before), 1),
            "seconds": round(before + seconds, 1),
        }
        write_json(self.path, self.given)
