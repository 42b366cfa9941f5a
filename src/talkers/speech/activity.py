"""Where there is speech and where there is silence: energy above the recording's own noise floor."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NOTHING_DB = -100.0  # the level of digital silence
FLOOR_DB = -60.0  # quieter than this is silence in any recording
ABOVE_NOISE_DB = 12.0
BELOW_SPEECH_DB = 30.0


def loudness_of(blocks: Iterable[NDArray[np.float32]], sample_rate: int, frame_rate: float) -> tuple[NDArray[np.float32], int]:
    """Level in dB below full scale of each frame's sound, which comes in blocks [n]: [T], the last frame's perhaps of less; and
    how many samples there were."""
    rest, base, total, levels = np.zeros(0, np.float32), 0, 0, [np.zeros(0, np.float32)]

    def told(edges: NDArray[np.int64]) -> NDArray[np.float32]:
        mean = np.add.reduceat(np.square(rest[: edges[-1]], dtype=np.float64), edges[:-1]) / np.diff(edges)
        return (10 * np.log10(np.maximum(mean, 10 ** (NOTHING_DB / 10)))).astype(np.float32)

    for block in blocks:
        rest, total = np.concatenate([rest, block]), total + len(block)
        first, last = sum(map(len, levels)), int(total * frame_rate / sample_rate)
        if last > first:
            edges = (np.arange(first, last + 1) * sample_rate / frame_rate).astype(int) - base
            levels.append(told(edges))
            rest, base = rest[edges[-1] :], base + int(edges[-1])
    if len(rest):
        levels.append(told(np.array([0, len(rest)])))
    return np.concatenate(levels), total


def loudness(samples: NDArray[np.float32], sample_rate: int, frame_rate: float, frames: int) -> NDArray[np.float32]:
    """Level of each of so many frames' sound in dB below full scale: [n] -> [frames]; digital silence beyond its end."""
    return of_length(loudness_of([samples], sample_rate, frame_rate)[0], frames)


def of_length(levels: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Levels cut to so many frames, or digital silence after them."""
    return np.pad(levels[:frames], (0, max(0, frames - len(levels))), constant_values=NOTHING_DB)


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
