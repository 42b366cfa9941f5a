"""Does the sound come with the lips? A delay is told only where the footage lets it be known.

The lips are predicted from the sound by a linear map that was fitted to GRID's speakers
(benchmarks/lip_delay.py). The score of a shift is the log-likelihood of the lips seen, given the
sound so much later, under a Gaussian error of the prediction. How far the best shift can be
trusted follows from how the scores vary from block to block of the footage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from talkers.face.landmarks import BLENDSHAPES

RATE = 25  # frames a second at which lips and sound are compared
BAND_RATE = 2 * RATE  # band energies a second
BANDS, LOWEST, HIGHEST = 20, 60.0, 7600.0  # of the sound, in Hz
SAMPLE_RATE, WINDOW, HOP = 16_000, 512, 160  # samples: spectra every 10 ms, two an energy
CONTEXT = 5  # frames of sound before and after the lips' frame
MAX_SHIFT = 30  # frames by which the sound is shifted against the lips
MAX_DELAY = 20  # frames: of a larger one only that it is larger is known
BLOCK = 12  # frames that vary together
CERTAINTY = 2.8  # standard errors by which a shift must score less to be ruled out
MIN_BLOCKS = 10  # the error of fewer is not known
MIN_SCORE = 1.0  # of the best shift; lips that go with their sound score 2 and more
MAX_UNCERTAINTY = 6  # frames between the shifts that cannot be ruled out
IN_STEP = 1  # frames: a smaller delay is none
MOUTH = (
    *("jawOpen", "mouthClose", "mouthPucker", "mouthFunnel", "mouthRollLower", "mouthRollUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthShrugLower", "mouthSmileLeft", "mouthSmileRight"),
)
_MOUTH = [BLENDSHAPES.index(name) for name in MOUTH]
WEIGHTS = Path(__file__).with_name("lip_sync.safetensors")


@dataclass(frozen=True)
class LipDelay:
    """By how much the sound comes after the lips, in seconds (negative: before them).

    Attributes:
        seconds: the delay.
        earliest, latest: between which it lies for sure.
        beyond: it may be larger, for the range in which it is known ends here.
    """

    seconds: float
    earliest: float
    latest: float
    beyond: bool

    @property
    def out_of_step(self) -> bool:
        """Whether the sound is late or early for sure."""
        return self.earliest > IN_STEP / RATE or self.latest < -IN_STEP / RATE


@cache
def _band_filters() -> NDArray[np.float32]:
    """Triangular filters, evenly spaced in mel: [BANDS, WINDOW / 2 + 1]."""
    # mel = 2595 log10(1 + f / 700)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    mel = 2595 * np.log10(1 + frequencies / 700)
    low, high = 2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)
    edges = np.linspace(low, high, BANDS + 2)
    rise = (mel[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - mel[None]) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


class BandEnergies:
    """Log energies of the sound in 20 bands, 50 a second, from blocks of any size."""

    def __init__(self) -> None:
        self._rest = np.zeros(WINDOW // 2, np.float32)  # spectra are centred on their time
        self._parts = [np.zeros((0, BANDS), np.float32)]

    def add(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, [n] at 16 kHz."""
        self._rest = np.concatenate([self._rest, samples])
        pairs = (len(self._rest) - WINDOW + HOP) // (2 * HOP)
        if pairs > 0:
            windows = np.lib.stride_tricks.sliding_window_view(self._rest, WINDOW)[::HOP]
            spectra = np.fft.rfft(windows[: 2 * pairs] * np.hanning(WINDOW).astype(np.float32))
            energies = np.log(1e-6 + np.abs(spectra) ** 2 @ _band_filters().T)
            self._parts.append(energies.reshape(pairs, 2, BANDS).mean(1).astype(np.float32))
            self._rest = self._rest[2 * HOP * pairs :]

    def all(self) -> NDArray[np.float32]:
        """The energies until now: [n, BANDS]."""
        return np.concatenate(self._parts)


