"""Which speech features an avatar is driven by."""

from __future__ import annotations

from dataclasses import dataclass

from talkers.configuration import limited

FEATURE_RATE = 50  # features a second, of every encoder


@dataclass(frozen=True)
class SpeechConfig:
    """Which speech features an avatar is driven by."""

    encoder: str = "whisper-base"  # a registered speech encoder, or a Hugging Face name
    layers: tuple[int, ...] = limited((3, 6), -1000, 1000, may_be_empty=True)
    """Hidden layers whose outputs are joined; negative ones count from the last."""
