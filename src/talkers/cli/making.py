"""Verbs that make an avatar: look at footage, prepare it, train."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from talkers.cli.common import (
    Json,
    Out,
    Settings,
    app,
    frame_rate_of,
    missing,
    out,
    partial,
    print_json,
    progress_bar,
    remark,
    some,
    tell,
)
from talkers.errors import PartialFailure, UsageError, shown


@app.command
def check(
    footage: Positional[tuple[Path, ...]], as_json: Json = False, jobs: int | None = None
) -> None:
    """Say what is wrong with footage, at which time, and what to do about it.

    Args:
        footage: Video files, or folders of them.
        as_json: Print one JSON object.
        jobs: Files looked at at once (default: one a core).
    """
    from talkers.corpus.footage import footage_files
    from talkers.errors import MediaError
    from talkers.face.analysis import analyse
    from talkers.face.check import check_footage
    from talkers.parallel import parallel

    paths = footage_files(some(footage), remark=lambda text: remark(f"note: {text}"))
    results: dict[str, Any] = {}
    with progress_bar() as report:

        def done(key: str, result: Any) -> None:
            results[key] = result
            report("looking", len(results), len(paths))

        parallel(
            analyse,
            {str(p): (str(p),) for p in paths},
            jobs if jobs is not None else os.cpu_count() or 1,
            done,
        )
    told = check_footage({str(p): results[str(p)] for p in paths})
    if as_json:
        print_json(told)
    else:
        table = Table(
            "",
            "file",
            "at",
            "what",
            "what to do",
            title=f"{len(paths)} files, {told['seconds']:.1f} s usable",
        )
        for f in told["findings"]:
            at = "" if f["at"] is None else f"{int(f['at'] // 60)}:{f['at'] % 60:05.2f}"
            table.add_row(
                "[red]error[/]" if f["severity"] == "error" else "[yellow]warning[/]",
                escape(shown(Path(f["file"]).name)),
                at,
                escape(f["what"]),
                escape(f["todo"]),
            )
        out.print(
            table
            if told["findings"]
            else f"{len(paths)} files, {told['seconds']:.1f} s usable, nothing wrong."
        )
    if not told["usable"]:
        raise MediaError("none of this footage can be used", todo="See the findings above")
    if any(f["severity"] == "error" for f in told["findings"]):
        raise PartialFailure(
            "some of this footage cannot be used", todo="See the findings above; the rest is good"
        )


@app.command
def prepare(
    footage: Positional[tuple[Path, ...]],
    output: Out,
    size: int = 256,
    rate: str = "25",
    jobs: int | None = None,
    consent: str | None = None,
    licence: str | None = None,
) -> None:
    """Turn footage of one person into a corpus. Interrupted, it goes on where it was; run again, it adds what is new.

    Args:
        footage: Video files, or folders of them.
        output: Folder of the corpus.
        size: Side of the frames in pixels.
        rate: Frames a second.
        jobs: Files worked on at once (default: one a core).
        consent: Who agreed to what, kept with the corpus and its avatars.
        licence: Licence of the footage, kept likewise.
    """
    from talkers.corpus.prepare import prepare as run

    with progress_bar() as report:
        done = run(some(footage), output, size, frame_rate_of(rate), jobs, consent, licence, report)
    for note in done.remarks:
        remark(f"note: {note}")
    about = done.corpus.about
    tell(
        f"{output}: {done.added} clips added, {len(about['clips'])} in all, {about['frames']} frames, {about['seconds']:.1f} s"
    )
    partial(done.failures)


@app.command
def train(
    corpus: Positional[Path],
    output: Out,
    recipe: str = "compact",
    set: Settings = (),
    budget: str | None = None,
    resume: bool = False,
    start: Path | None = None,
    consent: str | None = None,
    licence: str | None = None,
    devices: str = "auto",
    strategy: str = "auto",
    precision: str = "auto",
) -> None:
    """Train an avatar from a corpus: the codec, the two motion models (a regressor and a sampler), the listener.

    Args:
        corpus: Folder made by `talkers prepare`.
        output: Folder of the avatar; its training/ holds checkpoints, montages and metrics.jsonl.
        recipe: compact, compact_512, dae_talker, dae_talker_128 or tiny.
        set: Settings to change, as key=value, several at once or one by one (see the recipe in avatar.json for the keys).
        budget: Time for everything together, such as 30m or 1h30m; the learning rate is fitted to it.
        resume: Go on with the training in the output folder.
        start: Avatar (default for the bundled one) or training folder of the same recipe whose codec to begin with, and whose other models where they fit.
        consent: Who agreed to what, if the corpus does not say so (see talkers prepare) or something else holds for this avatar.
        licence: Licence of the avatar, likewise.
        devices: Number of devices, or auto (all GPUs, else the CPU).
        strategy: Lightning's strategy for several devices: auto, ddp, fsdp, ...
        precision: Lightning's precision: bf16-mixed, 32-true, ..., or auto (bf16-mixed where the hardware is faster with it).
    """
    try:
        from talkers.training.save import Terms
        from talkers.training.train import TrainOptions
        from talkers.training.train import train as run
    except ImportError as error:
        raise missing("training", "train", error) from error
    from talkers.corpus import Corpus
    from talkers.progress import parse_duration
    from talkers.systems.recipe import recipe_named, with_settings

    options: dict[str, Any] = {"strategy": strategy} | (
        {"precision": precision} if precision != "auto" else {}
    )
    if devices != "auto":
        if not devices.isdigit() or not int(devices):
            raise UsageError(
                f"'{devices}' is not a number of devices", todo="Use a number, or auto"
            )
        options["devices"] = int(devices)
    seconds = parse_duration(budget) if budget else None
    chosen = with_settings(recipe_named(recipe), [setting for group in set for setting in group])
    command = "talkers " + shlex.join(sys.argv[1:])
    footage = Corpus(corpus)
    if not (consent or footage.about.get("consent")):
        raise UsageError(
            "nobody is said to have agreed to this avatar",
            where=corpus,
            todo="Say who agreed to what: --consent 'I, Ada, agree to be shown'",
        )
    with progress_bar() as report:
        terms = Terms(command, consent, licence)
        how = TrainOptions(seconds, resume, start, terms, options)
        avatar = run(footage, output, chosen, how, report)
    if avatar is None:
        return
    tell(f"{output}: an avatar of {avatar.size} px at {avatar.frame_rate} fps")
    for kind, figures in avatar.about.get("metrics", {}).items():
        if isinstance(figures, dict):
            out.print(f"  {kind:>18}: " + ", ".join(f"{k} {v:.2f}" for k, v in figures.items()))
    tell(f"Hear it: talkers speak speech.wav --avatar {output} -o out.mp4")
