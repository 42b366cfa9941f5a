"""Which speech features an avatar listens to."""

from __future__ import annotations

from dataclasses import dataclass

FEATURE_RATE = 50  # features a second, of every encoder


@dataclass(frozen=True)
class SpeechConfig:
    """Which speech features an avatar listens to."""

    encoder: str = "whisper-base"  # "log-mel", a name of the table of pretrained models, or a Hugging Face name
    layers: tuple[int, ...] = (
        3,
        6,
    )  # hidden layers whose outputs are joined; negative counts from the last
