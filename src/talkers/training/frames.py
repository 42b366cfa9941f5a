"""The frames of a corpus, ready for random access, and the order in which training sees them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from talkers.artefacts.files import atomic
from talkers.corpus import Corpus
from talkers.corpus.views import face_shape
from talkers.errors import ArtefactError
from talkers.face.regions import region_boxes
from talkers.media import decode_frames
from talkers.progress import Report, quiet
from talkers.training.cache import purge_stale


class FrameStore:
    """All frames of a corpus in one memory-mapped array.

    It is built once, in the corpus's .cache folder.

    Args:
        corpus: the footage.
        report: called with clips done and clips in all.

    Attributes:
        start: first frame of each clip, by name.
        frames: uint8 [N, S, S, 3].
        boxes: [N, 3, 4], see `region_boxes`.
        descriptors: [N, 133], see `face_shape`.
        face: bool [N].
        blink: [N], 0..1.

    Raises:
        ArtefactError: a clip does not hold the frames that the corpus says.
    """

    def __init__(self, corpus: Corpus, report: Report = quiet):
        self.corpus = corpus
        counts = [clip.frames for clip in corpus.clips]
        begins = np.cumsum([0, *counts])
        self.start = {c.name: int(at) for c, at in zip(corpus.clips, begins, strict=False)}
        shape = (int(begins[-1]), corpus.size, corpus.size, 3)
        path = corpus.folder / ".cache" / f"frames-{corpus.digest()[:16]}.npy"
        if not path.exists():
            self._unpack(path, shape, report)
        self.frames: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
        names = corpus.names
        self.boxes = np.concatenate(
            [region_boxes(corpus.column("landmarks", n), corpus.size) for n in names]
        )
        self.descriptors = np.concatenate([face_shape(corpus, n) for n in names])
        self.face = np.concatenate([corpus.column("face", n) for n in names])
        self.blink = np.nan_to_num(np.concatenate([corpus.column("blink", n) for n in names]))

    def _unpack(self, path: Path, shape: tuple[int, ...], report: Report) -> None:
        """Decode all clips into one file."""
        corpus = self.corpus
        with atomic(path) as temporary:
            purge_stale(path)
            store = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with temporary.open("r+b") as out:
                # a full disk is noticed now, not as a crash while writing
                os.posix_fallocate(out.fileno(), 0, temporary.stat().st_size)
            for done, clip in enumerate(corpus.clips):
                source = corpus.folder / "clips" / f"{clip.name}.mp4"
                index = first = self.start[clip.name]
                for frame in decode_frames(source):
                    if frame.shape != shape[1:]:
                        raise ArtefactError(
                            f"the frames of clip {clip.name} have {frame.shape[1]} x "
                            f"{frame.shape[0]} px, not {corpus.size} x {corpus.size}",
                            where=source,
                            todo="Prepare the footage again",
                        )
                    index += 1
                    if index > first + clip.frames:  # however many more there are
                        break
                    store[index - 1] = frame
                if index != first + clip.frames:
                    raise ArtefactError(
                        f"clip {clip.name} does not have its {clip.frames} frames",
                        where=source,
                        todo="Prepare the footage again",
                    )
                report("unpacking frames", done + 1, len(corpus.clips))
            store.flush()

    def clip(self, name: str) -> NDArray[np.uint8]:
        """The frames of a clip: uint8 [T, S, S, 3]."""
        start = self.start[name]
        return np.array(self.frames[start : start + self.corpus.clip(name).frames])

    def indices(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Frames with a face in the named clips."""
        rows = [np.arange(self.start[n], self.start[n] + self.corpus.clip(n).frames) for n in names]
        joined = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return joined[self.face[joined]]


class FrameDataset(Dataset[dict[str, Tensor]]):
    """Frames by index, with what is measured in them.

    Args:
        store: the corpus's frames.
    """

    def __init__(self, store: FrameStore):
        self.store = store
        known = store.descriptors[store.face]
        mean, std = known.mean(0), np.maximum(known.std(0), 1e-3)
        # standardised, and outliers clipped: clip((d - mean) / std, -4, 4)
        standard = np.clip((store.descriptors - mean) / std, -4, 4)
        self.descriptors = standard.astype(np.float32)

    def __len__(self) -> int:
        return len(self.store.frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One frame.

        Returns:
            frame uint8 [S, S, 3], boxes int16 [3, 4], descriptors float32 [133], standardised.
        """
        return {
            "frame": torch.from_numpy(np.array(self.store.frames[index])),
            "boxes": torch.from_numpy(self.store.boxes[index]),
            "descriptors": torch.from_numpy(self.descriptors[index]),
        }


class PositionSampler(Sampler[list[int]]):
    """Endless batches whose content is a pure function of (seed, position): resuming is exact.

    Args:
        indices: int64 [N], what is drawn.
        weights: float [N], how often each index is drawn, relative.
        batch: indices in a batch of this process.
        seed: of the draws.
        position: the batch at which iteration begins, asked for when it does.
        rank: number of this process among those that train together.
        world: number of those processes.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        weights: NDArray[np.floating],
        batch: int,
        seed: int,
        position: Callable[[], int],
        rank: int = 0,
        world: int = 1,
    ):
        self.indices, self.batch, self.seed, self.position = indices, batch, seed, position
        self.rank, self.world = rank, world
        self.cumulative = np.cumsum(weights / weights.sum())

    def __iter__(self) -> Iterator[list[int]]:
        step = self.position()
        while True:
            random = np.random.default_rng((self.seed, step))
            draw = random.random((self.world, self.batch))[self.rank]
            # inverse transform: the first index whose cumulative weight is not below the draw
            drawn = np.minimum(np.searchsorted(self.cumulative, draw), len(self.indices) - 1)
            yield [int(i) for i in self.indices[drawn]]
            step += 1
