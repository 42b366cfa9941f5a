"""A base for portraits learns what one film's person is like, before the film is dubbed.

A generic model that is trained a little further on one person shows that person better than it did
(MimicTalk, section 3.2). Here the painter of mouths learns from pairs of the film's own frames: a
mouth that rests is the source, whatever another frame shows is the target.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from talkers.errors import UsageError
from talkers.face.landmarks import mouth_opening
from talkers.media import decode_frames
from talkers.progress import Report, quiet
from talkers.renderers.warp.lips import LipPainter
from talkers.runtime.dubbing import Dubbing
from talkers.runtime.film import SEEN
from talkers.systems.stages import WarpTraining
from talkers.training.loop import LoopOptions, StageData, fit
from talkers.training.progress import TrainingProgress
from talkers.training.warp_stage import WIDE, WarpModule

MOST = 1200  # frames of a film that are learnt from
SIDE = 320  # pixels in which they are kept
MIN_FRAMES = 25
LEARNING = WarpTraining(
    frames=10**9, learning_rate=2e-4, warmup=0.1, ema=0.99, partners=16, save_every=10**9
)
"""Ended by time; a rate at which the base is not forgotten."""


class FilmPairs(Dataset[dict[str, Tensor]]):
    """Pairs of a film's lower faces: number `partners k + j` is face k with its j-th source.

    Args:
        squares: uint8 [N, S, S, 3], cut around the faces.
        points: [N, 478, 2] key points, pixels of the squares.
        partners: of each.
        resting: which of them have a mouth that rests; every other source is one of these.
        widest: which has the widest mouth.
    """

    def __init__(
        self,
        squares: NDArray[np.uint8],
        points: NDArray[np.float32],
        partners: int,
        resting: NDArray[np.int64],
        widest: int,
    ):
        self.squares, self.points, self.partners = squares, points, partners
        self.resting, self.widest = resting, widest

    def __len__(self) -> int:
        return len(self.squares) * self.partners

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A pair and the widest mouth, as `warp_losses` wants them."""
        target, partner = divmod(index, self.partners)
        random = np.random.default_rng((target, partner))
        sources = self.resting if partner % 2 else np.arange(len(self.squares))
        chosen = {
            "source": int(random.choice(sources)),
            "target": target,
            "reference": self.widest,
        }
        found = {name: torch.from_numpy(self.squares[k]) for name, k in chosen.items()}
        places = {f"{n}_points": torch.from_numpy(self.points[k]) for n, k in chosen.items()}
        every = found | places
        return every | {name: every[name][None] for name in ("target", "target_points")}


def film_pairs(made: Dubbing, frames: NDArray[np.bool_] | None = None) -> FilmPairs:
    """Pairs of a film that is to be dubbed.

    Args:
        made: the dubbing.
        frames: bool [T], those that may be learnt from (default: all).

    Raises:
        UsageError: the face is seen in too few.
    """
    face = made.face
    seen = np.flatnonzero((face.state == SEEN) & (True if frames is None else frames))
    if len(seen) < MIN_FRAMES:
        raise UsageError(
            f"the face is seen in {len(seen)} frames: too few to learn from",
            where=made.film,
            todo=f"Leave out --learn, or use a film that shows it in {MIN_FRAMES} or more",
        )
    numbers = seen[np.linspace(0, len(seen) - 1, min(MOST, len(seen))).astype(int)]
    wanted, squares, points = set(numbers.tolist()), list[NDArray[np.uint8]](), []
    for number, frame in enumerate(decode_frames(made.film, made.frame_rate)):
        if number in wanted:
            crop = face.crop(number)
            square = Image.fromarray(crop.cut(frame)).resize((SIDE, SIDE))
            squares.append(np.asarray(square))
            points.append(face.shares(number, crop).numpy() * np.float32(SIDE))
    opening = mouth_opening(np.stack(points))
    resting = np.argsort(opening)[: max(1, len(opening) // 10)]
    partners = LEARNING.partners
    return FilmPairs(np.stack(squares), np.stack(points), partners, resting, int(opening.argmax()))


def learn_film(
    made: Dubbing,
    seconds: float,
    report: Report = quiet,
    frames: NDArray[np.bool_] | None = None,
) -> None:
    """Let the painter of a dubbing learn from its film; the avatar stays as it is.

    Args:
        made: the dubbing.
        seconds: of learning.
        report: called with the stage, frames seen and frames expected.
        frames: bool [T], those that may be learnt from (default: all).

    Raises:
        UsageError: the face is seen in too few.
    """
    pairs, renderer = film_pairs(made, frames), made.painter.renderer
    device = made.engine.device
    model = deepcopy(renderer).float().cpu()
    model.bind(deepcopy(made.space).cpu())
    model.requires_grad_(True).train()
    wide = np.clip(mouth_opening(pairs.points) / WIDE, 0, 1)
    weights = np.repeat(1 + LEARNING.open_boost * wide, pairs.partners)
    data = StageData(pairs, np.arange(len(pairs)), weights)
    progress = TrainingProgress(LEARNING.frames, seconds)
    module = WarpModule(model, LEARNING, progress, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fit(module, "warp", data, LoopOptions(Path(folder), report))
    model.bind(made.space)
    model.prepare_for(device)
    made.painter = LipPainter(model)
