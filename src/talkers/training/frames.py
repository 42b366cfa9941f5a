"""The frames of a corpus, ready for random access, and the order in which training sees them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

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


class FrameStore:
    """All frames of a corpus in one memory-mapped array (built once, in the corpus's .cache folder).

    frames: uint8 [N, S, S, 3]; boxes: [N, 3, 4]; shapes: [N, 133], see `face_shape`; face: bool [N]; blink: [N].
    """

    def __init__(self, corpus: Corpus, progress: Report = quiet):
        self.corpus = corpus
        self.start: dict[str, int] = {}
        total = 0
        for clip in corpus.clips:
            self.start[clip.name] = total
            total += clip.frames
        path = corpus.folder / ".cache" / f"frames-{corpus.digest()[:16]}.npy"
        shape = (total, corpus.size, corpus.size, 3)
        if not path.exists():
            with atomic(path) as temporary:
                for old in path.parent.glob(
                    "frames-*.npy"
                ):  # of the corpus before footage was added
                    old.unlink()
                store = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                with temporary.open(
                    "r+b"
                ) as out:  # a full disk is noticed now, not as a crash while writing
                    os.posix_fallocate(out.fileno(), 0, temporary.stat().st_size)
                for done, clip in enumerate(corpus.clips):
                    index, end, source = (
                        self.start[clip.name],
                        self.start[clip.name] + clip.frames,
                        corpus.folder / "clips" / f"{clip.name}.mp4",
                    )
                    for frame in decode_frames(source):
                        if frame.shape != shape[1:]:
                            what = f"the frames of clip {clip.name} have {frame.shape[1]} x {frame.shape[0]} px, not {corpus.size} x {corpus.size}"
                            raise ArtefactError(
                                what, where=source, todo="Prepare the footage again"
                            )
                        index += 1
                        if index > end:  # however many more there are
                            break
                        store[index - 1] = frame
                    if index != end:
                        raise ArtefactError(
                            f"clip {clip.name} does not have its {clip.frames} frames",
                            where=source,
                            todo="Prepare the footage again",
                        )
                    progress("unpacking frames", done + 1, len(corpus.clips))
                store.flush()
                del store
        self.frames: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
        marks = np.concatenate([corpus.column("landmarks", c.name) for c in corpus.clips])
        self.boxes = region_boxes(marks, corpus.size)
        self.shapes = np.concatenate([face_shape(corpus, c.name) for c in corpus.clips])
        self.face = np.concatenate([corpus.column("face", c.name) for c in corpus.clips])
        self.blink = np.nan_to_num(
            np.concatenate([corpus.column("blink", c.name) for c in corpus.clips])
        )

    def indices(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Frames with a face in the named clips."""
        rows = [np.arange(self.start[n], self.start[n] + self.corpus.clip(n).frames) for n in names]
        joined = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return joined[self.face[joined]]


class FrameDataset(Dataset[dict[str, Tensor]]):
    """Frames by index: {"frame": uint8 [S, S, 3], "boxes": int16 [3, 4], "shape": float32 [133], standardised}."""

    def __init__(self, store: FrameStore):
        self.store = store
        mean, std = store.shapes[store.face].mean(0), store.shapes[store.face].std(0)
        self.shapes = np.clip((store.shapes - mean) / np.maximum(std, 1e-3), -4, 4).astype(
            np.float32
        )

    def __len__(self) -> int:
        return len(self.store.frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "frame": torch.from_numpy(np.array(self.store.frames[index])),
            "boxes": torch.from_numpy(self.store.boxes[index]),
            "shape": torch.from_numpy(self.shapes[index]),
        }


class PositionSampler(Sampler[list[int]]):
    """Endless batches whose content is a pure function of (seed, position), so that resuming is exact.

    Args:
        weights: how often each index is drawn, relative.
        indices: what is drawn.
        batch: indices in a batch of this process.
        position: the batch at which iteration begins, asked for when it does.
        rank, world: this process among those that train together.
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
            draw = np.random.default_rng((self.seed, step)).random((self.world, self.batch))[
                self.rank
            ]
            yield [
                int(i)
                for i in self.indices[
                    np.minimum(np.searchsorted(self.cumulative, draw), len(self.indices) - 1)
                ]
            ]
            step += 1
