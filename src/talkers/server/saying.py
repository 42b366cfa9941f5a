"""Texts that a live face says, sentence by sentence, so that the first is heard soon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from talkers.errors import TalkersError, UsageError
from talkers.runtime.live_session import LiveSession
from talkers.server.problem import Refused
from talkers.server.rtc_forms import SayCommand, Tell
from talkers.server.work import require

MAX_WAITING = 8  # texts
AHEAD = 20.0  # seconds of sound that are made before they are said
TICK = 0.1  # seconds between two looks at what waits


class Voices:
    """Voices that were loaded, for all sessions of a server."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Any:
        """A voice; it is loaded, and if need be fetched, once.

        Raises:
            TalkersError: it cannot be had.
        """
        from talkers.speech.voices import load_voice

        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_voice(name)
            return self._loaded[name]


class Texts:
    """The texts that one session says.

    Args:
        session: says them.
        voices: of the server.
        characters: of a text, at most.
        pushed: called when sound of a text was pushed.
    """

    def __init__(
        self,
        session: LiveSession,
        voices: Voices,
        characters: int,
        pushed: Callable[[], None],
    ):
        self._session, self._voices, self._most = session, voices, characters
        self._pushed = pushed
        self._waiting: asyncio.Queue[SayCommand] = asyncio.Queue(MAX_WAITING)
        self._round = 0  # grows when all that waits is forgotten

    def add(self, command: SayCommand) -> None:
        """Say a text after those that wait.

        Raises:
            TalkersError: it cannot be said, or too many wait.
        """
        require("piper", "saying text", "say")
        from talkers.speech.voices import VOICES

        if command.voice not in VOICES:
            raise UsageError(
                f"there is no voice {command.voice[:60]!r}", todo=f"Use one of {', '.join(VOICES)}"
            )
        if not 0 < len(command.text.strip()) <= self._most:
            raise UsageError(
                f"a text of {len(command.text.strip())} characters was given",
                todo=f"Give 1 to {self._most}",
            )
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            raise Refused(
                503, f"{MAX_WAITING} texts wait already", todo="Wait until some were said"
            ) from None

    def forget(self) -> None:
        """Say no more of them."""
        self._round += 1
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def run(self, tell: Tell, tell_error: Callable[[BaseException], Awaitable[None]]) -> None:
        """Say what comes, until this is cancelled.

        Args:
            tell: sends an event.
            tell_error: sends an error.
        """
        while True:
            command = await self._waiting.get()
            now = self._round
            try:
                await tell({"type": "preparing"})
                await self._say(command, now)
            except TalkersError as error:
                await tell_error(error)

    async def _say(self, command: SayCommand, now: int) -> None:
        from talkers.speech.text import Script, parse_script
        from talkers.speech.voices import say_script

        script = parse_script(command.text)
        voice = await asyncio.to_thread(self._voices.get, command.voice)
        said = False
        for passage in script.passages:
            if not any(c.isalnum() for c in passage.text):
                continue
            part = Script((passage,))
            sound = await asyncio.to_thread(say_script, voice, part, command.speed)
            while self._session.queued > AHEAD and now == self._round:
                await asyncio.sleep(TICK)
            if now != self._round:
                return
            self._pushed()
            self._session.push_audio(sound.samples, voice.rate)
            said = True
        self._session.flush()
        if not said:
            raise UsageError("there is nothing in this text that can be said", todo="Write words")
