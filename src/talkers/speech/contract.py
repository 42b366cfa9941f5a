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


@runtime_checkable
class StreamingEncoder(Protocol):
    """A speech encoder that follows sound while it goes on.

    Attributes:
        width: numbers in a feature.
        lookahead: seconds of sound after a feature's own that it waits for.
    """

    width: int

    @property
    def lookahead(self) -> float:
        """See above."""
        ...

    def start(self) -> FeatureStream:
        """Begin a stream."""
        ...
