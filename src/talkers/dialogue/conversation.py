"""A talk with an avatar: what the user says comes in, frames with the avatar's voice come out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from talkers.controls.request import Controls
from talkers.dialogue.contract import (
    PLAINLY,
    Delivery,
    Dialogue,
    Sentence,
    SpeechEvent,
    Turn,
)
from talkers.dialogue.ears import ENDS, Ears
from talkers.dialogue.sentences import checked_turn
from talkers.runtime.avatar import Avatar
from talkers.runtime.clock import Clock
from talkers.runtime.listening import Listening
from talkers.runtime.live_session import LiveFrame, LiveSession, LiveTerms
from talkers.runtime.threads import leave_a_core
from talkers.speech.subtitles import Word
from talkers.speech.text import FASTEST, SLOWEST, Passage, Script
from talkers.speech.voices import Voice, say_script

MAX_SECONDS = 90.0  # of a reply; a session holds two minutes
CLOSING = 2.0  # seconds for which closing waits for a reply in the making
MIN_AMPLITUDE, MAX_AMPLITUDE = 0.5, 1.5  # of Controls


@dataclass(frozen=True)
class ConversationTerms:
    """How a conversation is led.

    Attributes:
        speed: how many times as fast as it does the voice speaks, 0.5 to 2.
        seed: of replies, blinks and head.
        steps: network passes a frame (default: what the avatar was made for).
        controls: of head, eyes and mouth.
        live: how its session is run.
        threaded: replies are made in a thread of its own; otherwise by `work`.
        attitude: how the avatar listens: positive, neutral or negative.
    """

    speed: float = 1.0
    seed: int = 0
    steps: int | None = None
    controls: Controls = Controls()
    live: LiveTerms = field(default_factory=LiveTerms)
    threaded: bool = True
    attitude: str = "neutral"


@dataclass(frozen=True)
class _Spoken:
    """A sentence that was given to the session."""

    text: str
    begin: float  # seconds of the reply
    end: float
    words: tuple[Word, ...]  # from the reply's beginning


class Conversation:
    """See above. Every method may be called from any thread; one takes the frames.

    Args:
        avatar: who answers.
        dialogue: what it answers.
        voice: how it sounds.
        ears: understand sound that is pushed; without them only text is understood.
        terms: see there.
        clock: of the session (default: the machine's).
        on_turn: called with each turn: the user's when its reply is begun, and each sentence of a
            reply when it waits to be said.

    Attributes:
        turn_ended: when the user ended the turn that is answered, by `time.monotonic`.

    Raises:
        TalkersError: the avatar cannot be live.
    """

    def __init__(
        self,
        avatar: Avatar,
        dialogue: Dialogue,
        voice: Voice,
        *,
        ears: Ears | None = None,
        terms: ConversationTerms | None = None,
        clock: Clock | None = None,
        on_turn: Callable[[Turn], None] = lambda turn: None,
    ):
        self.terms = terms or ConversationTerms()
        self._dialogue, self._voice, self._ears, self._on_turn = dialogue, voice, ears, on_turn
        self.session: LiveSession = avatar.session(
            seed=self.terms.seed,
            steps=self.terms.steps,
            controls=self.terms.controls,
            terms=self.terms.live,
            clock=clock,
        )
        self.session.listener = Listening(float(avatar.frame_rate), self.terms.attitude)
        self._history: list[Turn] = []
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._reply: list[_Spoken] = []  # that is being said, or was said last
        self._number = 0  # of the reply: one that is overtaken is dropped
        self._stops = 0  # of the user
        self._working = -1  # the reply that is being made
        self._again = False  # whether the user's last turn is answered anew
        self._busy = self._closed = False
        self.turn_ended = 0.0
        self._attends = False  # to a user who speaks: no reply begins
        self._controls, self._delivery = self.terms.controls, PLAINLY
        self._smiles = all(model.space.smiles for model in avatar.engine.motion.values())
        self.error: Exception | None = None
        self._thread: threading.Thread | None = None
        if self.terms.threaded:
            self._thread = threading.Thread(target=self._run, daemon=True, name="conversation")
            self._thread.start()

    @property
    def history(self) -> list[Turn]:
        """What was said. A reply that is still being said is not in it yet."""
        with self._changed:
            return list(self._history)

    @property
    def answering(self) -> bool:
        """Whether a reply is being made, waits, or is being said."""
        with self._changed:
            return self._busy or bool(self._waiting) or self.session.queued > 0

    @property
    def attending(self) -> bool:
        """Whether the user is speaking."""
        with self._changed:
            return self._attends

    @property
    def thinking(self) -> bool:
        """Whether a reply is being made, or waits, and nothing of it is heard yet."""
        with self._changed:
            making = self._busy and self._working == self._number
            return (making or bool(self._waiting)) and self.session.queued == 0

    def push_text(self, text: str) -> None:
        """The user says something by text. A reply that is being said is interrupted.

        Raises:
            UsageError: nothing in it can be answered, or it is too long.
            TalkersError: what went wrong with the reply before; the text is taken all the same.
        """
        self._ask(checked_turn(text), time.monotonic())
        self.raise_error()

    def push_audio(self, samples: Any, rate: float) -> None:
        """The user's sound, of any form that `LiveSession.push_audio` takes; silence too.

        While the user speaks the avatar listens; when they begin, it stops speaking; when they
        have ended, it answers.

        Raises:
            UsageError: this is no sound.
            TalkersError: what went wrong with the reply before; the sound is heard all the same.
        """
        self.session.hear(samples, rate)
        if self._ears is not None:
            ended, stops = time.monotonic() - ENDS, self._stops
            for event in self._ears.push(samples, rate):
                self._on_speech(event, ended, stops)
        self.raise_error()

    def end_audio(self) -> None:
        """The user's sound has ended, and so has what they were saying."""
        if self._ears is not None:
            ended, stops = time.monotonic(), self._stops
            for event in self._ears.end():
                self._on_speech(event, ended, stops)

    def _on_speech(self, event: SpeechEvent, ended: float, stops: int) -> None:
        """The user begins to speak, or has said something.

        Args:
            event: which of them.
            ended: when they had ended.
            stops: how often the user had wanted it to be silent before.
        """
        with self._changed:
            self._attends = event.kind == "begins"
            self._changed.notify_all()
        if event.kind == "begins":
            self.interrupt()
        elif stops != self._stops:
            return
        elif any(letter.isalnum() for letter in event.text):
            self._ask(checked_turn(event.text), ended)
        else:  # it was no speech: what has no answer yet is answered after all
            with self._changed:
                if not self._waiting and self._history and self._history[-1].speaker == "user":
                    self._waiting.append(self._history.pop().text)
                    self._again = True
                    self._changed.notify_all()

    def _ask(self, text: str, ended: float) -> None:
        """Answer this next, in place of what is being said."""
        self.interrupt()
        with self._changed:
            self._waiting.append(text)
            self._again, self.turn_ended = False, ended
            self._changed.notify_all()

    def stop(self) -> float:
        """Be silent: as `interrupt`, and what waits for an answer is forgotten.

        Returns:
            seconds that were played of the reply.
        """
        with self._changed:
            self._stops += 1
            self._waiting.clear()
            return self.interrupt()

    def interrupt(self) -> float:
        """Stop speaking, drop the reply, and keep in the history what was heard of it.

        Returns:
            seconds that were played of it.
        """
        with self._changed:
            self._number += 1
            # where nothing waits, all that was pushed has been played
            all_played = self.session.queued == 0
            seconds = self.session.interrupt()
            self._settle(float("inf") if all_played else seconds)
        return seconds

    def set(self, controls: Controls) -> None:
        """From the next frame on, obey other controls.

        Raises:
            TalkersError: controls that mean nothing to this avatar.
        """
        with self._changed:
            self.session.set(delivered(controls, self._delivery, self._smiles))
            self._controls = controls

    def _settle(self, seconds: float) -> None:
        """Put what was heard of the reply into the history."""
        said = " ".join(_played_part(spoken, seconds) for spoken in self._reply).strip()
        self._reply = []
        if said:
            self._history.append(Turn("avatar", said))

    def work(self) -> None:
        """Make the replies that wait, unless a thread does it."""
        while True:
            with self._changed:
                if not self._waiting or self._closed or self._attends:
                    return
                text = " ".join(self._waiting)
                self._waiting.clear()
                self._settle(float("inf"))
                self._history.append(Turn("user", text))
                turns, number, self._busy = list(self._history), self._number, True
                self._working, again, self._again = number, self._again, False
            try:
                if not again:
                    self._on_turn(turns[-1])
                self._answer(turns, number)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _answer(self, turns: list[Turn], number: int) -> None:
        """Say a reply while it is written, as long as nobody interrupts it."""
        seconds = 0.0
        for sentence in self._dialogue.reply(turns, self.terms.seed + len(turns)):
            with self._changed:
                if number != self._number or self._closed:
                    return
            seconds = self._say(sentence, seconds, number)
            if seconds > MAX_SECONDS:
                break
        with self._changed:
            if number == self._number:
                self.session.flush()

    def _say(self, sentence: Sentence, begun: float, number: int) -> float:
        """Give a sentence to the session; returns the seconds of the reply so far."""
        speed = min(max(self.terms.speed * sentence.delivery.speed, SLOWEST), FASTEST)
        said = say_script(self._voice, Script((Passage(sentence.text),)), speed)
        end = begun + len(said.samples) / self._voice.rate
        words = tuple(Word(w.text, w.start + begun, w.end + begun) for w in said.words)
        with self._changed:
            if number != self._number or self._closed:
                return end
            if sentence.delivery != self._delivery:
                self._delivery = sentence.delivery
                self.session.set(delivered(self._controls, sentence.delivery, self._smiles))
            self.session.push_audio(said.samples, self._voice.rate)
            self._reply.append(_Spoken(sentence.text, begun, end, words))
        self._on_turn(Turn("avatar", sentence.text))
        return end

    def _run(self) -> None:
        leave_a_core()  # to the face
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or (self._waiting and not self._attends)
                )
                if self._closed:
                    return
            try:
                self.work()
            except Exception as error:  # told to whoever pushes or takes frames next
                with self._changed:
                    self.error = error

    def raise_error(self) -> None:
        """Raises Exception: what went wrong with a reply, once."""
        with self._changed:
            error, self.error = self.error, None
        if error is not None:
            raise error

    def frames(self) -> Iterator[LiveFrame]:
        """The session's frames, until the conversation is closed.

        Raises:
            TalkersError: what went wrong with a reply.
        """
        for frame in self.session:
            self.raise_error()
            yield frame

    def close(self) -> None:
        """End at once; a reply in the making is not said. Once more does no harm."""
        with self._changed:
            if not self._closed:
                self.interrupt()
            self._closed = True
            self._changed.notify_all()
        self.session.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=CLOSING)

    def __enter__(self) -> Conversation:
        """The conversation; it is closed when the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def delivered(controls: Controls, delivery: Delivery, smiles: bool = False) -> Controls:
    """Controls with a delivery's factors, within their ranges.

    Args:
        controls: the user's.
        delivery: of a sentence.
        smiles: whether the avatar can.
    """
    amplitude = min(max(controls.amplitude * delivery.amplitude, MIN_AMPLITUDE), MAX_AMPLITUDE)
    return replace(
        controls,
        brow_amplitude=min(controls.brow_amplitude * delivery.brow_amplitude, 3.0),
        amplitude=amplitude,
        pose_scale=min(controls.pose_scale * delivery.pose_scale, 2.0),
        smile=min(max(controls.smile + delivery.smile, -1.0), 1.0) if smiles else controls.smile,
    )


def _played_part(spoken: _Spoken, seconds: float) -> str:
    """The words of a sentence that were heard until a time of its reply."""
    if seconds >= spoken.end:
        return spoken.text
    if spoken.words:
        return " ".join(word.text for word in spoken.words if word.end <= seconds)
    words = spoken.text.split()  # the voice does not tell its words: they are taken as even
    share = max(0.0, seconds - spoken.begin) / max(1e-6, spoken.end - spoken.begin)
    return " ".join(words[: int(share * len(words))])
