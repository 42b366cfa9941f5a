"""talkers evaluate: scores of an avatar, of pairs of videos, or of dubbed films."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.console import out, partial, print_json, progress_bar, remark, tell
from talkers.cli.options import Json, Out, some
from talkers.cli.prepare import spread_over
from talkers.errors import UsageError, missing


@dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, how often, and by whom."""

    pairs: bool = False
    """Score made videos of any system against the real ones of the same names."""
    dub: bool = False
    """Score how the avatar dubs films: with their own sound, another film's, and silence."""
    seeds: int = 1
    """How often everything random is repeated."""
    jobs: int | None = None
    """Clips scored at once (default: one a core)."""
    limit: int | None = None
    """At most so many clips."""
    every: bool = False
    """Score also the clips of its corpus that the avatar was trained on."""
    speed: float = 60.0
    """Seconds of speech for the speed figures; 0 leaves them out."""
    experts: Path | None = None
    """Folder of judges made by train-expert, in place of the bundled ones: those of the bundled
    avatar's person for that avatar, those of many people for everybody else."""
    ray: str | None = None
    """Score the clips on a Ray cluster, whose machines share all folders: its address (HOST:6379),
    or auto for the one of this machine."""
    as_json: Json = False
    """Print metrics.json instead of a table."""

    def __post_init__(self) -> None:
        """Raises UsageError: a number out of range, or two things to score at once."""
        if self.pairs and self.dub:
            raise UsageError(
                "--pairs and --dub score different things", todo="Leave out one of them"
            )
        counts = (self.seeds, self.limit, self.jobs)
        if any(n is not None and n < 1 for n in counts) or self.speed < 0:
            raise UsageError(
                "seeds, limit, jobs and speed count from 1, 1, 1 and 0", todo="Correct the number"
            )


@app.command
def evaluate(
    avatar: Positional[str],
    clips: Positional[tuple[Path, ...]],
    output: Out,
    options: Annotated[EvaluateOptions, arg(name="")] = EvaluateOptions(),
) -> None:
    """Score an avatar on real clips of its person, beside controls: metrics.json and index.html.

    Interrupted, it goes on where it was when it is run again.
    For example: talkers evaluate ada/ held-out/ -o report/

    Args:
        avatar: Folder of an avatar, or default; with --pairs the folder of made videos; with --dub
            a base for portraits, or default for the one that talkers brings.
        clips: Footage that the avatar was not trained on, or a corpus; with --pairs the folder of
            real videos; with --dub films of people who speak.
        output: Folder of the report.
        options: What is scored.
    """
    try:
        from talkers.evaluation.dubbing import evaluate_dubbing
        from talkers.evaluation.evaluate import EvaluationOptions
        from talkers.evaluation.evaluate import evaluate as run
        from talkers.evaluation.pairs import evaluate_pairs
        from talkers.evaluation.report import tables
    except ImportError as error:
        raise missing("evaluating", "evaluate", error) from error

    refuse_same_file([output], [avatar, *clips, options.experts])
    command = "talkers " + shlex.join(sys.argv[1:])
    chosen = options
    if chosen.pairs and len(clips) != 1:
        raise UsageError(
            f"{len(clips)} folders of real videos were named",
            todo="Write: talkers evaluate --pairs MADE REAL -o REPORT",
        )
    how = EvaluationOptions(
        chosen.seeds,
        chosen.jobs,
        chosen.limit,
        chosen.every,
        chosen.speed,
        chosen.experts,
        command,
    )
    with spread_over(chosen.ray), progress_bar() as report:
        if chosen.pairs:
            outcome = evaluate_pairs(Path(avatar), clips[0], output, how, report)
        elif chosen.dub:
            outcome = evaluate_dubbing(avatar, some(clips, "film"), output, how, report)
        else:
            outcome = run(avatar, some(clips), output, how, report)
    about = outcome.metrics["about"]
    if chosen.as_json:
        print_json(outcome.metrics)
    else:
        out.print(*tables(outcome.metrics))
        for name, figure in outcome.metrics.get("speed", {}).items():
            if "mean" in figure:
                out.print(f"  {name}: {figure['mean']:g}")
        for name, why in about["skipped"].items():
            remark(f"left out: {name}: {why}")
        tell(f"Wrote {output / 'metrics.json'} and {output / 'index.html'}")
    if chosen.pairs or chosen.dub:
        for note in about.get("notes", ()):
            remark(f"note: {note}")
    partial(outcome.failures)
