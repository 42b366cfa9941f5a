"""Where there is speech and where silence: energy above the recording's own noise floor."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SILENCE_DB = -100.0  # the level of digital silence
FLOOR_DB = -60.0  # what is quieter is silence, in a recording that is all alike
FAINT_DB = -85.0  # the same where parts are louder than others, however quietly it was recorded
CONTRAST_DB = 15.0  # between such parts
ABOVE_NOISE_DB = 12.0
BELOW_SPEECH_DB = 30.0
LEVEL_RATE = 25  # levels a second by which speech and silence are told apart
LEAD = 0.12  # seconds that a mouth moves before and after speech
FADE = 0.08  # seconds in which it comes to rest
SETTLING_SECONDS = 0.24  # of sound after a frame that decide how far its mouth may move
SETTLING_LEVELS = 5  # levels after a frame's own that may change how far its mouth may move
MAX_LEVELS = 30 * LEVEL_RATE  # by which a stream knows speech from silence and how loud it is


def loudness_of(
    blocks: Iterable[NDArray[np.float32]], sample_rate: int, frame_rate: float
) -> tuple[NDArray[np.float32], int]:
    """Level of each frame's sound.

    Args:
        blocks: sound [n] each.
        sample_rate: samples a second.
        frame_rate: frames a second.

    Returns:
        levels [T] in dB below full scale, the last frame's perhaps of less sound; and how many
        samples there were.
    """
    rest, base, total, levels = np.zeros(0, np.float32), 0, 0, [np.zeros(0, np.float32)]

    def measured(edges: NDArray[np.int64]) -> NDArray[np.float32]:
        # L = 10 log10 mean(x^2)
        squares = np.square(rest[: edges[-1]], dtype=np.float64)
        mean = np.add.reduceat(squares, edges[:-1]) / np.diff(edges)
        return (10 * np.log10(np.maximum(mean, 10 ** (SILENCE_DB / 10)))).astype(np.float32)

    for block in blocks:
        rest, total = np.concatenate([rest, block]), total + len(block)
        first, last = sum(map(len, levels)), int(total * frame_rate / sample_rate)
        if last > first:
            edges = (np.arange(first, last + 1) * sample_rate / frame_rate).astype(int) - base
            levels.append(measured(edges))
            rest, base = rest[edges[-1] :], base + int(edges[-1])
    if len(rest):
        levels.append(measured(np.array([0, len(rest)])))
    return np.concatenate(levels), total


def loudness(
    samples: NDArray[np.float32], sample_rate: int, frame_rate: float, frames: int
) -> NDArray[np.float32]:
    """Level of each of so many frames' sound in dB below full scale: [n] -> [frames].

    Beyond the end of the sound is digital silence.
    """
    return of_length(loudness_of([samples], sample_rate, frame_rate)[0], frames)


def of_length(levels: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Levels cut to so many frames, or digital silence after them."""
    return np.pad(levels[:frames], (0, max(0, frames - len(levels))), constant_values=SILENCE_DB)


def speech_activity(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames hold speech; short gaps within words are filled.

    Args:
        levels: [T] in dB.

    Returns:
        bool [T]
    """
    if not len(levels):
        return np.zeros(0, bool)
    quiet, loud = np.percentile(levels, [10, 95])
    floor = FAINT_DB if loud - quiet >= CONTRAST_DB else FLOOR_DB
    threshold = max(floor, min(quiet + ABOVE_NOISE_DB, loud - 6), loud - BELOW_SPEECH_DB)
    active = levels > threshold
    # Closing: dilate by two frames, and erode again.
    ones = np.ones(5)
    spread = np.convolve(active, ones)[2:-2] > 0
    return np.asarray(np.convolve(spread, ones)[2:-2] >= 5, bool) | active


def moving_share(active: NDArray[np.bool_], rate: float) -> NDArray[np.float32]:
    """How far a mouth may move: it opens before speech, closes after it, and rests elsewhere.

    Args:
        active: bool [T], where speech is.
        rate: of these values a second.

    Returns:
        [T], 0..1
    """
    lead, fade = max(1, round(LEAD * rate)), max(1, round(FADE * rate))
    if not len(active):
        return np.zeros(0, np.float32)
    near = np.convolve(np.pad(active.astype(float), lead), np.ones(2 * lead + 1), "valid") > 0
    kernel = np.full(2 * fade + 1, 1 / (2 * fade + 1), np.float32)
    return np.convolve(np.pad(near.astype(np.float32), fade, mode="edge"), kernel, "valid")


class ActivityStream:
    """Sound that is still going on, brought to one loudness, and how far the mouth may move.

    The same however the sound is cut. What came up to half a minute before decides: the loudest
    of it is brought to the target.

    Args:
        sample_rate: samples a second.
        target: dB.
    """

    def __init__(self, sample_rate: int, target: float):
        self._size, self._target = sample_rate // LEVEL_RATE, target
        self._part = np.zeros(0, np.float32)  # of a level that is not complete
        self._levels: list[float] = []
        self._first = 0  # which level the first of these is
        self._gain = 1.0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sound as it comes [n] -> the same, louder or quieter [n].

        The gain of each level's part depends on what came before it.
        """
        given, at = [np.zeros(0, np.float32)], 0
        while at < len(samples):
            part = samples[at : at + self._size - len(self._part)]
            given.append(part * np.float32(self._gain))
            self._part, at = np.concatenate([self._part, part]), at + len(part)
            if len(self._part) == self._size:
                self._levels.append(float(loudness_of([self._part], self._size, 1)[0][0]))
                self._part = self._part[:0]
                self._choose_gain()
        return np.concatenate(given)

    def _choose_gain(self) -> None:
        """Choose the gain for what comes next."""
        recent = self._levels[-MAX_LEVELS:]
        loud = max(recent)
        contrast = loud - float(np.percentile(recent, 10))
        clear = loud >= FLOOR_DB + CONTRAST_DB or contrast >= CONTRAST_DB
        if loud >= FAINT_DB and clear:
            self._gain = float(10 ** (np.clip(self._target - loud, -40, 40) / 20))

    def share(self, seconds: float) -> float:
        """How far the mouth may move at a time, 0..1 (see `moving_share`).

        Args:
            seconds: from the beginning; they fall by less than a second from call to call. Sound
                that comes up to SETTLING_SECONDS later decides; what has not come is silence.
        """
        at = int(seconds * LEVEL_RATE)
        begin = max(self._first, at + SETTLING_LEVELS + 1 - MAX_LEVELS)
        if begin - self._first > MAX_LEVELS:  # nobody asks for those any more
            del self._levels[: begin - self._first]
            self._first = begin
        end = at + SETTLING_LEVELS + 1
        levels = np.array(self._levels[begin - self._first : end - self._first])
        moving = moving_share(speech_activity(levels), LEVEL_RATE)
        return float(moving[at - begin]) if at - begin < len(moving) else 0.0
