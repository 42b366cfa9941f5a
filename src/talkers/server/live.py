"""A live face over a WebSocket: sound in, pictures and sound out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from anyio import create_task_group
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from talkers.errors import TalkersError, UsageError
from talkers.hardware import give_back_memory
from talkers.runtime.avatar import Avatar
from talkers.runtime.live_session import LiveSession
from talkers.server.forms import COMMANDS, Command, Hello, Misread, SetCommand, read_json
from talkers.server.packets import packets
from talkers.server.problem import Refused, problem_of
from talkers.server.rtc_forms import Offer
from talkers.server.service import Service
from talkers.version import __version__

HELLO_SECONDS = 10.0  # in which a client must say what it wants
STALLED_SECONDS = 15.0  # after which a client that takes nothing is given up
NORMAL, BAD_MESSAGE, FAULT, BUSY = 1000, 1008, 1011, 1013  # codes of WebSocket
router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Run a live session; see docs/guide/server.md. However it ends, nothing of it is left."""
    await serve_session(socket, _run)


async def serve_session(
    socket: WebSocket, run: Callable[[WebSocket, Service], Awaitable[None]]
) -> None:
    """Run a session in a place of the server; its client is told how it ends.

    Args:
        socket: of the client.
        run: the session.
    """
    service: Service = socket.app.state.service
    await socket.accept()
    code = NORMAL
    try:
        with service.session():
            await run(socket, service)
    except WebSocketDisconnect:
        return
    except Exception as error:  # the client is told, and the server goes on
        code = BUSY if isinstance(error, Refused) else BAD_MESSAGE
        code = code if isinstance(error, TalkersError) else FAULT
        with suppress(WebSocketDisconnect, RuntimeError):
            await tell_error(socket, error)
    finally:
        await asyncio.shield(asyncio.to_thread(give_back_memory))
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(code)


async def hello_of(socket: WebSocket, kind: type[Any]) -> Any:
    """What a client wants.

    Args:
        socket: of the client.
        kind: the form of its first message.

    Raises:
        UsageError: it says nothing, or something else.
    """
    try:
        message = await asyncio.wait_for(received(socket), HELLO_SECONDS)
    except TimeoutError as error:
        raise UsageError(
            f"nothing came within {HELLO_SECONDS:g} s", todo="Send a JSON object first, {} at least"
        ) from error
    if isinstance(message, bytes):
        raise UsageError("sound came first", todo="Send a JSON object first, {} at least")
    return read_json(kind, message)


async def _run(socket: WebSocket, service: Service) -> None:
    """Begin a session, and go on until one side ends it."""
    hello: Hello = await hello_of(socket, Hello)
    name, avatar = service.avatar(hello.avatar)
    session = await asyncio.to_thread(begun, avatar, hello)
    with session:
        await socket.send_json(
            {
                "type": "hello",
                "synthetic": True,
                "version": __version__,
                "avatar": name,
                "size": avatar.size,
                "frame_rate": float(avatar.frame_rate),
                "sound_rate": session.terms.sound_rate,
            }
        )
        await until_one_ends(
            _send_frames(socket, session),
            obey(socket, lambda message: asyncio.to_thread(_done, session, hello.rate, message)),
        )


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once; when one has ended, the others end.

    Raises:
        Exception: that with which the first of them ended.
    """
    errors: list[Exception] = []

    async def do(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            errors.append(error)
        finally:
            group.cancel_scope.cancel()

    async with create_task_group() as group:
        for work in works:
            group.start_soon(do, work)
    if errors:
        raise errors[0]


def begun(avatar: Avatar, hello: Hello | Offer) -> LiveSession:
    """A session as it was asked for."""
    return avatar.session(seed=hello.seed, controls=hello.controls.controls(), terms=hello.terms())


async def _send_frames(socket: WebSocket, session: LiveSession) -> None:
    """Send all that comes out of a session, and an event when its state changes."""
    state = ""
    async for frame in session:
        if frame.state != state:
            state = frame.state
            await socket.send_json({"type": "state", "state": state, "pts": float(frame.pts)})
        for packet in await asyncio.to_thread(packets, frame):
            try:
                await asyncio.wait_for(socket.send_bytes(packet), STALLED_SECONDS)
            except TimeoutError as error:
                raise WebSocketDisconnect from error
    await socket.send_json({"type": "ended"})


async def obey(
    socket: WebSocket, do: Callable[[bytes | str], Awaitable[dict[str, Any] | None]]
) -> None:
    """Do what a client says. What its session refuses is told, and the session goes on.

    Args:
        socket: of the client.
        do: does what one message says, and returns the event that answers it.

    Raises:
        WebSocketDisconnect: the client is gone.
        UsageError: it sends what is neither sound nor a command.
    """
    while True:
        message = await received(socket)
        if isinstance(message, bytes) and len(message) % 2:
            raise UsageError(
                f"{len(message)} bytes are no whole number of samples",
                todo="Send int16, little-endian, mono",
            )
        try:
            event = await do(message)
        except Misread:
            raise
        except TalkersError as error:
            await tell_error(socket, error)
            continue
        if event is not None:
            await socket.send_json(event)


def _done(session: LiveSession, rate: int, message: bytes | str) -> dict[str, Any] | None:
    """Do what one message says; the event that answers it."""
    if isinstance(message, bytes):
        push(session, rate, message)
        return None
    return commanded(session, read_json(COMMANDS, message))


def push(session: LiveSession, rate: int, message: bytes) -> None:
    """Say the sound of a message."""
    import numpy as np

    session.push_audio(np.frombuffer(message, "<i2").astype(np.int16, copy=False), rate)


def commanded(session: LiveSession, command: Command | SetCommand) -> dict[str, Any] | None:
    """Do what a command says; the event that answers it."""
    if isinstance(command, SetCommand):
        session.set(command.controls.controls())
    elif command.type == "interrupt":
        return {"type": "interrupted", "seconds": session.interrupt()}
    else:
        getattr(session, command.type)()  # flush, pause, resume or finish
    return None


async def received(socket: WebSocket) -> bytes | str:
    """The next message.

    Raises:
        WebSocketDisconnect: the client is gone.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", NORMAL))
    data: bytes | None = message.get("bytes")
    return message["text"] if data is None else data


async def tell_error(socket: WebSocket, error: BaseException) -> None:
    """Send an error as an event."""
    problem = error.problem if isinstance(error, Misread) else problem_of(error)
    await socket.send_json({"type": "error"} | problem.model_dump())
