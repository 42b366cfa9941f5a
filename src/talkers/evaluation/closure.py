"""The metric of lips that close for p, b and m."""

from __future__ import annotations

from talkers.evaluation.contract import Metric, Needs, Score, Utterance
from talkers.evaluation.phonemes import aligner, bilabial_closure
from talkers.evaluation.tracked import TrackedClip


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
