"""Train any renderer on single frames of a corpus, by its own `training_loss`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from talkers.errors import ArtefactError, UsageError
from talkers.runtime.components import build_component
from talkers.training.contract import Run, Stage
from talkers.training.frames import FrameDataset
from talkers.training.initial import initialise_from
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.progress import TrainingProgress
from talkers.training.trainable import TrainableModule

VALIDATION_CLIPS = 4
BLINK_FLOOR, BLINK_GAIN = 0.6, 2.0  # from a blink of 0.3 on a frame is drawn more often


class RendererStage(Stage):
    """Trains a renderer on single frames; held-out clips are only validated on."""

    trains = "renderer"

    def build(self, run: Run) -> Any:
        """The untrained renderer."""
        return build_component("renderer", run.recipe.renderer)

    def prepare(self, run: Run) -> None:
        """Refuse at once what cannot be trained."""
        if not self.config.frames and run.init_from is None:
            raise UsageError(
                f"the {self.name} shall see 0 frames",
                todo=f"Name an avatar whose {self.name} to take with --init-from, "
                "or let it see some",
            )

    def data(self, run: Run) -> StageData:
        """Frames with a face; those with closed eyes are drawn more often, as the recipe says."""
        store = run.frames
        indices = store.indices(run.training_clips)
        if not len(indices):
            raise ArtefactError(
                "no frame of this corpus can be trained on",
                where=run.corpus.folder,
                todo="Prepare more footage",
            )
        # weight = 1 + boost clip(2 blink - 0.6, 0, 1)
        closed = np.clip(store.blink[indices] * BLINK_GAIN - BLINK_FLOOR, 0, 1)
        weights = 1 + getattr(self.config, "blink_boost", 0.0) * closed
        dataset = FrameDataset(store)
        clips = [store.indices([name]) for name in run.held_out[:VALIDATION_CLIPS]]
        batches = [[int(i) for i in clip] for clip in clips if len(clip)]
        validation: DataLoader[Any] | None = None
        if clips:
            validation = DataLoader(dataset, batch_sampler=batches)
        return StageData(dataset, indices, weights, validation)

    def module(self, run: Run, data: StageData, progress: TrainingProgress) -> StageModule:
        """The renderer with its own loss."""
        torch.manual_seed(run.recipe.seed)
        model = self.build(run)
        if run.init_from is not None:
            initialise_from(run.init_from, self.name, self.trains, model)
        return TrainableModule(model, self.config, progress, run.recipe.seed)

    def reuse(self, run: Run) -> nn.Module | None:
        """The renderer of the avatar or training that this one begins with."""
        assert run.init_from is not None
        model: nn.Module = self.build(run)
        initialise_from(run.init_from, self.name, self.trains, model)
        return model
