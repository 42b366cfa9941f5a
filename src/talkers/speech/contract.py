"""What every speech encoder does: waveform -> features."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@runtime_checkable
class SpeechEncoder(Protocol):
    """Waveform -> features.

    Attributes:
        width: numbers in a feature.
        rate: features a second.
        lookahead: seconds of sound after a feature's own that it depends on.
    """

    width: int
    rate: int
    lookahead: float

    def encode(self, windows: Tensor) -> Tensor:
        """Encode windows of sound.

        Args:
            windows: float32 [B, WINDOW] samples at 16 kHz.

        Returns:
            [B, ROWS, width]
        """
        ...


class FeatureStream(Protocol):
    """Sound in blocks of any size -> features, the same however it is cut. One for each stream."""

    def step(self, samples: NDArray[np.float32]) -> Tensor:
        """float32 [n] at 16 kHz -> the features that are complete by it [m, width]."""
        ...

    def guess(self, count: int) -> Tensor:
        """The features that come next, as far as the sound that has come tells; nothing changes.

        Args:
            count: how many, 0 to `StreamingEncoder.guesses`.

        Returns:
            [m, width], m being count, or less by those that belong to before the beginning.
        """
        ...


@runtime_checkable
class StreamingEncoder(Protocol):
    """A speech encoder that follows sound while it goes on.

    Attributes:
        width: numbers in a feature.
        lookahead: seconds of sound after a feature's own that it waits for.
        guesses: how many features its streams can guess before they are due.
    """

    width: int

    @property
    def lookahead(self) -> float:
        """See above."""
        ...

    @property
    def guesses(self) -> int:
        """See above."""
        ...

    def start(self) -> FeatureStream:
        """Begin a stream."""
        ...
