"""What came out of a face: its sound, and how far its mouth was open. The face is the mock avatar's."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from talkers.renderers.drawn import THROAT

FRAME = 0.04  # seconds


def speech(seconds: float, rate: int = 16_000, channels: int = 1) -> NDArray[np.int16]:
    """Syllables: 0.24 s of sound and 0.16 s of silence, by turns; int16 [n] or [n, channels]."""
    time = np.arange(round(seconds * rate)) / rate
    loud = np.where(time % 0.4 < 0.24, 9_000 * np.sin(2 * np.pi * 180 * time), 0)
    loud += np.where(time % 0.4 < 0.24, 6_000 * np.sin(2 * np.pi * 700 * time), 0)
    samples = loud.astype(np.int16)
    return samples if channels == 1 else np.repeat(samples[:, None], channels, 1)


def opening(picture: NDArray[np.uint8]) -> float:
    """How far a drawn mouth is open: the share of the picture that shows the throat."""
    side = len(picture)
    mouth = picture[side // 2 : side * 15 // 16, side // 4 : side * 3 // 4]
    apart = np.abs(mouth.astype(np.int16) - np.array(THROAT, np.int16)).max(-1)
    return float((apart < 25).sum()) / side**2


def closed(picture: NDArray[np.uint8]) -> bool:
    """Whether a drawn mouth is closed: nearly nothing of the throat shows."""
    return opening(picture) < 0.001


@dataclass
class Recording:
    """Pictures and sound as they came.

    Attributes:
        rate: Hz of the sound.
        pictures: when each came, and how far its mouth was open.
        sounds: when each block came, and its samples.
    """

    rate: int
    pictures: list[tuple[float, float]] = field(default_factory=list)
    sounds: list[tuple[float, NDArray[np.int16]]] = field(default_factory=list)
    _before: list[int] = field(default_factory=list)  # samples that came before each picture

    def picture(self, when: float, data: bytes, size: tuple[int, int]) -> None:
        """A picture came: RGB."""
        pixels = np.frombuffer(data, np.uint8).reshape(size[1], size[0], 3)
        self.pictures.append((when, opening(pixels)))
        self._before.append(sum(len(s) for _, s in self.sounds))

    def sound(self, when: float, data: bytes | memoryview) -> None:
        """Sound came: int16 mono."""
        self.sounds.append((when, np.frombuffer(data, np.int16).copy()))

    @property
    def joined(self) -> NDArray[np.int16]:
        """All of the sound: [n]."""
        return np.concatenate([np.zeros(0, np.int16), *(s for _, s in self.sounds)])

    @property
    def seconds(self) -> float:
        """Of sound."""
        return sum(len(s) for _, s in self.sounds) / self.rate

    def apart(self) -> float:
        """Seconds by which the mouth comes after the sound, where each picture belongs to the end
        of the sound that comes after it. It does not matter how busy the machine is."""
        ends = [*self._before[1:], len(self.joined)]
        mouth = [m for _, m in self.pictures]
        pairs = [(e / self.rate, m) for b, e, m in zip(self._before, ends, mouth) if e > b]
        return self._lag(np.array([t - FRAME / 2 for t, _ in pairs]), [m for _, m in pairs])

    def apart_by_the_clock(self) -> float | None:
        """The same, when sound plays from its coming on, and pictures are seen when they come.

        None where the machine was too busy to show most of the pictures.
        """
        begins, until = self.sounds[0][0], self.sounds[-1][0]
        if sum(begins <= t <= until for t, _ in self.pictures) < 20 * (until - begins):
            return None
        times = np.array([t - begins + FRAME / 2 for t, _ in self.pictures])
        return self._lag(times, [m for _, m in self.pictures])

    def _lag(self, times: NDArray[np.float64], mouth: list[float]) -> float:
        """The lag at which the mouth's opening is most like the loudness."""
        loud = np.convolve(self.joined.astype(np.float64) ** 2, np.ones(self.rate // 25), "same")
        opened = np.array(mouth) - np.mean(mouth)
        lags = np.arange(-0.2, 0.201, 0.01)
        likeness = []
        for lag in lags:
            at = ((times - lag) * self.rate).astype(int)
            there = (at >= 0) & (at < len(loud))
            heard = np.where(there, np.sqrt(loud[at.clip(0, len(loud) - 1)]), 0)
            likeness.append(float(opened @ (heard - heard.mean())))
        return round(float(lags[np.argmax(likeness)]), 2)
