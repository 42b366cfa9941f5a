"""How an avatar listens: nods, blinks, looks and smiles that follow the sound of who speaks to it.

ViCo (Zhou et al. 2022) learns a listener's head from the speaker's sound and an attitude. Here the
same inputs drive rules of conversation research: a nod where the pitch has been low for a while
(Ward and Tsukahara 2000), and where the speaker pauses; between them the head follows loudness.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from talkers.errors import UsageError
from talkers.media import AUDIO_RATE, SampleStream
from talkers.speech.activity import ABOVE_NOISE_DB, FLOOR_DB, loudness_of

Attitude = Literal["positive", "neutral", "negative"]
RATE = 25  # looks at the sound a second
HOP = AUDIO_RATE // RATE
MEMORY = 10 * RATE  # looks by which pitch and loudness are called low
LOW_PITCH = 26  # per cent of the speaker's pitches below which one is low
LOW_SECONDS = 0.11  # that it must last
BEFORE = 0.7  # seconds that the speaker must have spoken before a nod
PAUSE = 0.28  # seconds of silence that are a pause
BETWEEN = 1.2  # seconds at least from a nod to the next
NOD_SECONDS = 0.72  # of one nod: down and up, and half as far again
SMILE_SECONDS = 0.7  # that a smile grows for
SMILE_SMOOTHING = 0.15  # of what it grows to, a look
SMOOTHING = 0.12  # of the newest loudness in what the head follows
PITCHES = 75.0, 400.0  # Hz


class _Style(NamedTuple):
    """What an attitude makes of a listener."""

    nod: float  # degrees
    share: float  # of the occasions that are taken
    shake: float  # degrees of yaw beside the nod
    lean: float  # degrees of pitch towards a loud speaker
    tilt: float  # degrees of roll while somebody speaks
    look_away: float  # of gaze, while the speaker pauses
    smile: float  # where the speaker pauses; a little of it while somebody speaks


STYLES: dict[str, _Style] = {
    "positive": _Style(5.0, 0.9, 0.0, 0.8, 1.8, 0.0, 0.5),
    "neutral": _Style(3.2, 0.6, 0.0, 0.4, 0.6, 0.1, 0.2),
    "negative": _Style(1.2, 0.35, 3.0, -0.6, -0.8, 0.35, -0.3),
}


class Bearing(NamedTuple):
    """What a listener adds to an idle face.

    Attributes:
        yaw, pitch, roll: degrees.
        blink: how closed the eyes are at least, 0..1.
        gaze: to the person's left and up, -1..1.
        smile: how far the corners of the mouth rise, -1..1.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    blink: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    smile: float = 0.0


AT_REST = Bearing()


@dataclass
class _Gesture:
    first: int  # frame
    nod: float
    shake: float
    blinks: bool


