"""Train the networks of the warping renderer on pairs of frames of one person."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from talkers.errors import ArtefactError, UsageError
from talkers.face.landmarks import mouth_opening
from talkers.face.regions import region_figures
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.renderers.contract import RenderOptions, from_frames, to_frames
from talkers.renderers.warp import WarpRenderer
from talkers.space.face_motion import FaceMotionConfig
from talkers.systems.stages import WarpTraining
from talkers.training.contract import Run
from talkers.training.frames import FrameStore
from talkers.training.initial import initialise_from
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.picture_pairs import PicturePairs, read_pictures
from talkers.training.progress import TrainingProgress
from talkers.training.renderer_stage import BLINK_FLOOR, BLINK_GAIN, RendererStage

VALIDATION_FRAMES = 25  # of a held-out clip, evenly picked
VALIDATION_CLIPS = 8
WIDE = 0.25  # inter-ocular distances that a mouth is open to be seen most often


class PairDataset(Dataset[dict[str, Tensor]]):
    """Pairs of frames of one clip: number `partners k + j` is frame k with its j-th partner.

    Args:
        store: the corpus's frames.
        landmarks: [N, 478, 2] pixels of all of them.
        partners: of each frame.
        seed: by which partners are drawn.
        pictures: pairs of single pictures, whose numbers come after those of the frames.
    """

    def __init__(
        self,
        store: FrameStore,
        landmarks: NDArray[np.float32],
        partners: int,
        seed: int,
        pictures: PicturePairs | None = None,
    ):
        self.store, self.landmarks = store, landmarks
        self.partners, self.seed, self.pictures = partners, seed, pictures
        clips = [(store.start[c.name], c.frames) for c in store.corpus.clips]
        self._clip_of = np.repeat(np.arange(len(clips)), [count for _, count in clips])
        self._seen = [start + np.flatnonzero(store.face[start : start + n]) for start, n in clips]

    @property
    def count(self) -> int:
        """Of targets: frames, then pictures."""
        return len(self._clip_of) + (0 if self.pictures is None else len(self.pictures))

    def __len__(self) -> int:
        return self.count * self.partners

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A pair, and a third frame of the clip as reference of the teeth.

        Returns:
            source, target, reference: uint8 [S, S, 3]; source_points, ...: [478, 2] pixels.
        """
        target, partner = divmod(index, self.partners)
        if self.pictures is not None and target >= len(self._clip_of):
            return self.pictures.pair(target - len(self._clip_of), partner)
        random = np.random.default_rng((self.seed, target, partner))
        frames = self._seen[self._clip_of[target]]
        source, other = (int(frames[k]) for k in random.integers(len(frames), size=2))
        # with one picture of a person the source is its own reference
        chosen = {
            "source": source,
            "target": target,
            "reference": other if partner % 2 else source,
        }
        found = {}
        for name, k in chosen.items():
            found[name] = torch.from_numpy(np.array(self.store.frames[k]))
            found[f"{name}_points"] = torch.from_numpy(self.landmarks[k])
        return found


class FirstFrameDataset(Dataset[dict[str, Tensor]]):
    """Held-out clips, each with some of its frames.

    Args:
        store: the corpus's frames.
        landmarks: [N, 478, 2] pixels of all of them.
        clips: frames [n] of each clip.
    """

    def __init__(
        self,
        store: FrameStore,
        landmarks: NDArray[np.float32],
        clips: list[NDArray[np.int64]],
    ):
        self.store, self.landmarks, self.clips = store, landmarks, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A clip: frames uint8 [n, S, S, 3], points [n, 478, 2] pixels, boxes [n, 3, 4]."""
        chosen = self.clips[index]
        return {
            "frames": torch.from_numpy(np.stack([self.store.frames[k] for k in chosen])),
            "points": torch.from_numpy(self.landmarks[chosen]),
            "boxes": torch.from_numpy(self.store.boxes[chosen]),
        }


def landmarks_of(store: FrameStore) -> NDArray[np.float32]:
    """Key points of all frames of a corpus, 0 where there is no face: [N, 478, 2] pixels."""
    names = store.corpus.names
    every = np.concatenate([store.corpus.column("landmarks", n) for n in names])
    return np.nan_to_num(every.astype(np.float32))


class WarpModule(StageModule):
    """Training step of the warping renderer.

    Args:
        model: the renderer, with its space.
        config: settings of its training.
        progress: of the training.
        seed: of its random numbers.
        montages: folder for pictures of validations.
    """

    model: WarpRenderer

    def __init__(
        self,
        model: WarpRenderer,
        config: WarpTraining,
        progress: TrainingProgress,
        seed: int,
        montages: Any = None,
    ):
        super().__init__(model, config, progress, seed)
        self.montages = montages

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The renderer's own loss of a batch of pairs."""
        parts = self.model.training_loss(batch)
        for name, value in parts.items():
            self.log(f"train/{name}", value, prog_bar=True)
        return torch.stack(list(parts.values())).sum()

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """One batch is one clip of a person never seen, shown from its first frame."""
        frames, points, boxes = (batch[key][0] for key in ("frames", "points", "boxes"))
        shares = points / frames.shape[1]
        identity = self.model.identity(from_frames(frames[:1]), shares[:1])
        assert identity.values is not None
        motion = self.model.space.motion_of(shares, identity.values["rest"].to(shares.device))
        generated = to_frames(self.model.render(motion, RenderOptions(), identity)).cpu().numpy()
        reference = frames.cpu().numpy()
        figures = region_figures(generated, reference, boxes.cpu().numpy())
        for name, value in figures.items():
            shown = name in ("psnr", "mouth_r2")
            self.log(f"val/{name}", value, prog_bar=shown, batch_size=1, sync_dist=True)
        if self.montages and self.global_rank == 0:
            some = slice(None, None, 4)
            path = self.montages / f"warp-{batch_idx}-{self.progress.seen:09d}.png"
            write_png(path, montage([reference[some], generated[some]]))


