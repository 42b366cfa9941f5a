"""A live face in a browser, over WebRTC: what the page asks, and the session behind it.

The WebSocket `/rtc` carries the offer, the answer, commands and events; picture and sound go their
own way. A session lives as long as both do.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiortc import RTCIceServer
from fastapi import APIRouter, FastAPI, Response, WebSocket
from fastapi.requests import HTTPConnection
from PIL import Image
from pydantic import BaseModel, Field

from talkers.dialogue.sentences import MAX_TURN
from talkers.media.manifest import SOURCE
from talkers.runtime.avatar import Avatar
from talkers.runtime.live_session import LiveSession
from talkers.server.delay import DelayMeter
from talkers.server.forms import read_json
from talkers.server.live import (
    begun,
    commanded,
    hello_of,
    obey,
    push,
    serve_session,
    tell_error,
    until_one_ends,
)
from talkers.server.microphone import Microphone
from talkers.server.packets import COMMENT, QUALITY
from talkers.server.routes import NO_STORE, Here
from talkers.server.rtc_forms import RTC_COMMANDS, ListenCommand, Offer, SayCommand, Tell
from talkers.server.rtc_peer import Peer
from talkers.server.saying import Texts, Voices
from talkers.server.service import Service
from talkers.server.sign import Sign
from talkers.server.talking import Talking, TalkMaker, TellError, begun_talk
from talkers.version import __version__

SYNTHETIC = {"Digital-Source-Type": SOURCE}  # a header of what shows a face
STATUS_SECONDS = 0.5  # between two events that tell how the session is
router = APIRouter()


@dataclass
class Rtc:
    """What live faces of one server have in common.

    Attributes:
        ice: servers that help connections to find a way.
        only_local: only browsers of this machine are let in.
        voices: that say texts.
        previews: JPEG of each avatar that was asked for.
        talker: lets faces answer; without it they say what they are given.
    """

    ice: tuple[RTCIceServer, ...] = ()
    only_local: bool = True
    voices: Voices = field(default_factory=Voices)
    previews: dict[str, bytes] = field(default_factory=dict)
    talker: TalkMaker | None = None


def add_rtc(app: FastAPI, rtc: Rtc) -> None:
    """Let an application serve live faces to browsers."""
    app.state.rtc = rtc
    app.include_router(router)


class IceServer(BaseModel):
    """A server that helps to find a way, as browsers take it."""

    urls: str
    username: str | None = None
    credential: str | None = None


class About(BaseModel):
    """What a page must know before it asks for a face."""

    version: str = __version__
    synthetic: bool = True
    digital_source_type: str = SOURCE
    avatars: list[str] = Field(description="Names; the first is meant where none is named.")
    sessions: int = Field(description="Faces that are shown now.")
    max_sessions: int
    says: bool = Field(description="Whether it can say texts.")
    characters: int = Field(description="Of a text, at most.")
    talks: bool = Field(description="Whether it answers what it is told.")
    persona: str = Field(description="Whom it plays; may be empty.")
    hears: bool = Field(description="Whether sound is of use to it.")
    ice_servers: list[IceServer]


def rtc_of(connection: HTTPConnection) -> Rtc:
    """The live faces behind a request."""
    found: Rtc = connection.app.state.rtc
    return found


@router.get("/rtc/about")
def about(here: Here, connection: HTTPConnection) -> About:
    """What a page must know before it asks for a face."""
    shared = rtc_of(connection)
    talker = shared.talker
    servers = [
        IceServer(urls=str(s.urls), username=s.username, credential=s.credential)
        for s in shared.ice
    ]
    return About(
        avatars=list(here.avatars),
        sessions=here.sessions,
        max_sessions=here.limits.sessions,
        says=talker is not None or importlib.util.find_spec("piper") is not None,
        characters=here.limits.characters if talker is None else MAX_TURN,
        talks=talker is not None,
        persona=talker.name if talker else "",
        hears=talker is None or talker.hears,
        ice_servers=servers,
    )


@router.get("/rtc/preview/{avatar}", response_class=Response)
def preview(here: Here, connection: HTTPConnection, avatar: str) -> Response:
    """A picture of an avatar, JPEG."""
    name, found = here.avatar(avatar)
    previews = rtc_of(connection).previews
    if name not in previews:
        with found.session() as session:
            picture = Sign(found.size).put(next(session).picture)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=QUALITY, comment=COMMENT)
        previews[name] = file.getvalue()
    return Response(previews[name], media_type="image/jpeg", headers=SYNTHETIC | NO_STORE)


@router.websocket("/rtc")
async def rtc(socket: WebSocket) -> None:
    """Show a face to a browser; see docs/guide/live.md. However it ends, nothing of it is left."""
    await serve_session(socket, _run)


async def _run(socket: WebSocket, service: Service) -> None:
    """Begin a session, and go on until one side ends it."""
    offer: Offer = await hello_of(socket, Offer)
    name, avatar = service.avatar(offer.avatar)
    shared, delay = rtc_of(socket), DelayMeter(avatar.frame_rate)
    role = await _role(shared, avatar, offer, service, delay)
    try:
        peer = Peer(role, delay, avatar.size, shared.ice, shared.only_local)
        try:
            await socket.send_json(
                {
                    "type": "hello",
                    "synthetic": True,
                    "digital_source_type": SOURCE,
                    "version": __version__,
                    "avatar": name,
                    "size": avatar.size,
                    "frame_rate": float(avatar.frame_rate),
                    "answer": await peer.answer(offer.offer),
                }
            )
            await until_one_ends(
                peer.run(socket.send_json),
                obey(socket, role.do),
                *role.works(socket.send_json, partial(tell_error, socket)),
                _report(socket, role, delay, service),
            )
            await socket.send_json({"type": "ended"})
        finally:
            await asyncio.shield(peer.close())
    finally:
        await asyncio.shield(asyncio.to_thread(role.close))


async def _role(
    shared: Rtc, avatar: Avatar, offer: Offer, service: Service, delay: DelayMeter
) -> Saying | Talking:
    """A face as the server shows it."""
    if shared.talker is not None:
        return await begun_talk(shared.talker, avatar, offer, delay)
    session = await asyncio.to_thread(begun, avatar, offer)
    texts = Texts(session, shared.voices, service.limits.characters, delay.pushed)
    return Saying(session, texts, delay, offer.rate)


class Saying:
    """A face that says what it is given; see `Talking` for one that answers.

    Args:
        session: says it.
        texts: that it says.
        delay: told of what comes.
        rate: Hz of sound in messages.

    Attributes:
        session: see above.
        microphone: takes the viewer's sound.
    """

    def __init__(self, session: LiveSession, texts: Texts, delay: DelayMeter, rate: int):
        self.session, self.microphone = session, Microphone(session)
        self._texts, self._delay, self._rate = texts, delay, rate

    @property
    def queued(self) -> float:
        """Seconds of sound that wait to be said."""
        return self.session.queued

    async def do(self, message: bytes | str) -> dict[str, Any] | None:
        """Do what one message says; the event that answers it."""
        if isinstance(message, bytes):
            self._delay.pushed()
            await asyncio.to_thread(push, self.session, self._rate, message)
            return None
        command = read_json(RTC_COMMANDS, message)
        if isinstance(command, SayCommand):
            self._texts.add(command)
            return None
        if isinstance(command, ListenCommand):
            self.microphone.listen(command.on)
            if not command.on:
                self._delay.deaf()
            return None
        if command.type == "interrupt":
            self._texts.forget()
        return await asyncio.to_thread(commanded, self.session, command)

    def works(self, tell: Tell, tell_error: TellError) -> list[Coroutine[Any, Any, None]]:
        """The tasks that run during the session."""
        return [self._texts.run(tell, tell_error)]

    def close(self) -> None:
        """End at once."""
        self.session.close()


async def _report(
    socket: WebSocket, role: Saying | Talking, delay: DelayMeter, service: Service
) -> None:
    """Tell now and then how the session is."""
    while True:
        await asyncio.sleep(STATUS_SECONDS)
        report = delay.report()
        if report.follows is not None:
            service.metrics.delay.observe(report.follows)
        await socket.send_json({"type": "status", "queued": role.queued} | report._asdict())
