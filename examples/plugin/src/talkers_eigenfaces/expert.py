"""An expert without weights: does the mouth move when it is loud?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkers.experts.contract import Expert, ExpertClip


class LoudnessAgreement(Expert):
    """Correlation of how far the mouth is open and how loud it is."""

    name = "loudness_agreement"
    sees = "landmarks"
    needs = frozenset({"sound"})
    figures = ("loudness_agreement",)
    about = {"trained_on": "nothing"}

    def scores(self, clip: ExpertClip) -> dict[str, float]:
        """See `Expert.scores`; NaN where there is no face, no sound or no movement."""
        opening = clip.mouths.points[:, 0]  # [T], the first of its numbers
        parts = np.array_split(clip.samples.astype(np.float64), max(1, len(opening)))
        level = np.array([np.square(part).mean() if len(part) else 0.0 for part in parts]) ** 0.5
        still = len(opening) < 2 or opening.std() < 1e-9 or level.std() < 1e-9
        if still or not clip.visible:
            return {self.name: float("nan")}
        return {self.name: float(np.corrcoef(opening, level)[0, 1])}


def load(name: str, folder: Path | None = None) -> LoudnessAgreement:  # noqa: ARG001
    """Load the expert; it has no weights."""
    return LoudnessAgreement()
