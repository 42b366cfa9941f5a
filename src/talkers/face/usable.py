"""Which frames of a file show the person as an avatar needs it, and why the others do not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from talkers.face.analysis import Analysis
from talkers.face.crop import Crop
from talkers.face.identity import others

MIN_COVERAGE = 0.9  # of the face's box that lies within the crop
MIN_USABLE = 5  # frames of a file

Flaw = Literal["no-face", "another-person", "frozen", "outside"]


def flaws_of(a: Analysis, crop: Crop | None) -> dict[Flaw, NDArray[np.bool_]]:
    """Frames that are of no use, by reason: bool [T] each; a frame has one reason.

    Args:
        a: the file.
        crop: how it is cut; without it no face is outside.
    """
    flaws: dict[Flaw, NDArray[np.bool_]] = {
        "no-face": ~a.found,
        "another-person": _another_person(a),
        "frozen": a.still,
        "outside": np.zeros(len(a.faces), bool) if crop is None else _coverage(a, crop),
    }
    used = np.ones(len(a.faces), bool)
    for flaw, mask in flaws.items():
        flaws[flaw], used = mask & used, used & ~mask
    return flaws


def usable_frames(a: Analysis, crop: Crop | None = None) -> NDArray[np.bool_]:
    """Frames without a flaw: bool [T]."""
    return ~np.any(list(flaws_of(a, crop).values()), axis=0)


def _coverage(a: Analysis, crop: Crop) -> NDArray[np.bool_]:
    """Frames whose face lies too far outside the crop."""
    low = np.maximum(a.boxes[:, :2], [crop.left, crop.top])
    high = np.minimum(a.boxes[:, 2:], [crop.left + crop.side, crop.top + crop.side])
    inside = np.maximum(high - low, 0).prod(1)
    area = np.maximum((a.boxes[:, 2:] - a.boxes[:, :2]).prod(1), 1e-6)
    return np.asarray(inside < MIN_COVERAGE * area)  # NaN, no face: false


def _another_person(a: Analysis) -> NDArray[np.bool_]:
    """Frames between cuts in which most described faces are not the main person's."""
    frames = np.zeros(len(a.faces), bool)
    edges = [0, *(int(cut) for cut in a.cuts), len(a.faces)]
    stretch = np.searchsorted(a.cuts, a.identified, side="right")  # in which each face is
    lengths = np.diff(edges)
    weights = lengths[stretch] / np.bincount(stretch, minlength=len(lengths))[stretch]
    strange = others(a.identities, weights.astype(np.float64))
    for k in np.unique(stretch):
        if strange[stretch == k].mean() > 0.5:
            frames[edges[k] : edges[k + 1]] = True
    return frames
