"""talkers train: a corpus becomes an avatar."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.console import out, progress_bar, tell
from talkers.cli.options import Out, Settings
from talkers.errors import UsageError, missing


@dataclass(frozen=True)
class TrainArguments:
    """How an avatar is trained, and what is said of it."""

    recipe: str = "compact"
    """compact, compact_512, dae_talker, dae_talker_128, portrait (a base for portraits, of many
    people), or tiny and tiny_portrait for trying out."""
    set: Settings = ()
    """Settings to change, as key=value, several at once or one by one (see the recipe in
    avatar.json for the keys)."""
    budget: str | None = None
    """Time for everything together, such as 30m or 1h30m; the learning rate is fitted to it."""
    resume: bool = False
    """Go on with the training in the output folder."""
    init_from: Path | None = None
    """Avatar (default for the bundled one) or training folder of the same recipe whose codec to
    begin with, and whose other models where they fit."""
    consent: str | None = None
    """Who agreed to what, if the corpus does not say so (see talkers prepare) or something else
    holds for this avatar."""
    licence: str | None = None
    """Licence of the avatar, likewise."""
    devices: str = "auto"
    """Number of devices, or auto (all GPUs, else the CPU)."""
    strategy: str = "auto"
    """Lightning's strategy for several devices: auto, ddp, fsdp, ..."""
    precision: str = "auto"
    """Lightning's precision: bf16-mixed, 32-true, ..., or auto (bf16-mixed where the hardware is
    faster with it)."""

    def trainer_options(self) -> dict[str, Any]:
        """What is passed on to Lightning's Trainer.

        Raises:
            UsageError: devices are neither a number nor auto.
        """
        chosen: dict[str, Any] = {"strategy": self.strategy}
        if self.precision != "auto":
            chosen["precision"] = self.precision
        if self.devices != "auto":
            if not self.devices.isdigit() or not int(self.devices):
                raise UsageError(
                    f"'{self.devices}' is not a number of devices", todo="Use a number, or auto"
                )
            chosen["devices"] = int(self.devices)
        return chosen


@app.command
def train(
    corpus: Positional[Path],
    output: Out,
    options: Annotated[TrainArguments, arg(name="")] = TrainArguments(),
) -> None:
    """Train an avatar from a corpus: the codec, the motion models, the streaming speech encoder.

    For example: talkers train corpus/ -o ada/ --budget 90m

    Args:
        corpus: Folder made by `talkers prepare`.
        output: Folder of the avatar; its training/ holds checkpoints, montages and metrics.jsonl.
        options: How it is trained.
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

    refuse_same_file([output], [corpus])
    trainer_options = options.trainer_options()
    seconds = parse_duration(options.budget) if options.budget else None
    settings = [setting for group in options.set for setting in group]
    chosen = with_settings(recipe_named(options.recipe), settings)
    command = "talkers " + shlex.join(sys.argv[1:])
    refuse_footage(corpus)
    footage = Corpus(corpus)
    if not (options.consent or footage.about.get("consent")):
        raise UsageError(
            "nobody is said to have agreed to this avatar",
            where=corpus,
            todo="Say who agreed to what: --consent 'I, Ada, agree to be shown'",
        )
    terms = Terms(command, options.consent, options.licence)
    with progress_bar(lines=False) as report:
        how = TrainOptions(seconds, options.resume, options.init_from, terms, trainer_options)
        avatar = run(footage, output, chosen, how, report)
    if avatar is None:
        return
    tell(f"{output}: an avatar of {avatar.size} px at {avatar.frame_rate} fps")
    for kind, figures in (avatar.about.get("metrics") or {}).items():
        if isinstance(figures, dict):
            out.print(f"  {kind:>18}: " + ", ".join(f"{k} {v:.2f}" for k, v in figures.items()))
    tell(f"Hear it: talkers speak speech.wav --avatar {shlex.quote(str(output))} -o out.mp4")


def refuse_footage(corpus: Path) -> None:
    """Say what to do with footage that was named in place of a corpus.

    Raises:
        ArtefactError: the path is a video, or a folder that is no corpus.
    """
    from talkers.errors import ArtefactError

    if (corpus / "corpus.json").exists() or not corpus.exists():
        return
    prepared = corpus.parent / f"{corpus.stem}-corpus"
    raise ArtefactError(
        "there is no corpus here",
        where=corpus,
        todo="If this is footage, prepare it first: "
        f"`talkers prepare {shlex.quote(str(corpus))} -o {shlex.quote(str(prepared))}`",
    )