def lip_features(
    opening: NDArray[np.float32], blendshapes: NDArray[np.float32], rate: float
) -> NDArray[np.float32] | None:
    """What the lips do, 25 times a second, each feature of mean 0 and variance 1.

    Args:
        opening: [T] in inter-ocular distances, NaN without a face.
        blendshapes: [T, 52], likewise.
        rate: frames a second.

    Returns:
        [n, 38]; None where the face is missing in half of the frames or the lips do not move.
    """
    seen = np.flatnonzero(np.isfinite(opening) & np.isfinite(blendshapes).all(1))
    if 2 * len(seen) < len(opening) or len(seen) < 2 or opening[seen].std() < 0.005:
        return None
    shapes = np.concatenate(
        [opening[:, None], np.log(opening[:, None] + 0.02), blendshapes[:, _MOUTH]], 1
    )
    times = np.arange(int(len(opening) * RATE / rate)) / RATE
    values = np.stack([np.interp(times, seen / rate, column[seen]) for column in shapes.T], 1)
    values = np.concatenate([values, np.gradient(values, axis=0)], 1)
    values -= values.mean(0)
    return (values / (values.std(0) + 1e-3)).astype(np.float32)


def sound_features(bands: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """The sound around each frame: energies [n, BANDS] -> [frames, 440], centred and scaled."""
    bands = bands[: 2 * frames].astype(np.float32)
    if len(bands) < 2 * frames:
        short = 2 * frames - len(bands)
        bands = np.pad(bands, ((0, short), (0, 0)), constant_values=float(np.log(1e-6)))
    bands = bands - bands.mean(0)
    rows = (bands / (bands.std() + 1e-3)).reshape(frames, -1)
    padded = np.pad(rows, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + frames] for k in range(2 * CONTEXT + 1)], 1)


@cache
def weights() -> NDArray[np.float32]:
    """The fitted map G = W Q from sound to lips: [440, 38].

    W predicts the lips, Q is the inverse covariance of the prediction's error.
    """
    return load_file(WEIGHTS)["map"].astype(np.float32)


def block_scores(
    lips: NDArray[np.float32], sound: NDArray[np.float32], fitted: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Score of each shift in each block of a file.

    Args:
        lips: [T, 38] of `lip_features`.
        sound: [T, 440] of `sound_features`.
        fitted: [440, 38].

    Returns:
        [blocks, 2 * MAX_SHIFT + 1], NaN where the sound does not reach.
    """
    predicted, count = sound @ fitted, len(lips)
    # log p(lips | sound later by s) = sum_t lips_t' Q W' sound_(t+s) + what hardly depends on s
    scores = np.full((2 * MAX_SHIFT + 1, count), np.nan)
    for k, shift in enumerate(range(-MAX_SHIFT, MAX_SHIFT + 1)):
        first, last = max(0, -shift), count - max(0, shift)
        later = predicted[first + shift : last + shift]
        scores[k, first:last] = (lips[first:last] * later).sum(1)
    edges = np.linspace(0, count, max(1, count // BLOCK) + 1).round().astype(int)
    rows = []
    for begin, end in pairwise(edges):
        part = scores[:, begin:end]
        known = np.isfinite(part).sum(1)
        rows.append(np.where(known, np.nansum(part, 1) / np.maximum(known, 1), np.nan))
    return np.stack(rows)


def delay_from(blocks: Iterable[NDArray[np.float64]]) -> LipDelay | None:
    """The delay that the scores of all blocks tell; None where they do not tell one for sure.

    Args:
        blocks: scores of each file, [n, 2 * MAX_SHIFT + 1].
    """
    scores = np.concatenate([np.zeros((0, 2 * MAX_SHIFT + 1)), *blocks])
    known = np.isfinite(scores).sum(0)
    if len(scores) < MIN_BLOCKS or known.min() < MIN_BLOCKS:
        return None
    mean = np.nanmean(scores, 0)
    best = int(np.argmax(mean))
    if mean[best] < MIN_SCORE:
        return None
    # z_s = mean(d) / (std(d) / sqrt(n)), d: by how much the best shift scores more in each block
    gain = scores[:, [best]] - scores
    pairs = np.isfinite(gain).sum(0)
    if pairs.min() < MIN_BLOCKS:
        return None
    error = np.nanstd(gain, 0, ddof=1) / np.sqrt(pairs)
    z = np.nanmean(gain, 0) / np.maximum(error, 1e-9)
    z[best] = 0
    possible = np.flatnonzero(z < CERTAINTY) - MAX_SHIFT
    if possible.max() - possible.min() > MAX_UNCERTAINTY:
        return None
    shift = int(np.clip(best - MAX_SHIFT, -MAX_DELAY, MAX_DELAY))
    earliest, latest = float(possible.min()) / RATE, float(possible.max()) / RATE
    return LipDelay(shift / RATE, earliest, latest, abs(best - MAX_SHIFT) >= MAX_DELAY)
