"""What every expert does: it judges a talking face, as a metric, and some as a loss too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from talkers.experts.mouths import Mouths

Sees = Literal["pixels", "landmarks", "motion"]
Needs = Literal["sound", "text"]
MIN_FACE_SHARE = 0.5  # of the frames: below it there is nothing to judge
NAN = float("nan")


@dataclass(frozen=True)
class ExpertClip:
    """A clip as experts know it, at `talkers.experts.rate.RATE` frames a second.

    Attributes:
        mouths: what is seen, of T frames.
        face_found: the share of the frames in which there is a face.
        samples: the sound, float32 [n] at 16 kHz.
        speech: bool [T], where something is said.
        sentence: the words that are said, or None where they are not known.
    """

    mouths: Mouths
    face_found: float
    samples: NDArray[np.float32]
    speech: NDArray[np.bool_]
    sentence: tuple[str, ...] | None = None

    @property
    def visible(self) -> bool:
        """Whether there is a face in enough of the frames."""
        return self.face_found >= MIN_FACE_SHARE


class Expert(ABC):
    """A frozen judge.

    Register one with `register("expert", name, None, "package.module:load")`, where
    `load(name, folder)` returns it. `folder` is the folder of experts of one's own that a user
    named, or None.

    Attributes:
        name: its registered name.
        sees: what it looks at.
        needs: what else it must be given.
        figures: names of the scores that it gives.
        about: what is known of it: how it was trained, and how good it is.
    """

    name: str
    sees: Sees
    needs: frozenset[Needs]
    figures: tuple[str, ...]
    about: dict[str, Any]

    @abstractmethod
    def scores(self, clip: ExpertClip) -> dict[str, float]:
        """What it says of a clip.

        Returns:
            the same names for every clip; NaN where a score is not defined for it.
        """

    def loss(
        self, generated: Tensor, reference: Tensor, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What it says of generated clips beside the real ones, differentiably.

        Args:
            generated: what it sees of them [B, T, ...].
            reference: what it sees of the real ones.
            batch: bool [B, T]: usable (frames that count), silent; and mel [B, 4 T, 80], see
                `mel_of_clip`, if sound is judged.

        Returns:
            losses by name, each a mean over the frames that count; empty if the expert is no
            loss, or lacks what it needs.
        """
        return {}
