"""What every metric does: it compares a generated clip with the real one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkers.evaluation.tracked import TrackedClip
from talkers.speech.alignment import Segment, aligned_phones

Needs = Literal["sound", "text"]


@dataclass(frozen=True)
class Utterance:
    """What is said in a clip of T frames.

    Attributes:
        samples: float32 [n] at 16 kHz.
        speech: bool [T], where something is said.
        sentence: the words, or None where they are not known.
    """

    samples: NDArray[np.float32]
    speech: NDArray[np.bool_]
    sentence: tuple[str, ...] | None = None

    @cached_property
    def phones(self) -> list[Segment]:
        """Phones with their times; empty where the words are not known or not found.

        Raises:
            MissingComponent: the aligner is not installed.
        """
        return aligned_phones(self.samples, self.sentence) if self.sentence else []


class FrameFeatures(NamedTuple):
    """Features of frames, for a Frechet distance over all clips of an evaluation.

    Attributes:
        generated: float32 [n, d].
        reference: float32 [m, d].
    """

    generated: NDArray[np.float32]
    reference: NDArray[np.float32]


Score = float | FrameFeatures


class Metric(ABC):
    """A metric. Its constructor takes no arguments; it is called once a process.

    Register one with `register("metric", name, None, "package.module:Class")`. A constructor that
    raises MissingComponent leaves the metric out of the report, which then says why.

    Attributes:
        figures: names of the scores that it gives, without the suffixes of regions.
        needs: what the clip must have besides its frames.
    """

    figures: tuple[str, ...]
    needs: frozenset[Needs] = frozenset()

    @abstractmethod
    def scores(
        self, generated: TrackedClip, reference: TrackedClip, utterance: Utterance
    ) -> dict[str, Score]:
        """Compare a generated clip with the real one, both of T frames at 25 frames a second.

        Returns:
            the same names for every clip: a number (NaN where it is not defined for this clip),
            or features whose distance is computed over all clips.
        """
