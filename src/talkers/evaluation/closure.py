"""Do the lips close for p, b and m?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.contract import Metric, Needs, Score, Utterance
from talkers.evaluation.tracked import TrackedClip
from talkers.experts.rate import RATE
from talkers.speech.alignment import Segment, aligner

BILABIALS = ("P", "B", "M")
CLOSED = 0.03  # opening, in inter-ocular distances, at or below which lips are closed
OPENED = 0.03  # by how much further they are open near by: a mouth that rests does not close
NEARBY = 5  # frames before and after in which they must be open


def bilabial_closure(
    opening: NDArray[np.float32], phones: Sequence[Segment], frame_rate: float = RATE
) -> float:
    """Share of p, b and m for which the lips close, a frame before to a frame after, having been
    or coming to be open within a fifth of a second.

    Args:
        opening: of the mouth [T], in inter-ocular distances.
        phones: what is said.
        frame_rate: of the opening.

    Returns:
        0..1, or NaN where none is said.
    """
    closed = []
    for phone, start, end in phones:
        if phone in BILABIALS:
            first, last = max(0, int(start * frame_rate) - 1), int(np.ceil(end * frame_rate)) + 1
            if len(window := opening[first:last]):
                nearby = opening[max(0, first - NEARBY) : last + NEARBY]
                closed.append(window.min() <= CLOSED and nearby.max() - window.min() >= OPENED)
    return float(np.mean(closed)) if closed else float("nan")


class BilabialClosure(Metric):
    """Share of p, b and m for which the lips close; see `bilabial_closure`.

    Raises:
        MissingComponent: the aligner is not installed.
    """

    figures = ("bilabial_closure",)
    needs: frozenset[Needs] = frozenset({"sound", "text"})

    def __init__(self) -> None:
        aligner()

    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """See the class; NaN where the words are not known."""
        return {"bilabial_closure": bilabial_closure(generated.opening, utterance.phones)}
