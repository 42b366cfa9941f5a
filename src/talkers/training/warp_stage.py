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
from talkers.face.landmarks import BLINKS, mouth_opening
from talkers.face.regions import region_figures
from talkers.media import write_png
from talkers.media.montage import montage
from talkers.renderers.contract import RenderOptions, from_frames, to_frames
from talkers.renderers.warp import WarpRenderer
from talkers.space.face_motion import FaceMotionConfig
from talkers.systems.stages import WarpTraining
from talkers.training.contract import Run
from talkers.training.frames import FrameStore
from talkers.training.initial import initialise_beside, initialise_from
from talkers.training.loop import StageData
from talkers.training.module import StageModule
from talkers.training.motion_data import expert_mel
from talkers.training.picture_pairs import PicturePairs, read_pictures
from talkers.training.progress import TrainingProgress
from talkers.training.renderer_stage import BLINK_FLOOR, BLINK_GAIN, RendererStage
from talkers.training.warp_losses import Beside, Critics, MouthJudges, Readers, warp_losses

VALIDATION_FRAMES = 25  # of a held-out clip, evenly picked
VALIDATION_CLIPS = 8
MIN_JUDGED = 5  # frames that an expert sees at once
WIDE = 0.25  # inter-ocular distances that a mouth is open to be seen most often


class PairDataset(Dataset[dict[str, Tensor]]):
    """Pairs of frames of one clip: number `partners k + j` is frame k with its j-th partner.

    With a window, frame k is the first of those that follow each other.

    Args:
        store: the corpus's frames.
        landmarks: [N, 478, 2] pixels of all of them.
        partners: of each frame.
        seed: by which partners are drawn.
        pictures: pairs of single pictures, whose numbers come after those of the frames.
        window: frames of a target.
        with_sound: whether what is said in them is wanted, for experts.
    """

    def __init__(
        self,
        store: FrameStore,
        landmarks: NDArray[np.float32],
        partners: int,
        seed: int,
        pictures: PicturePairs | None = None,
        window: int = 1,
        with_sound: bool = False,
    ):
        self.store, self.landmarks, self.window = store, landmarks, window
        self.partners, self.seed, self.pictures = partners, seed, pictures
        names = store.corpus.names if with_sound else []
        self._mel = {name: expert_mel(store.corpus, name) for name in names}
        spoken = [np.array(store.corpus.column("speech", n), bool) for n in names]
        self._silent = ~np.concatenate(spoken) if spoken else np.zeros(0, bool)
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
        """A pair, and a third frame of the clip as reference of the teeth; see `warp_losses`.

        Returns:
            source, reference: uint8 [S, S, 3]; target: uint8 [W, S, S, 3]; source_points, ...:
            [478, 2] or [W, 478, 2] pixels; and of the target usable and silent, bool [W], and mel
            [4 W, 80], if what is said is wanted.
        """
        target, partner = divmod(index, self.partners)
        if self.pictures is not None and target >= len(self._clip_of):
            found = self.pictures.pair(target - len(self._clip_of), partner)
            return found | {n: found[n][None] for n in ("target", "target_points")}
        random = np.random.default_rng((self.seed, target, partner))
        frames = self._seen[self._clip_of[target]]
        source, other = (int(frames[k]) for k in random.integers(len(frames), size=2))
        # with one picture of a person the source is its own reference
        clip = self.store.corpus.clips[self._clip_of[target]]
        begin = self.store.start[clip.name]
        first = max(begin, min(target, begin + clip.frames - self.window))
        shown = slice(first, first + self.window)
        reference = other if partner % 2 else source
        found = {}
        for name, k in (("source", source), ("target", shown), ("reference", reference)):
            found[name] = torch.from_numpy(np.array(self.store.frames[k]))
            found[f"{name}_points"] = torch.from_numpy(self.landmarks[k])
        if self._mel:
            found["usable"] = torch.from_numpy(np.array(self.store.face[shown], bool))
            found["silent"] = torch.from_numpy(self._silent[shown])
            rows = slice(4 * (first - begin), 4 * (first - begin + self.window))
            found["mel"] = self._mel[clip.name][rows]
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
        super().__init__(model, config, progress, seed, config.batch * config.window)
        self.montages = montages
        judged = config.reading_weight or config.sync_weight
        # in a list: not trained, not saved
        self._judges = (
            [MouthJudges(config.reading_weight, config.sync_weight)]
            if judged
            else list[MouthJudges]()
        )
        self.critics = Critics(config.critic_weight) if config.critic_weight else None
        self.readers = Readers(config.points_weight) if config.points_weight else None

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """How far painted mouths and eyes of a batch are from the real ones, and how they read."""
        judges = self._judges[0].to(self.device) if self._judges else None
        parts = warp_losses(self.model, batch, Beside(judges, self.critics, self.readers))
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
        config = self.config
        if config.pictures and config.window > 1:
            raise UsageError(
                f"single pictures hold no {config.window} frames that follow each other",
                todo="Leave out stages.warp.pictures, or set stages.warp.window=1",
            )
        if config.window < MIN_JUDGED and (config.reading_weight or config.sync_weight):
            raise UsageError(
                f"experts judge {MIN_JUDGED} frames and more, the window has {config.window}",
                todo=f"Set stages.warp.window={MIN_JUDGED}",
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
        if config.window > 1:  # the face is seen in all frames of a target
            hidden = np.cumsum(np.append(~store.face, np.ones(config.window, bool)))
            indices = indices[hidden[indices + config.window - 1] == hidden[indices]]
        landmarks = landmarks_of(store)
        # of each person alike: weight = (1 + a wide + b closed) / sqrt(frames of the person)
        speaker = np.concatenate([[c.speaker or ""] * c.frames for c in run.corpus.clips])[indices]
        counts = {name: (speaker == name).sum() for name in np.unique(speaker)}
        shares = np.array([counts[name] ** -0.5 for name in speaker])
        opening = mouth_opening(landmarks[indices])
        weights = self._how_often(opening, store.blink[indices]) * shares
        pictures = self._pictures(run)
        judged = bool(config.reading_weight or config.sync_weight)
        dataset = PairDataset(
            store, landmarks, config.partners, run.recipe.seed, pictures, config.window, judged
        )
        if pictures is not None:
            first, share = len(store.frames), config.pictures_share
            indices = np.concatenate([indices, np.arange(first, dataset.count)])
            of = pictures.pictures
            each = self._how_often(
                mouth_opening(of.points), of.blendshapes[:, list(BLINKS)].mean(1)
            )
            whole = share / max(1 - share, 1e-6) * weights.sum()
            weights = np.concatenate([weights, whole * each / each.sum()])
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

    def _how_often(self, opening: NDArray[Any], blink: NDArray[Any]) -> NDArray[Any]:
        """How often frames are seen, by mouths [n] (inter-ocular distances) and lids [n]."""
        wide = np.clip(opening / WIDE, 0, 1)
        closed = np.clip(blink * BLINK_GAIN - BLINK_FLOOR, 0, 1)
        found: NDArray[Any] = 1 + self.config.open_boost * wide + self.config.blink_boost * closed
        return found

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
        module = WarpModule(model, self.config, progress, run.recipe.seed, run.folder)
        for name in ("critics", "readers"):
            part = getattr(module, name)
            if run.init_from is not None and part is not None:
                initialise_beside(run.init_from, self.name, f"{name}.", part)
        return module
