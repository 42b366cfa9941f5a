"""A live face that answers: the talk of one viewer, who speaks into a microphone, or writes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkers.controls.request import Controls
from talkers.dialogue import Conversation, Turn
from talkers.errors import UsageError
from talkers.runtime.avatar import Avatar
from talkers.runtime.threads import leave_a_core
from talkers.server.delay import DelayMeter
from talkers.server.forms import SetCommand, read_json
from talkers.server.live import commanded
from talkers.server.rtc_forms import RTC_COMMANDS, ListenCommand, Offer, SayCommand, Tell

MAX_WAITING = 30.0  # seconds of sound that wait to be understood
LOOK_EVERY = 0.1  # seconds, at how the talk is

TellError = Callable[[BaseException], Awaitable[None]]
OnTurn = Callable[[Turn], None]
Block = tuple[NDArray[np.int16], int]  # samples, Hz


@dataclass(frozen=True)
class TalkMaker:
    """Makes the talks of a server: one for each viewer.

    Attributes:
        begin: gives the conversation of a viewer. It is called with the avatar, with what the
            viewer asks for, and with what is to be called with each turn.
        name: whom the face plays; may be empty.
        hears: whether it understands speech.
        controls: that hold where the viewer asks for none.
    """

    begin: Callable[[Avatar, Offer, OnTurn], Conversation]
    name: str = ""
    hears: bool = True
    controls: Controls = Controls()


class Hearing:
    """Queues a viewer's sound until the conversation understands it. For one event loop.

    Attributes:
        on: whether the microphone is heard.
        queued: seconds that wait.
    """

    follows = False  # the face does not say what it hears

    def __init__(self, conversation: Conversation):
        self._conversation = conversation
        self._waiting = deque[Block | None]()  # None: the sound has ended
        self._came = asyncio.Event()
        self.on, self.queued = False, 0.0

    def hear(self, samples: NDArray[np.int16], rate: int, pts: Fraction) -> None:
        """The microphone's next block: int16 [n, channels]. If too much waits, it is dropped."""
        if self.on and not self.full(len(samples) / rate):
            self.put(samples, rate)

    def full(self, seconds: float) -> bool:
        """Whether too much waits already for so much more."""
        return self.queued + seconds > MAX_WAITING

    def put(self, samples: NDArray[np.int16], rate: int) -> None:
        """Understand this after what waits."""
        self.queued += len(samples) / rate
        self._waiting.append((samples, rate))
        self._came.set()

    def listen(self, on: bool) -> None:
        """Begin or end to listen to the microphone."""
        if self.on and not on:
            self.end()
        self.on = on

    def end(self) -> None:
        """The sound has ended, and so has what is being said."""
        self._waiting.append(None)
        self._came.set()

    def forget(self) -> None:
        """Understand nothing of what waits, but that it has ended."""
        self._waiting, self.queued = deque([None]), 0.0
        self._came.set()

    async def run(self, tell_error: TellError) -> None:
        """Let the conversation hear what comes, until this is cancelled."""
        loop = asyncio.get_running_loop()
        with_a_core_less = ThreadPoolExecutor(1, "hearing", leave_a_core)  # the face has it
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while self._waiting:
                    block = self._waiting.popleft()
                    try:
                        await loop.run_in_executor(with_a_core_less, self._understand, block)
                    except Exception as error:  # the viewer is told, and the talk goes on
                        await tell_error(error)
                    if block is not None:
                        self.queued = max(0.0, self.queued - len(block[0]) / block[1])
                self.queued = 0.0
        finally:
            with_a_core_less.shutdown(wait=False)

    def _understand(self, block: Block | None) -> None:
        """Let the conversation hear a block, or that there is no more."""
        if block is None:
            self._conversation.end_audio()
        else:
            self._conversation.push_audio(*block)


class Talking:
    """A face that answers a viewer; see `Saying` for one that says what it is given.

    Args:
        conversation: with the viewer.
        turns: gets what is said, in order.
        rate: Hz of sound in messages.
        controls: that hold where the viewer asks for none.
        delay: told when something was asked.

    Attributes:
        session: its live session.
        microphone: takes the viewer's sound.
    """

    def __init__(
        self,
        conversation: Conversation,
        turns: asyncio.Queue[Turn],
        rate: int,
        controls: Controls,
        delay: DelayMeter,
    ):
        self._conversation, self._turns, self._rate = conversation, turns, rate
        self._controls, self._delay = controls, delay
        self.session = conversation.session
        self.microphone = Hearing(conversation)

    @property
    def queued(self) -> float:
        """Seconds of the viewer's sound that wait to be understood."""
        return self.microphone.queued

    async def do(self, message: bytes | str) -> dict[str, Any] | None:
        """Do what one message says; the event that answers it."""
        talk = self._conversation
        if isinstance(message, bytes):
            samples = np.frombuffer(message, "<i2").astype(np.int16, copy=False)
            if self.microphone.full(len(samples) / self._rate):
                raise UsageError(
                    f"{self.queued:.0f} s of sound wait already", todo="Send no more than is said"
                )
            self.microphone.put(samples, self._rate)
            return None
        command = read_json(RTC_COMMANDS, message)
        if isinstance(command, SayCommand):
            await asyncio.to_thread(talk.push_text, command.text)
        elif isinstance(command, ListenCommand):
            self.microphone.listen(command.on)
        elif isinstance(command, SetCommand):
            await asyncio.to_thread(talk.set, command.controls.over(self._controls))
        elif command.type == "interrupt":
            self.microphone.forget()
            return {"type": "interrupted", "seconds": await asyncio.to_thread(talk.stop)}
        elif command.type == "flush":
            self.microphone.end()
        else:
            return await asyncio.to_thread(commanded, self.session, command)
        return None

    def works(self, tell: Tell, tell_error: TellError) -> list[Coroutine[Any, Any, None]]:
        """The tasks that run during the session."""
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
                self._delay.wait_for_answer(
                    max(0.0, time.monotonic() - self._conversation.turn_ended)
                )
            await tell({"type": "turn", "speaker": turn.speaker, "text": turn.text})

    async def _tell_state(self, tell: Tell, tell_error: TellError) -> None:
        """Tell when it begins to listen or to think, and what went wrong with a reply."""
        sent = "waits"
        while True:
            talk = self._conversation
            does = "listens" if talk.attending else "thinks" if talk.thinking else "waits"
            if does != sent:
                sent = does
                await tell({"type": "talk", "does": does})
            try:
                talk.raise_error()
            except Exception as error:  # the viewer is told, and the talk goes on
                await tell_error(error)
            await asyncio.sleep(LOOK_EVERY)

    def close(self) -> None:
        """End at once."""
        self._conversation.close()


async def begun_talk(maker: TalkMaker, avatar: Avatar, offer: Offer, delay: DelayMeter) -> Talking:
    """A face that answers a viewer.

    Args:
        maker: makes the conversation.
        avatar: whose face.
        offer: what the viewer asks for.
        delay: of the connection.

    Raises:
        TalkersError: the avatar cannot be live, or the controls mean nothing to it.
    """
    loop, turns = asyncio.get_running_loop(), asyncio.Queue[Turn]()

    def on_turn(turn: Turn) -> None:  # called by the conversation's thread
        loop.call_soon_threadsafe(turns.put_nowait, turn)

    conversation = await asyncio.to_thread(maker.begin, avatar, offer, on_turn)
    return Talking(conversation, turns, offer.rate, maker.controls, delay)
