"""An invisible mark in every frame that says: made by a machine.

It is found again without the original, in copies that were compressed, shrunk or cut (a
spread-spectrum mark, Cox et al. 1997, found by phase correlation over scales).

It is for honest people: whoever has this code can take it out again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 256  # of the mark, pixels; frames of other sizes carry it resized
PERIODS = (
    9.0,
    26.0,
)  # pixels, between which the mark's waves lie: seen by a codec at low rates, hardly by an eye
STRENGTH = 1.4  # root mean square, grey levels: 45.2 dB
SEED = 20230331
FIELD = 512  # side of the picture in which it is looked for
SCALES = tuple(
    1.0125**k for k in range(-8, 25)
)  # of the mark, relative to the shorter side of the picture: 0.91 to 1.35
# Height of the correlation's peak, in its standard deviations, above which the mark is there.
THRESHOLD = 10.8
MAX_FRAMES = 48  # frames that are looked at


@cache
def pattern(side: int = SIDE) -> Tensor:
    """The mark: float32 [side, side], unit root mean square."""
    random = np.random.default_rng(SEED)
    spectrum = np.fft.rfft2(random.standard_normal((SIDE, SIDE)))
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    waves = np.fft.irfft2(spectrum * ((f > 1 / PERIODS[1]) & (f < 1 / PERIODS[0])), (SIDE, SIDE))
    mark = torch.from_numpy(np.clip(waves / waves.std(), -2.5, 2.5)).float()
    if side != SIDE:
        mark = F.interpolate(mark[None, None], (side, side), mode="bicubic", antialias=True)[0, 0]
    return mark / mark.std()


def marked(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] in -1..1 with the mark in them."""
    return pictures + (STRENGTH / 127.5 * pattern(pictures.shape[-1])).to(pictures)


class Found(NamedTuple):
    """What was found of the mark.

    Attributes:
        there: whether it is there.
        score: height of the peak in standard deviations.
        scale: of the mark, relative to the picture's shorter side.
    """

    there: bool
    score: float
    scale: float


def _flat(grey: Tensor) -> Tensor:
    """Pictures [N, 1, H, W] without what is bright or busy in them.

    What is left is about as strong everywhere.
    """

    def blurred(x: Tensor, width: int) -> Tensor:
        side = 2 * width + 1
        return F.avg_pool2d(
            F.avg_pool2d(F.pad(x, (width, width, width, width), mode="reflect"), (1, side), 1),
            (side, 1),
            1,
        )

    fine = grey - blurred(blurred(grey, 6), 6)
    return fine / (blurred(fine.square(), 8).sqrt() + 1.5)


@torch.inference_mode()
def find(frames: Iterable[NDArray[np.uint8]]) -> Found:
    """Look for the mark in frames.

    MAX_FRAMES of them are looked at, the first ones. Where the picture changes its size, the size
    counts that most of them have.

    Args:
        frames: uint8 [H, W, 3]
    """
    sums: dict[torch.Size, Tensor] = {}
    counts: Counter[torch.Size] = Counter()
    for frame in islice(frames, MAX_FRAMES):
        grey = torch.from_numpy(np.ascontiguousarray(frame)).float().mean(-1)[None, None]
        factor = SIDE / min(grey.shape[2:])
        height, width = (min(FIELD, max(32, round(n * factor))) for n in grey.shape[2:])
        flat = _flat(
            F.interpolate(
                grey, (height, width), mode="bilinear", antialias=True, align_corners=False
            )
        )[0, 0]
        sums[flat.shape] = sums[flat.shape] + flat if counts[flat.shape] else flat
        counts[flat.shape] += 1
    if not counts:
        return Found(False, 0.0, 1.0)
    shape, count = counts.most_common(1)[0]
    field = torch.zeros(FIELD, FIELD)
    field[: shape[0], : shape[1]] = sums[shape] / count
    spectrum = torch.fft.rfft2(field)
    even = spectrum / (spectrum.abs() + 1e-6)  # its phases alone
    best = Found(False, 0.0, 1.0)
    for scale in SCALES:
        side = round(SIDE * scale)
        mark = torch.zeros(FIELD, FIELD)
        shown = pattern(side)[:FIELD, :FIELD]
        mark[: shown.shape[0], : shown.shape[1]] = shown
        surface = torch.fft.irfft2(even * torch.fft.rfft2(mark).conj(), (FIELD, FIELD))
        score = float((surface.max() - surface.mean()) / surface.std())
        if score > best.score:
            best = Found(score > THRESHOLD, score, scale)
    return best
