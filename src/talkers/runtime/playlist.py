"""What a live session plays: utterances one after the other, held, cut short, or paused."""

from __future__ import annotations

import threading
from collections import deque
from fractions import Fraction
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np

from talkers.errors import UsageError
from talkers.runtime.behaviour import Behaviour
from talkers.runtime.clock import Clock, MediaTime
from talkers.runtime.utterance import Place, Samples, Utterance

MAX_QUEUED = 120  # seconds of sound that wait to be played
PATIENCE = 0.5  # seconds that sound waits for more before it is played as if it had ended
FADE = 0.005  # seconds in which sound that is cut grows silent: a cut would click

State = Literal["speaking", "idle", "paused"]


class Undo(NamedTuple):
    """What was there before some frames were played: a place for each that spoke, the tail of
    sound that was cut, and when the mouth began to close."""

    places: tuple[Place, ...]
    tail: Samples
    closing: float | None


class Played(NamedTuple):
    """What is played while some frames are shown.

    Attributes:
        sound: float32 [n] at the session's rate.
        state: speaking where any of it was pushed.
        speaking: what is being said in the last frame, or None.
        said: frames of what is being said that come before the last frame.
        model_sound: float32 [n] at 16 kHz, what the motion model hears next.
        ended: whether silence follows that.
        closing: when the mouth began to close at once, by the clock, or None.
        behaviour: of the face.
        undo: what is needed to play it once more; see `Playlist.go_back`.
    """

    sound: Samples
    state: State
    speaking: Utterance | None
    said: int
    model_sound: Samples
    ended: bool
    closing: float | None
    behaviour: Behaviour
    undo: Undo

    @property
    def source_pts(self) -> Fraction | None:
        """The sender's time of the last frame's sound."""
        if self.speaking is None or self.speaking.spoken is None:
            return None
        rate = self.speaking.spoken.session.engine.frame_rate
        return self.speaking.pts + self.said / rate


