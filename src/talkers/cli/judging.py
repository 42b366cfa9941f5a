"""Verbs that judge and look: evaluate, train a judge, inspect, doctor."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from talkers.cli.common import (
    Json,
    Out,
    app,
    json_text,
    missing,
    out,
    partial,
    print_json,
    progress_bar,
    remark,
    some,
    tell,
)
from talkers.errors import UsageError, shown


@app.command
def evaluate(
    avatar: Positional[str],
    clips: Positional[tuple[Path, ...]],
    output: Out,
    pairs: bool = False,
    seeds: int = 1,
    jobs: int | None = None,
    limit: int | None = None,
    every: bool = False,
    speed: float = 60.0,
    experts: Path | None = None,
    as_json: Json = False,
) -> None:
    """Score an avatar on real clips of its person, beside controls: writes metrics.json and index.html.

    Interrupted, it goes on where it was when it is run again.

    Args:
        avatar: Folder of an avatar, or default; with --pairs the folder of made videos.
        clips: Footage that the avatar was not trained on, or a corpus; with --pairs the folder of real videos.
        output: Folder of the report.
        pairs: Score made videos of any system against the real ones of the same names.
        seeds: How often everything random is repeated.
        jobs: Clips scored at once (default: one a core).
        limit: At most so many clips.
        every: Score also the clips of its corpus that the avatar was trained on.
        speed: Seconds of speech for the speed figures; 0 leaves them out.
        experts: Folder of judges made by train-expert, in place of the bundled ones.
        as_json: Print metrics.json instead of a table.
    """
    try:
        from talkers.evaluation.evaluate import EvaluationOptions
        from talkers.evaluation.evaluate import evaluate as run
        from talkers.evaluation.pairs import evaluate_pairs
        from talkers.evaluation.report import tables
    except ImportError as error:
        raise missing("evaluating", "evaluate", error) from error

    if (
        seeds < 1
        or (limit is not None and limit < 1)
        or (jobs is not None and jobs < 1)
        or speed < 0
    ):
        raise UsageError(
            "seeds, limit, jobs and speed count from 1, 1, 1 and 0", todo="Correct the number"
        )
    command = "talkers " + shlex.join(sys.argv[1:])
    options = EvaluationOptions(seeds, jobs, limit, every, speed, experts, command)
    with progress_bar() as report:
        if pairs:
            if len(clips) != 1:
                raise UsageError(
                    f"{len(clips)} folders of real videos were named",
                    todo="Write: talkers evaluate --pairs MADE REAL -o REPORT",
                )
            outcome = evaluate_pairs(Path(avatar), clips[0], output, options, report)
        else:
            outcome = run(avatar, some(clips), output, options, report)
    if as_json:
        print_json(outcome.metrics)
    else:
        out.print(*tables(outcome.metrics))
        for name, figure in outcome.metrics.get("speed", {}).items():
            if "mean" in figure:
                out.print(f"  {name}: {figure['mean']:g}")
        for name, why in outcome.metrics["about"]["skipped"].items():
            remark(f"left out: {name}: {why}")
        tell(f"Wrote {output / 'metrics.json'} and {output / 'index.html'}")
    partial(outcome.failures)


@app.command
def train_expert(
    corpus: Positional[Path],
    output: Out,
    task: Literal["lips", "sync"] = "sync",
    sees: Literal["pixels", "points"] = "pixels",
    alignments: Path | None = None,
    frames: int | None = None,
    budget: str | None = None,
    seed: int = 0,
    resume: bool = False,
) -> None:
    """Train a judge on real clips: does the mouth go with the sound, or which words do the lips say?

    Args:
        corpus: Folder made by `talkers prepare`.
        output: Folder for the expert.
        task: sync (mouth against sound) or lips (reads GRID sentences).
        sees: pixels of the mouth, or points (its landmarks).
        alignments: Folder of GRID .align files; a lip reader needs them.
        frames: Frames to see in training (default: the recipe's).
        budget: Time for training, such as 20m.
        seed: Of the training; another seed gives a second judge.
        resume: Go on with the training in the output folder.
    """
    try:
        from talkers.training.expert_stage import ExpertRun, training_of
        from talkers.training.expert_stage import train_expert as run
    except ImportError as error:
        raise missing("training", "train", error) from error
    from talkers.corpus import Corpus
    from talkers.experts import ExpertConfig
    from talkers.progress import parse_duration

    config = ExpertConfig(task, sees)
    settings = replace(training_of(config), seed=seed)
    if frames is not None:
        settings = replace(settings, frames=frames)
    seconds = parse_duration(budget) if budget else None
    command = "talkers " + shlex.join(sys.argv[1:])
    with progress_bar() as report:
        options = ExpertRun(alignments, seconds, resume, command)
        expert = run(Corpus(corpus), output, config, settings, options, report)
    for name, value in expert.about["metrics"].items():
        out.print(f"  {name}: {value}")


@app.command
def inspect(avatar: Positional[str] = "default", as_json: Json = False) -> None:
    """Say what an avatar is: whose, made how, of what, and how good.

    Args:
        avatar: Folder of an avatar, or default for the bundled one.
        as_json: Print one JSON object.
    """
    from talkers.runtime.avatar import Avatar

    about = Avatar.load(avatar).inspect()
    if as_json:
        print_json(about)
        return
    about |= {
        "consent": about.get("consent") or "none stated",
        "licence": about.get("data", {}).get("licence") or "none stated",
    }
    table = Table(title=escape(shown(about["folder"])), show_header=False)
    for key in (
        "talkers",
        "consent",
        "licence",
        "data",
        "command",
        "seed",
        "machine",
        "speech",
        "parameters",
        "files",
        "metrics",
    ):
        if about.get(key) is not None:
            table.add_row(
                key,
                escape(
                    shown(about[key]) if isinstance(about[key], str) else json_text(about[key], 1)
                ),
            )
    out.print(table)


@app.command
def doctor(licences: bool = False, as_json: Json = False) -> None:
    """Say what is installed, what is missing, what it is needed for, and how to get it.

    Args:
        licences: Say instead under which licence every package is that talkers and its extras need.
        as_json: Print one JSON object.
    """
    if licences:
        tell_licences(as_json)
        return
    from talkers.cli.doctor import examine

    found = examine()
    if as_json:
        print_json({"checks": found})
    else:
        table = Table("", "what", "state", "needed for", "how to get it")
        for c in found:
            table.add_row(
                "[green]ok[/]" if c["ok"] else "[red]--[/]",
                c["what"],
                escape(c["state"]),
                c["needed_for"],
                escape("" if c["ok"] else c["todo"]),
            )
        out.print(table)


def tell_licences(as_json: bool) -> None:
    from talkers.cli.licences import KINDS, dependencies

    found = dependencies()
    counts = {kind: sum(d.version is not None and d.kind == kind for d in found) for kind in KINDS}
    counts["not installed"] = sum(d.version is None for d in found)
    if as_json:
        print_json(
            {
                "dependencies": [
                    asdict(d) | {"kind": d.kind if d.version else None, "note": d.note}
                    for d in found
                ],
                "counts": counts,
            }
        )
        return
    table = Table("package", "version", "licence", "brought by", "wanted by")
    for d in found:
        licence = "not installed here" if d.version is None else d.licence or "unknown"
        if d.version is not None and d.kind not in ("permissive", "unknown"):
            licence += f" ({d.kind})"
        extras = [extra for extra in d.brought_by if extra != "dev"] or d.brought_by
        wanted = d.wanted_by[:2] + [f"{len(d.wanted_by) - 2} more"] * (len(d.wanted_by) > 2)
        table.add_row(
            d.name, d.version or "", escape(licence), ", ".join(extras), ", ".join(wanted)
        )
    out.print(table)
    for d in found:
        if d.version and d.note:
            tell(f"{d.name}: {d.note}")
    tell(
        f"{len(found)} packages: "
        + ", ".join(f"{count} {kind}" for kind, count in counts.items())
        + ". This is what their metadata say."
    )