class WarpStage(RendererStage):
    """Trains the warping renderer; people who are held out are only validated on."""

    def prepare(self, run: Run) -> None:
        """Refuse at once what cannot be trained.

        Raises:
            UsageError: the recipe's space is not one of face motion, or of another width.
        """
        super().prepare(run)
        space, width = run.recipe.space, run.recipe.renderer.motion_width
        if not isinstance(space, FaceMotionConfig) or space.width != width:
            raise UsageError(
                f"the renderer 'warp' shows face motion of {width} numbers, the recipe's space has "
                f"{getattr(space, 'width', 'others')}",
                todo="Set renderer.motion_width and the space alike",
            )

    def build(self, run: Run) -> Any:
        """The untrained renderer, in the space of the run."""
        renderer = super().build(run)
        renderer.bind(run.face_space if run.face_space is not None else run.space)
        return renderer

    def data(self, run: Run) -> StageData:
        """Pairs of frames; open mouths and closed eyes are drawn more often."""
        store, config = run.frames, self.config
        indices = store.indices(run.training_clips)
        if not len(indices):
            raise ArtefactError(
                "no frame of this corpus can be trained on",
                where=run.corpus.folder,
                todo="Prepare more footage",
            )
        landmarks = landmarks_of(store)
        closed = np.clip(store.blink[indices] * BLINK_GAIN - BLINK_FLOOR, 0, 1)
        wide = np.clip(mouth_opening(landmarks[indices]) / WIDE, 0, 1)
        # of each person alike: weight = (1 + a wide + b closed) / sqrt(frames of the person)
        speaker = np.concatenate([[c.speaker or ""] * c.frames for c in run.corpus.clips])[indices]
        counts = {name: (speaker == name).sum() for name in np.unique(speaker)}
        shares = np.array([counts[name] ** -0.5 for name in speaker])
        weights = (1 + config.open_boost * wide + config.blink_boost * closed) * shares
        pictures = self._pictures(run)
        dataset = PairDataset(store, landmarks, config.partners, run.recipe.seed, pictures)
        if pictures is not None:
            first, share = len(store.frames), config.pictures_share
            indices = np.concatenate([indices, np.arange(first, dataset.count)])
            each = share / max(1 - share, 1e-6) * weights.sum() / len(pictures)
            weights = np.concatenate([weights, np.full(len(pictures), each)])
        every = indices[:, None] * config.partners + np.arange(config.partners)
        clips = [store.indices([name]) for name in run.held_out]
        clips = [c for c in clips if len(c)][:: max(1, len(clips) // VALIDATION_CLIPS)]
        chosen = [
            c[np.linspace(0, len(c) - 1, min(VALIDATION_FRAMES, len(c))).astype(int)]
            for c in clips[:VALIDATION_CLIPS]
        ]
        validation: DataLoader[Any] | None = None
        if chosen:
            validation = DataLoader(FirstFrameDataset(store, landmarks, chosen), batch_size=1)
        return StageData(
            dataset, every.reshape(-1), np.repeat(weights, config.partners), validation
        )

    def _pictures(self, run: Run) -> PicturePairs | None:
        """Pairs of the pictures that the settings name.

        Raises:
            ArtefactError: there are none.
        """
        if not self.config.pictures or run.face_space is None:
            return None
        folder, cache = Path(self.config.pictures), run.corpus.folder / ".cache"
        pictures = read_pictures(folder, run.corpus.size, cache, run.report)
        return PicturePairs(pictures, deepcopy(run.face_space), run.recipe.seed)

    def module(self, run: Run, data: StageData, progress: TrainingProgress) -> StageModule:
        """The renderer with its loss."""
        torch.manual_seed(run.recipe.seed)
        model: WarpRenderer = self.build(run)
        if run.init_from is not None:
            initialise_from(run.init_from, self.name, self.trains, model)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return WarpModule(model, self.config, progress, run.recipe.seed, run.folder)