class Playlist:
    """Utterances that are played one after the other. Safe from several threads.

    Args:
        time: of the session.
        clock: of the session.
        behaviour: of the face.

    Attributes:
        behaviour: for what is played next.
        at_once: frames whose motion is made in one go where their sound is there.
        lock: held by whoever needs it to stay as it is.
    """

    def __init__(self, time: MediaTime, clock: Clock, behaviour: Behaviour):
        self.behaviour, self.at_once = behaviour, 1
        self.lock = threading.RLock()
        self._time, self._clock = time, clock
        self._fade = round(FADE * time.sound_rate)
        self._queue: deque[Utterance] = deque()
        self._paused = self._ended = False
        self._tail = np.zeros(0, np.float32)  # of sound that was cut
        self._closing: float | None = None
        self._last: Utterance | None = None  # that was pushed

    @property
    def queued(self) -> float:
        """Seconds of sound that wait to be played."""
        with self.lock:
            return self._queued()

    def _queued(self) -> float:
        return sum(u.sound.count for u in self._queue) / self._time.sound_rate

    @property
    def over(self) -> bool:
        """Whether nothing is left, and nothing more can come."""
        with self.lock:
            return self._ended and not self._queue

    def push(self, samples: Any, rate: float, pts: Fraction | None) -> None:
        """Put sound at the end; see `LiveSession.push_audio`."""
        with self.lock:
            if self._ended:
                raise UsageError("this session has ended", todo="Begin another one for more sound")
            if self._queue and not self._queue[-1].ended:
                utterance = self._queue[-1]
            else:
                utterance = self._begun(pts)
            mono = utterance.mono(samples, rate)
            if self._queued() + len(mono) / rate > MAX_QUEUED:
                raise UsageError(
                    f"{self._queued():.1f} s of sound wait to be played already",
                    why=f"a session holds {MAX_QUEUED} s",
                    todo="Push more when `queued` has fallen, or call interrupt()",
                )
            utterance.push(mono, pts)
            if not len(mono):
                return
            utterance.came = self._clock.now()
            if not self._queue or self._queue[-1] is not utterance:
                self._queue.append(utterance)
                self._last, utterance.waits = utterance, self._clock.now()

    def _begun(self, pts: Fraction | None) -> Utterance:
        """A new utterance; it belongs to the last one, if that ended because nothing came."""
        last, before, now = self._last, Fraction(0), Fraction(0)
        if last is not None:
            before, now = Fraction(0) if last.whole else last.total, last.next_pts
        return Utterance(self._time.sound_rate, now if pts is None else pts, before)

    def flush(self) -> None:
        """What was pushed last is whole."""
        with self.lock:
            if self._last is not None:
                self._last.end()
                self._last.whole = True

    def interrupt(self) -> float:
        """Forget all, and close the mouth.

        Returns:
            seconds that were played of what was being said.
        """
        with self.lock:
            self._closing, played = self._clock.now(), 0.0
            if self._queue:
                self._cut(self._queue[0])
                played = float(self._queue[0].played)
                self._queue.clear()
            self.flush()  # also what was said already: what comes next is new
            return played

    def pause(self) -> None:
        """Play nothing until `resume`, and close the mouth."""
        with self.lock:
            if not self._paused:
                self._closing = self._clock.now()
                if self._queue:
                    self._cut(self._queue[0])
            self._paused = True

    def resume(self) -> None:
        """Play on."""
        with self.lock:
            self._paused = False

    def finish(self) -> None:
        """Nothing more comes."""
        with self.lock:
            self._ended, self._paused = True, False
            if self._queue:
                self._queue[-1].end()

    def close(self) -> None:
        """Forget all; nothing more comes."""
        with self.lock:
            self._ended = True
            self._queue.clear()

    def _cut(self, utterance: Utterance) -> None:
        """Let what is being played grow silent."""
        if utterance.playing:
            self._tail = utterance.hold(self._fade)

    def play(self, first: int, last: int) -> Played:
        """Play the sound of some frames.

        Args:
            first: the first of them; all before it were played.
            last: the last of them, which is the one that is shown.
        """
        with self.lock:
            sounds, speaking = list[Samples](), None
            places, tail, closing = list[Place](), self._tail, self._closing
            state: State = "paused" if self._paused else "idle"
            for frame in range(first, last + 1):
                count = self._time.sample(frame + 1) - self._time.sample(frame)
                speaking = self._ready(frame, last, count)
                if speaking is None:
                    sounds.append(self._rest(count))
                else:
                    places.append(speaking.place(count))
                    sounds.append(speaking.take(count, self._fade))
                    state = "speaking"
            said, model_sound, ended = 0, np.zeros(0, np.float32), False
            if speaking is not None and speaking.spoken is not None:
                self._closing, said = None, speaking.frame - 1
                need, more = (speaking.spoken.need(said + k) for k in (0, self.at_once - 1))
                need = more if 0 < need < more <= speaking.model_sound.count else need
                model_sound = speaking.model_sound.take(need)
                ended = speaking.ended and not speaking.model_sound.count
            sound, undo = np.concatenate(sounds), Undo(tuple(places), tail, closing)
            closing, behaviour = self._closing, self.behaviour
        return Played(sound, state, speaking, said, model_sound, ended, closing, behaviour, undo)

    def go_back(self, undo: Undo) -> None:
        """Undo what was played last: it is to be played again, or is not true any more."""
        with self.lock:
            for place in reversed(undo.places):
                place.utterance.go_back(place)
                if place.utterance not in self._queue:
                    self._queue.appendleft(place.utterance)
            self._tail, self._closing = undo.tail, undo.closing

    @property
    def foreseen(self) -> bool:
        """Whether the next frame will be the same if it is made now: the face idles and nothing
        waits, or all the sound is there that it could wait for."""
        with self.lock:
            if self._paused:
                return True
            left = [u for u in self._queue if u.sound.count or not u.ended]
            if not left:
                return True
            first, period = left[0], float(1 / self._time.frame_rate)
            return first.ended or first.waiting >= self.behaviour.need_all + period

    def _rest(self, count: int) -> Samples:
        """Silence, after the tail of what was cut."""
        tail, self._tail = self._tail[:count], self._tail[:0]
        return np.pad(tail, (0, count - len(tail)))

    def _ready(self, frame: int, last: int, count: int) -> Utterance | None:
        """What is to be played in a frame, if there is something and enough of it.

        Args:
            frame: its number.
            last: of the frames that are played with it.
            count: samples of a frame.
        """
        while self._queue and self._queue[0].ended and not self._queue[0].sound.count:
            self._queue.popleft()
        if self._paused or not self._queue:
            return None
        first, behaviour = self._queue[0], self.behaviour
        if first.playing:
            if first.ended or first.sound.count >= count:
                return first
            first.playing, first.waits = False, self._clock.now()  # it has run dry
            self._tail = first.hold(self._fade)
        if not first.ended and self._clock.now() - max(first.waits, first.came) > PATIENCE:
            first.end()
        # the sound of all frames until the last must be there, and what that one needs
        there = first.waiting - float(self._time.pts(last - frame))
        there = inf if first.ended else there
        if there < behaviour.need:
            return None
        if first.spoken is None:
            first.spoken = behaviour.begin(frame, there)
        first.playing = True
        return first
