"""Every encoder gets speech in the same windows, so that a clip and an hour give the same features.

A window of 4 s is moved by 2 s; of its features the middle 2 s are kept. What lies before the
beginning and after the end is digital silence. Memory does not grow with length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkers.speech.activity import LEVEL_RATE, loudness_of
from talkers.speech.config import FEATURE_RATE
from talkers.speech.contract import SpeechEncoder

SAMPLE_RATE = 16_000
WINDOW = 4 * SAMPLE_RATE  # samples that are encoded together
HOP = 2 * SAMPLE_RATE
MARGIN = (WINDOW - HOP) // 2
ROWS = WINDOW * FEATURE_RATE // SAMPLE_RATE  # features of a window
MIDDLE = slice(MARGIN * FEATURE_RATE // SAMPLE_RATE, (MARGIN + HOP) * FEATURE_RATE // SAMPLE_RATE)
"""Of a window's features: those that are kept."""
MAX_WINDOWS = 4  # in one pass; the first pass takes one, for a fast first frame

TARGET_DB = -23.0
"""Level to which the loud parts of speech are brought: loudness must not move the lips."""


def speech_gain(levels: NDArray[np.float32]) -> float:
    """Factor that brings the loud frames of speech to TARGET_DB; at most 40 dB either way.

    Args:
        levels: [T] in dB; their 95th percentile counts as loud.
    """
    if not len(levels):
        return 1.0
    loud = float(np.percentile(levels, 95))
    return 1.0 if loud < -75 else float(10 ** (np.clip(TARGET_DB - loud, -40, 40) / 20))


def feature_stream(
    encoder: SpeechEncoder, blocks: Iterable[NDArray[np.float32]], gain: float = 1.0
) -> Iterator[Tensor]:
    """Features of sound that comes in blocks of any size.

    Args:
        encoder: what makes them.
        blocks: float32 [n] mono at 16 kHz.
        gain: see `speech_gain`.

    Yields:
        float32 [n, width], in all FEATURE_RATE a second.
    """
    held = [np.zeros(MARGIN, np.float32)]
    available, total, given, batch = MARGIN, 0, 0, 1
    source = iter(blocks)
    while True:
        block = next(source, None)
        if block is not None:
            held.append(np.asarray(block, np.float32))
            available += len(block)
            total += len(block)
            if available < WINDOW + (batch - 1) * HOP:
                continue
        buffer = np.concatenate(held)
        wanted = -(-total * FEATURE_RATE // SAMPLE_RATE)
        while available >= WINDOW or (block is None and given < wanted):
            if block is None and available < WINDOW + (batch - 1) * HOP:  # the end: silence follows
                left = -(-(wanted - given) // (HOP * FEATURE_RATE // SAMPLE_RATE))
                batch = max(1, min(batch, left))
                buffer = np.pad(buffer, (0, max(0, WINDOW + (batch - 1) * HOP - available)))
                available = max(available, len(buffer))
            elif available < WINDOW + (batch - 1) * HOP:
                break
            windows = np.stack([buffer[k * HOP : k * HOP + WINDOW] for k in range(batch)])
            features = encoder.encode(torch.from_numpy(windows * np.float32(gain)))
            rows = features[:, MIDDLE].reshape(-1, encoder.width).float()
            if block is None:
                rows = rows[: wanted - given]
            given += len(rows)
            yield rows
            buffer = buffer[batch * HOP :]
            available -= batch * HOP
            batch = min(MAX_WINDOWS, batch * 2)
        held, available = [buffer], len(buffer)
        if block is None:
            return


def features_of(encoder: SpeechEncoder, samples: NDArray[np.float32], gain: float = 1.0) -> Tensor:
    """Features of a whole recording: float32 [n] at 16 kHz -> [ceil(50 n / 16000), width]."""
    return torch.cat([*feature_stream(encoder, [samples], gain)] or [torch.zeros(0, encoder.width)])


def recording_gain(samples: NDArray[np.float32]) -> float:
    """The gain at which a whole recording is heard, in training, evaluation and speaking alike.

    Args:
        samples: float32 [n] at 16 kHz.

    Returns:
        the factor of `speech_gain`, from levels in windows of 1 / LEVEL_RATE seconds.
    """
    return speech_gain(loudness_of([samples], SAMPLE_RATE, LEVEL_RATE)[0])


def recording_features(encoder: SpeechEncoder, samples: NDArray[np.float32]) -> Tensor:
    """Features of a recording at its `recording_gain`: float32 [n], 16 kHz -> [rows, width]."""
    return features_of(encoder, samples, recording_gain(samples))
