"""A live face that answers: the talk of one viewer, who speaks into a microphone, or writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.controls.request import Controls
from talkers.dialogue import Conversation, Turn
from talkers.errors import TalkersError, UsageError
from talkers.runtime.avatar import Avatar
from talkers.runtime.threads import one_core_left
from talkers.server.forms import SetCommand, read_json
from talkers.server.live import commanded
from talkers.server.rtc_forms import RTC_COMMANDS, ListenCommand, Offer, SayCommand, Tell

MAX_WAITING = 30.0  # seconds of sound that wait to be understood; more is forgotten
ENDING = 1.0  # seconds of silence that end a turn whose sound has ended
LOOK = 0.1  # seconds between two looks at how the talk is

TellError = Callable[[BaseException], Awaitable[None]]
OnTurn = Callable[[Turn], None]


@dataclass(frozen=True)
class Talker:
    """Makes the talks of a server: one for each viewer.

    Attributes:
        begin: gives the conversation of a viewer. It is called with the avatar, with what the
            viewer asks for, and with what is to be called with each turn.
        name: whom the face plays; may be empty.
        hears: whether it understands speech.
        controls: of a face of which the viewer asks for no others.
    """

    begin: Callable[[Avatar, Offer, OnTurn], Conversation]
    name: str = ""
    hears: bool = True
    controls: Controls = Controls()


class Hearing:
    """Sound of a viewer, on its way to a conversation. For one event loop.

    Attributes:
        on: whether the microphone is heard.
        queued: seconds that wait.
    """

    follows = False  # the face does not say what it hears

    def __init__(self, conversation: Conversation):
        self._conversation = conversation
        self._waiting: deque[tuple[NDArray[np.int16], int]] = deque()
        self._came = asyncio.Event()
        self.on, self.queued = False, 0.0

    def hear(self, samples: NDArray[np.int16], rate: int, pts: Fraction) -> None:
        """The microphone's next block: int16 [n, channels]."""
        if self.on:
            self.put(samples, rate)

    def put(self, samples: NDArray[np.int16], rate: int) -> None:
        """Understand this after what waits; where too much waits, it is forgotten."""
        seconds = len(samples) / rate
        if self.queued + seconds <= MAX_WAITING:
            self._waiting.append((samples, rate))
            self.queued += seconds
            self._came.set()

    def turn(self, on: bool) -> None:
        """Begin or end to listen to the microphone."""
        if self.on and not on:
            self.end()
        self.on = on

    def end(self) -> None:
        """The sound has ended, and so has what is being said."""
        self.put(np.zeros(round(ENDING * 16_000), np.int16), 16_000)

    async def run(self, tell_error: TellError) -> None:
        """Let the conversation hear what comes, until this is cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                samples, rate = self._waiting.popleft()
                try:
                    await asyncio.to_thread(self._understand, samples, rate)
                except TalkersError as error:
                    await tell_error(error)
                self.queued = max(0.0, self.queued - len(samples) / rate)


    def _understand(self, samples: NDArray[np.int16], rate: int) -> None:
        with one_core_left():  # the face goes on meanwhile
            self._conversation.push_audio(samples, rate)


class Talking:
    """What a face does that answers; see `Saying` for one that says what it is given.

    Args:
        talker: makes the conversation.
        avatar: whose face.
        offer: what the viewer asks for.
        pushed: called when a turn of the viewer is whole.

    Attributes:
        session: its live session.
        microphone: takes the viewer's sound.

    Raises:
        TalkersError: the avatar cannot be live, or the controls mean nothing to it.
    """

    def __init__(self, talker: Talker, avatar: Avatar, offer: Offer, pushed: Callable[[], None]):
        self._loop, self._turns = asyncio.get_running_loop(), asyncio.Queue[Turn]()
        self._pushed, self._rate, self._controls = pushed, offer.rate, talker.controls
        self._conversation = talker.begin(avatar, offer, self._on_turn)
        self.session = self._conversation.session
        self.microphone = Hearing(self._conversation)

    @property
    def queued(self) -> float:
        """Seconds of the viewer's sound that wait to be understood."""
        return self.microphone.queued

    def _on_turn(self, turn: Turn) -> None:
        """Called by the conversation's thread."""
        self._loop.call_soon_threadsafe(self._turns.put_nowait, turn)

    async def do(self, message: bytes | str) -> dict[str, Any] | None:
        """Do what one message says; the event that answers it."""
        talk = self._conversation
        if isinstance(message, bytes):
            samples = np.frombuffer(message, "<i2").astype(np.int16, copy=False)
            if self.queued + len(samples) / self._rate > MAX_WAITING:
                raise UsageError(
                    f"{self.queued:.0f} s of sound wait already", todo="Send no more than is said"
                )
            self.microphone.put(samples, self._rate)
            return None
        command = read_json(RTC_COMMANDS, message)
        if isinstance(command, SayCommand):
            await asyncio.to_thread(talk.push_text, command.text)
        elif isinstance(command, ListenCommand):
            self.microphone.turn(command.on)
        elif isinstance(command, SetCommand):
            await asyncio.to_thread(talk.set, command.controls.over(self._controls))
        elif command.type == "interrupt":
            return {"type": "interrupted", "seconds": await asyncio.to_thread(talk.interrupt)}
        elif command.type == "flush":
            self.microphone.end()
        else:
            return await asyncio.to_thread(commanded, self.session, command)
        return None

    def works(self, tell: Tell, tell_error: TellError) -> list[Coroutine[Any, Any, None]]:
        """What goes on beside, until it is cancelled."""
        return [
            self.microphone.run(tell_error),
            self._tell_turns(tell),
            self._tell_state(tell, tell_error),
        ]

    async def _tell_turns(self, tell: Tell) -> None:
        """Tell what is said."""
        while True:
            turn = await self._turns.get()
            if turn.speaker == "user":
                self._pushed()
            await tell({"type": "turn", "speaker": turn.speaker, "text": turn.text})

    async def _tell_state(self, tell: Tell, tell_error: TellError) -> None:
        """Tell when it begins to listen or to think, and what went wrong with a reply."""
        told = ""
        while True:
            talk = self._conversation
            does = "listens" if talk.attending else "thinks" if talk.thinking else "waits"
            if does != told:
                told = does
                await tell({"type": "talk", "does": does})
            try:
                talk.raise_error()
            except TalkersError as error:
                await tell_error(error)
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """End at once; a reply in the making is waited for."""
        self._conversation.close()
