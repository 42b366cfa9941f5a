"""What every speech encoder does: waveform -> features."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