class Listening:
    """See above. Sound may come from any thread; one takes the bearings.

    Args:
        frame_rate: frames a second.
        attitude: positive nods much, negative little, and shakes its head.
        seed: of the occasions that are taken.

    Raises:
        UsageError: there is no such attitude.
    """

    def __init__(self, frame_rate: float, attitude: str = "neutral", seed: int = 0):
        if attitude not in get_args(Attitude):
            raise UsageError(
                f"the attitude {attitude!r} was asked for",
                todo=f"Use {', '.join(get_args(Attitude))}",
            )
        self._rate, self._style = frame_rate, STYLES[attitude]
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._stream: SampleStream | None = None
        self._rest = np.zeros(0, np.float32)
        self._levels: deque[float] = deque(maxlen=MEMORY)
        self._pitches: deque[float] = deque(maxlen=MEMORY)  # of voiced looks
        self._low = self._spoke = self._silent = 0.0  # seconds
        self._since = BETWEEN  # the last nod
        self._begun: deque[tuple[bool, float]] = deque()  # occasions: a pause?, size
        self._follows = 0.0  # 0..1, smoothed loudness
        self._active = 0.0  # 0..1, whether somebody speaks, smoothed
        self._pleased = self._smiles = 0.0  # seconds that are left, and 0..1, smoothed
        self._gesture: _Gesture | None = None

    def hear(self, samples: Any, rate: float) -> None:
        """Sound of the speaker as it comes, of any form that `LiveSession.push_audio` takes.

        Raises:
            UsageError: this is no sound.
        """
        with self._lock:
            if self._stream is None or self._stream.rate != rate:
                self._stream = SampleStream(rate)
            self._rest = np.concatenate([self._rest, self._stream.push(samples)])
            while len(self._rest) >= 2 * HOP:  # a pitch needs two looks' sound
                self._look(self._rest[: 2 * HOP])
                self._rest = self._rest[HOP:]

    def _look(self, samples: NDArray[np.float32]) -> None:
        """What 40 ms of sound mean, and the 40 ms after them."""
        level = float(loudness_of([samples[:HOP]], HOP, 1)[0][0])
        self._levels.append(level)
        quiet, loud = np.percentile(self._levels, [10, 95])
        speaks = level > max(FLOOR_DB, min(float(quiet) + ABOVE_NOISE_DB, float(loud) - 6))
        self._active += 0.1 * (speaks - self._active)
        share = (level - quiet) / max(10.0, float(loud - quiet)) if speaks else 0.0
        self._follows += SMOOTHING * (float(np.clip(share, 0, 1)) - self._follows)
        self._since += 1 / RATE
        self._pleased = max(0.0, self._pleased - 1 / RATE)
        self._smiles += SMILE_SMOOTHING * ((self._pleased > 0) - self._smiles)
        if speaks:
            self._silent = 0.0
            self._spoke += 1 / RATE
            pitch = pitch_of(samples)
            if pitch:
                self._pitches.append(pitch)
                low = pitch <= np.percentile(self._pitches, LOW_PITCH)
                self._low = self._low + 1 / RATE if low else 0.0
        else:
            self._silent += 1 / RATE
        paused = PAUSE <= self._silent < PAUSE + 1 / RATE
        fell = self._low >= LOW_SECONDS and len(self._pitches) >= RATE
        if self._spoke >= BEFORE and paused:
            self._pleased = SMILE_SECONDS
        if self._spoke >= BEFORE and self._since >= BETWEEN and (paused or fell):
            self._since, self._low = 0.0, 0.0
            if self._random.random() < self._style.share or paused:
                self._begun.append((paused, float(self._random.uniform(0.8, 1.2))))
        if self._silent > PAUSE:
            self._spoke = 0.0

    def bearing(self, frame: int) -> Bearing:
        """What is added in a frame; their numbers rise, but for frames that are made anew."""
        style = self._style
        with self._lock:
            ended = self._gesture is None or frame - self._gesture.first >= NOD_SECONDS * self._rate
            if ended:
                self._gesture = None
            if ended and self._begun:
                pause, size = self._begun.popleft()
                self._begun.clear()  # what is late is no answer
                shake = style.shake * size if pause else 0.0
                nod = style.nod * size * (1.0 if pause else 0.6)
                self._gesture = _Gesture(frame, nod, shake, pause)
            follows, active, gesture = self._follows, self._active, self._gesture
            smile = style.smile * (0.15 * self._active + 0.85 * self._smiles)
        pitch, roll = style.lean * follows, style.tilt * active
        yaw = blink = 0.0
        if gesture is not None:
            t = (frame - gesture.first) / self._rate / NOD_SECONDS  # 0..1
            # two dips, the second half as deep; a shake goes to both sides
            dip = math.sin(math.pi * min(1.0, 2 * t)) ** 2 + 0.5 * (
                math.sin(math.pi * max(0.0, 2 * t - 1)) ** 2
            )
            pitch -= gesture.nod * dip
            yaw = gesture.shake * math.sin(2 * math.pi * t) * math.sin(math.pi * t)
            if gesture.blinks and t < 0.3:
                blink = math.sin(math.pi * t / 0.3)
        away = style.look_away * (1 - active)
        return Bearing(yaw, pitch, roll, blink, (away, -away / 2), smile)


def pitch_of(samples: NDArray[np.float32]) -> float:
    """Hz of a voiced sound of 16 kHz; 0 where there is no pitch.

    The first high peak of the autocorrelation, which must hold a third of the energy.
    """
    x = samples - samples.mean()
    energy = float(x @ x)
    if energy < 1e-6 * len(x):
        return 0.0
    size = 1 << (2 * len(x) - 1).bit_length()
    spectrum = np.fft.rfft(x, size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)
    low, high = int(AUDIO_RATE / PITCHES[1]), int(AUDIO_RATE / PITCHES[0])
    # a lag of k has n - k products: without this long lags would never win
    lags = np.arange(low, min(high, len(x) // 2))
    share = correlation[lags] / energy * len(x) / (len(x) - lags)
    best = float(share.max())
    if best <= 0.35:
        return 0.0
    # multiples of a period are as good as itself: the shortest that is nearly the best, at its peak
    at = int((share >= 0.85 * best).argmax())
    while at + 1 < len(share) and share[at + 1] > share[at]:
        at += 1
    return float(AUDIO_RATE / lags[at])
