"""Is something before the mouth? A hand, a cup or a microphone changes colours that a face keeps.

Colours at points of the lower face are compared with those of the same person in the rest of the
film. Each frame's light is that of the upper face, which is not covered. A hand has a face's
colours: it is known by the pattern of lips, chin and shadows, which is gone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 64  # spots along a side of the square in which colours are looked at
COMPARED = 2000  # frames, at most, that tell what is usual
TOGETHER = 1000  # frames that are compared with it at a time
UPPER = (6, 197, 195, 5, 117, 346, 118, 347, 119, 348, 101, 330, 50, 280)  # nose and cheeks
LOWER = (
    *(164, 167, 393, 92, 322, 2, 326, 97),  # below the nose
    *(199, 200, 18, 83, 313, 201, 421, 208, 428, 194, 418, 204, 424, 175, 171, 396),  # chin
    *(186, 410, 57, 287, 43, 273, 106, 335, 202, 422, 206, 426, 203, 423, 212, 432),  # beside
)
DARK = 12.0  # grey levels below which colours are not told apart
FLOOR = 0.07  # of a spread of log colours
FAR, UNLIKE = 4.0, 0.18  # spreads and log colours by which a covered point differs
SIMILAR, USUALLY = 0.5, 0.75  # correlation with the usual pattern: least, and of most frames
FAINT = 0.03  # log colours, spread of a pattern that tells nothing
SHARE = 0.15  # of the points: more of them are covered, or none
BRIEF, BESIDE = 2, 5  # frames: shorter ones are chance; so many more beside it
MOST = 0.5  # of the frames: where more are covered, nothing tells what the face looks like


def spot_colours(square: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours of a lower face beside those of the upper one.

    Args:
        square: uint8 [S, S, 3] around the face.
        points: [478, 2] key points, shares of its side.

    Returns:
        [P, 3] differences of log colours.
    """
    side = len(square)
    cells = np.clip((points[[*LOWER, *UPPER]] * SIDE).astype(int), 0, SIDE - 1)
    within = np.arange(max(1, side // SIDE))
    columns, rows = ((cells.T * side // SIDE)[..., None] + within).clip(0, side - 1)
    means = square[rows[:, :, None], columns[:, None]].mean((1, 2), dtype=np.float32)
    colours = np.log(means + DARK)
    lower, upper = colours[: len(LOWER)], colours[len(LOWER) :]
    return np.asarray(lower - np.median(upper, axis=0), np.float32)


def covered_frames(colours: NDArray[np.float32]) -> NDArray[np.bool_]:
    """In which frames of a film the mouth is covered.

    Args:
        colours: [T, P, 3] of `spot_colours`, NaN where no face is seen.

    Returns:
        bool [T].
    """
    seen = np.isfinite(colours).all((1, 2))
    covered = np.zeros(len(colours), bool)
    if not seen.any():
        return covered
    numbers = np.flatnonzero(seen)
    some = np.linspace(0, len(numbers) - 1, min(COMPARED, len(numbers))).astype(int)
    sample = colours[numbers[some]]
    usual = np.median(sample, axis=0)
    limit = np.maximum(FAR * (1.4826 * np.median(np.abs(sample - usual), axis=0) + FLOOR), UNLIKE)
    for first in range(0, len(numbers), TOGETHER):
        part = numbers[first : first + TOGETHER]
        unlike = (np.abs(colours[part] - usual) > limit).any(-1)
        covered[part] = unlike.mean(1) > SHARE
    pattern = usual - usual.mean(0)
    if pattern.std() > FAINT and np.median(_similar(sample, pattern)) > USUALLY:
        for first in range(0, len(numbers), TOGETHER):
            part = numbers[first : first + TOGETHER]
            covered[part] |= _similar(colours[part], pattern) < SIMILAR
    if covered.mean() > MOST:
        return np.zeros(len(colours), bool)
    edges = np.flatnonzero(np.diff(covered.astype(int), prepend=0, append=0)).reshape(-1, 2)
    covered[:] = False
    for begin, end in edges:
        if end - begin >= BRIEF:
            covered[max(0, begin - BESIDE) : end + BESIDE] = True
    return covered & seen


def _similar(colours: NDArray[np.float32], pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far lower faces [T, P, 3] have a pattern [P, 3] of mean 0: [T] correlations over the
    points, 0 where all of them are alike."""
    found = colours - colours.mean(1, keepdims=True)
    norms = np.sqrt(np.square(found).sum((1, 2)) * np.square(pattern).sum())
    return np.asarray((found * pattern).sum((1, 2)) / np.maximum(norms, 1e-6), np.float32)
