"""Corpus -> avatar: all stages of a recipe, then the avatar with its own held-out figures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from talkers.corpus import Corpus
from talkers.errors import ArtefactError, UsageError
from talkers.progress import Report, quiet
from talkers.registry import component
from talkers.runtime.avatar import Avatar
from talkers.space.face_motion import FaceMotionConfig
from talkers.systems.recipe import Recipe
from talkers.training.budget import TimeBudget
from talkers.training.contract import Run, Stage
from talkers.training.folder import start_folder
from talkers.training.runner import in_order, run_stages
from talkers.training.save import Terms, save_avatar

MIN_FRAMES = 50  # of a corpus


@dataclass(frozen=True)
class TrainOptions:
    """How a training is run.

    Attributes:
        budget: seconds for everything, or None for the recipe's frames.
        resume: go on with the training that is in the avatar's folder.
        init_from: an avatar or training of the same recipe whose renderer is begun with, and
            whose other components where they fit.
        terms: of the avatar's origin; consent and licence are those of the corpus by default.
        trainer_options: passed on to Lightning's Trainer (devices, strategy, precision, ...).
    """

    budget: float | None = None
    resume: bool = False
    init_from: Path | None = None
    terms: Terms = field(default_factory=Terms)
    trainer_options: Mapping[str, Any] = field(default_factory=dict)


DEFAULTS = TrainOptions()


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in the order in which they run.

    Raises:
        MissingComponent: a stage is not installed.
        UsageError: the recipe has none, or one needs what no other trains.
    """
    if not recipe.stages:
        raise UsageError(
            f"the recipe '{recipe.name}' has no stages", todo="Add the stages that train it"
        )
    stages = [component("stage", config.type).load()(config) for config in recipe.stages]
    return in_order(stages)


def fit_recipe(recipe: Recipe, corpus: Corpus) -> Recipe:
    """The recipe at the corpus's frame rate.

    Args:
        recipe: its rate is only a target for `talkers prepare`.
        corpus: what is trained on.

    Raises:
        ArtefactError: the corpus is not of the recipe's size, or too short to train on.
    """
    size = recipe.renderer.size
    if corpus.size != size:
        raise ArtefactError(
            f"this corpus has {corpus.size} px, the recipe '{recipe.name}' needs {size} px",
            where=corpus.folder,
            todo=f"Prepare it again: `talkers prepare FOOTAGE -o CORPUS --size {size}`",
        )
    if sum(clip.frames for clip in corpus.clips) < MIN_FRAMES:
        raise ArtefactError(
            "this corpus is too short to train on",
            where=corpus.folder,
            why=f"it has fewer than {MIN_FRAMES} frames",
            todo="Prepare more footage",
        )
    return dataclasses.replace(recipe, rate=str(corpus.rate))


def reuse_components(
    init_from: Path | None, recipe: Recipe, stages: Sequence[Stage]
) -> dict[str, nn.Module]:
    """Components of a finished avatar that stand in for stages that see 0 frames.

    A motion model fits if the speech encoder is the same and the renderer is kept too (face motion
    depends on no renderer); it brings its space. A streaming encoder fits if the speech encoder is
    the same.

    Args:
        init_from: the avatar's folder, or None.
        recipe: of the new avatar.
        stages: of the recipe.

    Returns:
        components by slot.

    Raises:
        ArtefactError: that avatar is damaged.
    """
    kept = [stage.trains for stage in stages if not stage.config.frames]
    unfinished = init_from is not None and not (init_from / "avatar.json").exists()
    if init_from is None or (unfinished and (init_from / "training").is_dir()):
        return {}
    if not set(kept) - {"renderer"}:
        return {}
    engine = Avatar.load(init_from, "cpu").engine
    other, found = engine.recipe, dict[str, nn.Module]()
    same_speech = other.speech == recipe.speech
    same_motion = same_speech and other.renderer == recipe.renderer and "renderer" in kept
    if isinstance(recipe.space, FaceMotionConfig):  # whose motion no renderer decides
        same_motion = same_speech and other.space == recipe.space
    for slot in kept:
        key = slot.removeprefix("motion/")
        same = other.motion.get(key) == recipe.motion.get(key)
        if slot.startswith("motion/") and key in engine.motion and same_motion and same:
            found[slot] = engine.motion[key]
            if isinstance(engine.motion[key].space, nn.Module):
                found.setdefault("space", engine.motion[key].space)  # type: ignore[arg-type]
    student = engine.student
    if "speech/student" in kept and student is not None and same_speech:
        if other.streaming_encoder != recipe.streaming_encoder:
            raise UsageError(
                "the streaming encoder that is to be kept has other settings than the recipe",
                where=init_from,
                why=f"it has {other.streaming_encoder}",
                todo="Set streaming_encoder likewise, or let its stage train",
            )
        found["speech/student"] = student
    return found


def train(
    corpus: Corpus,
    out: Path,
    recipe: Recipe,
    options: TrainOptions = DEFAULTS,
    report: Report = quiet,
) -> Avatar | None:
    """Train an avatar, or go on with one that was interrupted.

    Args:
        corpus: prepared footage of one person.
        out: the avatar's folder; its `training` subfolder holds checkpoints, montages and
            metrics.jsonl.
        recipe: what is trained, and how; it is trained at the corpus's frame rate.
        options: how the training is run.
        report: called with what is done, how much of it is done and how much there is.

    Returns:
        the avatar, as it was saved (None in the helping processes of a training on several
        devices).

    Raises:
        ArtefactError: the corpus does not fit the recipe, or `out` or `init_from` is damaged.
        UsageError: a training has begun in `out` that is not to be resumed, or has another recipe.
    """
    recipe = fit_recipe(recipe, corpus)
    stages = stages_of(recipe)
    reusable = reuse_components(options.init_from, recipe, stages)
    # the other processes of a training on several devices join the first one
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    folder, seconds = start_folder(out, recipe, corpus, options.budget, options.resume or not first)
    shares = {stage.name: stage.share for stage in stages if stage.config.frames}
    budget = TimeBudget(folder, seconds, shares)
    run = Run(
        corpus,
        recipe,
        folder,
        options.init_from,
        report,
        budget,
        options.trainer_options,
        reusable=reusable,
    )
    _ = run.features  # before all else: what it costs is known when the first stage gets its time
    for stage in stages:
        stage.prepare(run)
    run_stages(stages, run)
    return save_avatar(run, out, options.terms) if first else None
