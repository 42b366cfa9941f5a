"""Sound that a live session is to say, waiting to be played."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkers.errors import UsageError
from talkers.media import AUDIO_RATE, SampleStream
from talkers.runtime.behaviour import SpokenMotion

Samples = NDArray[np.float32]  # [n] mono, -1..1
SAME_TIME = Fraction(1, 200)  # seconds by which time stamps may be off
MAX_GAP = 2  # seconds between two blocks' time stamps that are filled with silence


class SampleQueue:
    """Samples in the order in which they came."""

    def __init__(self) -> None:
        self._blocks: deque[Samples] = deque()
        self.count = 0

    def push(self, samples: Samples) -> None:
        """Put samples at the end."""
        if len(samples):
            self._blocks.append(samples)
            self.count += len(samples)

    def take(self, count: int) -> Samples:
        """Take the first `count` samples, or all if there are fewer."""
        taken = [np.zeros(0, np.float32)]
        count = min(count, self.count)
        self.count -= count
        while count:
            block = self._blocks.popleft()
            if len(block) > count:
                self._blocks.appendleft(block[count:])
            taken.append(block[:count])
            count -= len(taken[-1])
        return np.concatenate(taken)

    def first(self, count: int) -> Samples:
        """The first `count` samples, or all if there are fewer; they stay."""
        samples = self.take(count)
        self.put_back(samples)
        return samples

    def put_back(self, samples: Samples) -> None:
        """Put samples that were taken at the front again."""
        if len(samples):
            self._blocks.appendleft(samples)
            self.count += len(samples)


class Place(NamedTuple):
    """Where an utterance was before a frame of it was played, and the sound of that frame."""

    utterance: Utterance
    frame: int
    played: int
    held: bool
    sound: Samples


class Utterance:
    """Sound that belongs together. Whoever holds the session's lock may call it.

    Args:
        sound_rate: Hz at which it is played.
        pts: seconds, the sender's time of its first sample.
        before: seconds that were played before it of what it belongs to.

    Attributes:
        sound: that is not played yet, at `sound_rate`.
        model_sound: that the motion model has not heard yet, at 16 kHz.
        ended: nothing more belongs to it.
        pts: see above.
        whole: the sender said so.
        came: when its last sound came, by the session's clock.
        waits: since when it waits for more, by the same clock.
        playing: it has begun, and sound enough is there to go on.
        spoken: its motion, since it began.
        frame: how many of its frames were played.
    """

    def __init__(self, sound_rate: int, pts: Fraction, before: Fraction = Fraction(0)):
        self.sound_rate, self.pts = sound_rate, pts
        self.sound, self.model_sound = SampleQueue(), SampleQueue()
        self.ended = self.playing = self.whole = False
        self.came = self.waits = 0.0
        self.spoken: SpokenMotion | None = None
        self.frame = 0
        self._before, self._held = before, False
        self._played = 0
        self._received = Fraction(0)  # seconds
        self._hearable = 0  # samples at 16 kHz, in all
        self._streams: tuple[SampleStream, SampleStream, SampleStream] | None = None

    @property
    def played(self) -> Fraction:
        """Seconds that were played of it, and of what it belongs to."""
        return self._before + Fraction(self._played, self.sound_rate)

    @property
    def total(self) -> Fraction:
        """The same when all of it will have been played."""
        return self.played + Fraction(self.sound.count, self.sound_rate)

    @property
    def waiting(self) -> float:
        """Seconds of it that can be both played and heard now."""
        hearable = self._hearable / AUDIO_RATE - self._played / self.sound_rate
        return min(self.sound.count / self.sound_rate, hearable)

    @property
    def next_pts(self) -> Fraction:
        """Seconds, the sender's time of the sample that comes next."""
        return self.pts + self._received

    def mono(self, samples: Any, rate: float) -> Samples:
        """Samples in any usual form as float32 [n] mono at the same rate.

        Raises:
            UsageError: this is no sound.
        """
        if self._streams is None or self._streams[0].rate != rate:
            taken = SampleStream(rate, rate)
            mono = taken.push(samples)
            self._let_out()
            self._streams = (taken, SampleStream(rate), SampleStream(rate, self.sound_rate))
            return mono
        return self._streams[0].push(samples)

    def push(self, mono: Samples, pts: Fraction | None) -> None:
        """Take sound that `mono` has made.

        Args:
            mono: float32 [n] at the rate told there.
            pts: the sender's time of its first sample (None: it follows what came).

        Raises:
            UsageError: sound is missing for longer than is filled with silence.
        """
        assert self._streams is not None
        taken, to_model, to_player = self._streams
        if pts is not None:
            apart, native = pts - self.next_pts, Fraction(taken.rate)
            if apart > MAX_GAP:
                raise UsageError(
                    f"{float(apart):.2f} s are missing before the sound at {float(pts):.2f} s",
                    todo="Call flush() first where something new begins, or send silence",
                )
            if apart > SAME_TIME:
                mono = np.pad(mono, (round(apart * native), 0))
            elif apart < -SAME_TIME:  # it came before
                mono = mono[round(-apart * native) :]
        self._received += len(mono) / Fraction(taken.rate)
        self._add(to_model.push(mono), to_player.push(mono))

    def end(self) -> None:
        """Nothing more belongs to it."""
        self.ended = True
        self._let_out()

    def _let_out(self) -> None:
        """Take what resamplers still hold."""
        if self._streams is not None:
            self._add(self._streams[1].finish(), self._streams[2].finish())
            self._streams = None

    def _add(self, model_sound: Samples, sound: Samples) -> None:
        self._hearable += len(model_sound)
        self.model_sound.push(model_sound)
        self.sound.push(sound)

    def place(self, count: int) -> Place:
        """Where it is before so many samples are played; see `go_back`."""
        return Place(self, self.frame, self._played, self._held, self.sound.first(count))

    def go_back(self, place: Place) -> None:
        """Undo what was played since; the newest place first."""
        self.frame, self._played, self._held = place.frame, place.played, place.held
        self.sound.put_back(place.sound)
        self.playing = self.frame > 0 and not self._held

    def take(self, count: int, fade: int) -> Samples:
        """Play a frame's sound: [count], with silence where it ends.

        Args:
            count: samples.
            fade: samples in which it grows loud, where it was held before.
        """
        samples = self.sound.take(count)
        self._played += len(samples)
        self.frame += 1
        if self._held:
            samples[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)[: len(samples)]
            self._held = False
        return np.pad(samples, (0, count - len(samples)))

    def hold(self, fade: int) -> Samples:
        """Stop playing for now.

        Args:
            fade: samples.

        Returns:
            the next samples, growing silent. They come again when it goes on.
        """
        self._held = True
        samples = self.sound.first(fade)
        return samples * np.linspace(1, 0, len(samples), dtype=np.float32)
