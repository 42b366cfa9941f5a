"""talkers train-expert: a judge, trained on real clips."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.console import out, progress_bar
from talkers.cli.options import Out
from talkers.cli.train import refuse_footage
from talkers.errors import missing


@dataclass(frozen=True)
class ExpertOptions:
    """What the judge judges by, and how it is trained."""

    task: Literal["lips", "sync"] = "sync"
    """sync (mouth against sound) or lips (reads GRID sentences)."""
    sees: Literal["pixels", "points"] = "pixels"
    """pixels of the mouth, or points (its landmarks)."""
    alignments: Path | None = None
    """Folder of GRID .align files; without it, a lip reader's clips are aligned by their sound."""
    frames: int | None = None
    """Frames to see in training (default: the recipe's)."""
    budget: str | None = None
    """Time for training, such as 20m."""
    seed: int = 0
    """Of the training; another seed gives a second judge."""
    resume: bool = False
    """Go on with the training in the output folder."""


@app.command
def train_expert(
    corpus: Positional[Path],
    output: Out,
    options: Annotated[ExpertOptions, arg(name="")] = ExpertOptions(),
) -> None:
    """Train a judge on real clips: does the mouth go with the sound, or which words do lips say?

    For example: talkers train-expert corpus/ -o judges/ --task sync --budget 20m

    Args:
        corpus: Folder made by `talkers prepare`.
        output: Folder for the expert.
        options: Of the judge.
    """
    try:
        from talkers.training.expert_stage import ExpertRun, training_of
        from talkers.training.expert_stage import train_expert as run
    except ImportError as error:
        raise missing("training", "train", error) from error
    from talkers.corpus import Corpus
    from talkers.experts import ExpertConfig
    from talkers.progress import parse_duration

    refuse_same_file([output], [corpus, options.alignments])
    config = ExpertConfig(options.task, options.sees)
    settings = replace(training_of(config), seed=options.seed)
    if options.frames is not None:
        settings = replace(settings, frames=options.frames)
    seconds = parse_duration(options.budget) if options.budget else None
    command = "talkers " + shlex.join(sys.argv[1:])
    refuse_footage(corpus)
    with progress_bar(lines=False) as report:
        how = ExpertRun(options.alignments, seconds, options.resume, command)
        expert = run(Corpus(corpus), output, config, settings, how, report)
    for what, figures in expert.about["metrics"].items():
        out.print(f"{what.replace('_', ' ')}:")
        for name, value in figures.items():
            out.print(f"  {name}: {value}")
