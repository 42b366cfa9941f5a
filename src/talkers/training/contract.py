"""What a stage of training is, and the run that all stages of a training share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from talkers.corpus import Corpus
from talkers.corpus.splits import held_out_clips, training_clips
from talkers.corpus.views import head_values
from talkers.errors import ArtefactError, UsageError
from talkers.progress import Report, quiet
from talkers.renderers.contract import MotionEncoder
from talkers.runtime.components import build_component
from talkers.space.contract import HEAD
from talkers.space.face_motion import FaceMotionConfig, FaceMotionSpace
from talkers.space.linear import LinearSpace
from talkers.systems.recipe import Recipe
from talkers.systems.stages import StageConfig
from talkers.training.cache import VariantCache
from talkers.training.features import speech_features
from talkers.training.frames import FrameStore
from talkers.training.module import StageModule
from talkers.training.motion_data import MotionData, frame_latents
from talkers.training.progress import TrainingProgress
from talkers.training.space_fit import (
    face_motions,
    fit_appearance,
    fit_face_motion,
    fit_space,
    rest,
)


@dataclass(frozen=True)
class Run:
    """One training: everything that its stages share.

    Attributes:
        corpus: prepared footage of one person.
        recipe: what is trained, and how; its rate is the corpus's.
        folder: takes checkpoints, montages and metrics.jsonl.
        init_from: folder of an avatar or training whose weights are begun with.
        report: called with what is done, how much of it is done and how much there is.
        budget: name of a stage that begins now -> its seconds of training, or None.
        trainer_options: passed on to Lightning's Trainer (devices, strategy, precision, ...).
        latents: of the clips, where a renderer that was trained before is kept; {name: [T, L]}.
        reusable: components of the avatar in `init_from` that fit this recipe, by slot.
        components: what has been trained so far, by its slot in the avatar: "renderer", ...
    """

    corpus: Corpus
    recipe: Recipe
    folder: Path
    init_from: Path | None = None
    report: Report = quiet
    budget: Callable[[str], float | None] | None = None
    trainer_options: Mapping[str, Any] = field(default_factory=dict)
    latents: Mapping[str, Tensor] | None = None
    reusable: Mapping[str, nn.Module] = field(default_factory=dict)
    components: dict[str, nn.Module] = field(default_factory=dict)

    @cached_property
    def held_out(self) -> list[str]:
        """Names of the clips that are only validated on."""
        return held_out_clips(self.corpus)

    @cached_property
    def training_clips(self) -> list[str]:
        """Names of the clips that are trained on."""
        return training_clips(self.corpus, self.recipe.minutes)

    @cached_property
    def frames(self) -> FrameStore:
        """All frames of the corpus."""
        return FrameStore(self.corpus, self.report)

    @cached_property
    def features(self) -> VariantCache:
        """Speech features of every clip in every variant, on disk."""
        return speech_features(self.corpus, self.recipe, self.report)

    @cached_property
    def motion_data(self) -> MotionData:
        """What the motion models learn from; needs a trained renderer that encodes frames.

        Raises:
            UsageError: no stage has trained a renderer, or it cannot encode frames.
        """
        names, heads = [*self.training_clips, *self.held_out], None
        if self.latents is not None:
            latents = {name: self.latents[name] for name in names}
        elif self.face_space is not None:
            latents = face_motions(self.face_space, self.corpus, names)
            heads = {name: motion[:, : len(HEAD)] for name, motion in latents.items()}
        else:
            renderer = self.component("renderer")
            if not isinstance(renderer, MotionEncoder):
                raise UsageError(
                    f"the renderer '{self.recipe.renderer.type}' cannot encode frames",
                    why="motion models learn from what it encodes",
                    todo="Leave the stages of motion models out, or give it `encode`",
                )
            latents = frame_latents(renderer, self.frames, names, self.report)
        judged = any(getattr(stage, "sync_weight", 0) for stage in self.recipe.stages)
        return MotionData.collect(self.corpus, latents, self.features, judged, heads)

    @cached_property
    def face_space(self) -> FaceMotionSpace | None:
        """A space of key points, fitted on those of the clips; None for spaces of other kinds."""
        if not isinstance(self.recipe.space, FaceMotionConfig):
            return None
        kept = self.reusable.get("space")
        if isinstance(kept, FaceMotionSpace):  # a motion model that is kept knows this one
            return kept
        space = FaceMotionSpace(self.recipe.space)
        fit_face_motion(space, self.corpus, self.training_clips, self.report)
        return space

    def heads(self, name: str) -> Tensor:
        """Head values [T, 7] of a clip: those of its motion, where that says them."""
        if self.face_space is not None:
            return self.motion_data.heads[name]
        return torch.from_numpy(head_values(self.corpus, name))

    @cached_property
    def trainable_clips(self) -> list[str]:
        """The clips for training in which there is a face.

        Raises:
            ArtefactError: there is none.
        """
        names = [n for n in self.training_clips if self.motion_data.usable[n].any()]
        if not names:
            raise ArtefactError(
                "no clip of this corpus can be trained on",
                where=self.corpus.folder,
                todo="Prepare more footage",
            )
        return names

    @cached_property
    def _space_and_rest(self) -> tuple[Any, dict[str, Tensor]]:
        """The space, and motion [T, width] of every clip for training with the mouth at rest."""
        clips, names = self.motion_data, self.trainable_clips
        if self.face_space is not None:
            return self.face_space, rest(self.face_space, clips, names)
        kept = self.reusable.get("space")
        if kept is not None:  # a network that is kept knows this one
            space = deepcopy(kept)
            resting = rest(space, clips, names)
            if isinstance(space, LinearSpace):
                fit_appearance(space, clips, names)
            return space, resting
        width = next(iter(clips.latents.values())).shape[1]
        space = build_component("space", self.recipe.space, width)
        return space, fit_space(space, clips, names)

    @property
    def space(self) -> Any:
        """The space of the motion, fitted on this footage; one for all motion models."""
        return self._space_and_rest[0]

    @property
    def resting(self) -> dict[str, Tensor]:
        """Motion [T, width] of every clip for training, its mouth at rest."""
        return self._space_and_rest[1]

    def component(self, slot: str) -> Any:
        """A component that an earlier stage trained.

        Raises:
            UsageError: no stage has trained it.
        """
        if slot not in self.components:
            raise UsageError(
                f"no stage of this recipe trains '{slot}', which a later stage needs",
                todo="Add a stage that trains it before the others",
            )
        return self.components[slot]


class Stage(ABC):
    """Trains one component of an avatar. A plug-in's stage derives from this and is registered.

    Args:
        config: its settings; their `share` is that of a time budget.

    Attributes:
        trains: the slot of the component that it trains: "renderer", "motion/KEY" or
            "speech/student".
        needs: slots of the components that must have been trained before.
    """

    trains: str
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any):
        self.config: Any = config

    @property
    def name(self) -> str:
        """Names its checkpoints and its part of the time budget."""
        settings: StageConfig = self.config
        return settings.type

    @property
    def share(self) -> float:
        """Of a time budget, relative to the other stages."""
        settings: StageConfig = self.config
        return settings.share

    def prepare(self, run: Run) -> None:
        """Do what takes long and is done once, before the time budget is divided."""
        return

    @abstractmethod
    def data(self, run: Run) -> Any:
        """What it learns from: a `StageData`, perhaps with more for `module`."""

    @abstractmethod
    def module(self, run: Run, data: Any, progress: TrainingProgress) -> StageModule:
        """The component in a Lightning module with its loss.

        Args:
            run: the training.
            data: what `data` returned.
            progress: how far training is; goes to `StageModule`.
        """

    def finish(self, run: Run, data: Any, component: nn.Module) -> None:
        """Learn what is not learnt by gradient descent, when all steps are done."""
        return

    def reuse(self, run: Run) -> nn.Module | None:
        """The component where it shall see 0 frames; None: the avatar has none."""
        return None
