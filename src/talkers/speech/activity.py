"""Where there is speech and where there is silence: energy above the recording's own noise floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOOR_DB = -60.0  # quieter than this is silence in any recording
ABOVE_NOISE_DB = 12.0
BELOW_SPEECH_DB = 30.0


def loudness(samples: NDArray[np.float32], sample_rate: int, frame_rate: float, frames: int) -> NDArray[np.float32]:
    """Level of each frame's sound in dB below full scale: [n] -> [frames]."""
    edges = np.minimum((np.arange(frames + 1) * sample_rate / frame_rate).astype(int), len(samples))
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    mean = (power[edges[1:]] - power[edges[:-1]]) / np.maximum(edges[1:] - edges[:-1], 1)
    return (10 * np.log10(np.maximum(mean, 1e-10))).astype(np.float32)


def speech_activity(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames hold speech, from their levels in dB: [T] -> bool [T]; short gaps within words are filled."""
    if not len(levels):
        return np.zeros(0, bool)
    quiet, loud = np.percentile(levels, [10, 95])
    threshold = max(FLOOR_DB, min(quiet + ABOVE_NOISE_DB, loud - 6), loud - BELOW_SPEECH_DB)
    active = levels > threshold
    ones = np.ones(5)
    spread = np.convolve(active, ones)[2:-2] > 0  # closing: dilate by two frames ...
    return np.asarray(np.convolve(spread, ones)[2:-2] >= 5, bool) | active  # ... and erode again


LEAD, FADE = 0.12, 0.08  # seconds that a mouth moves before and after speech, and in which it comes to rest


def moving_share(active: NDArray[np.bool_], rate: float) -> NDArray[np.float32]:
    """How far a mouth may move, 0..1, given where speech is: bool [T] at `rate` a second -> [T]; it opens before it is heard
    and closes after it, and rests elsewhere."""
    lead, fade = max(1, round(LEAD * rate)), max(1, round(FADE * rate))
    if not len(active):
        return np.zeros(0, np.float32)
    near = np.convolve(np.pad(active.astype(float), lead), np.ones(2 * lead + 1), "valid") > 0
    return np.convolve(np.pad(near.astype(np.float32), fade, mode="edge"), np.full(2 * fade + 1, 1 / (2 * fade + 1), np.float32), "valid")
