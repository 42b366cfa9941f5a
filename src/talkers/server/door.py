"""Who may come in, and with how much: checked before a request is read.

A page on the internet can let a browser send requests and open WebSockets to this machine. Its
`Origin` tells; and a foreign name that was pointed at this machine stands in `Host`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from talkers.server.limits import Limits
from talkers.server.metrics import Metrics
from talkers.server.problem import Problem

POLICY_VIOLATION = 1008  # code of WebSocket


class Door:
    """The outermost layer of the application.

    Args:
        app: what is behind it.
        limits: of a request's size.
        metrics: count the answers.
        only_local: whether requests must be addressed to this machine by a name of its own.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, only_local: bool):
        self.app, self.limits, self.metrics, self.only_local = app, limits, metrics, only_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            if refused is None:
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        try:
            if refused is None:
                await self.app(scope, self._bounded(receive), counted)
            else:
                code, problem = refused
                await JSONResponse(problem.model_dump(), code)(scope, receive, counted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(path, str(status)).inc()

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, Problem] | None:
        """Why a request may not come in, and the status that says so."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        host = headers.get("host", "")
        if self.only_local and not is_loopback(_name(f"//{host}")):
            return 403, Problem(
                what="this server is there for this machine alone",
                todo="Call it 127.0.0.1 or localhost",
            )
        origin = headers.get("origin")
        foreign = origin is not None and origin.partition("//")[2] != host
        if foreign and not is_loopback(_name(origin or "")):
            return 403, Problem(
                what="pages of other sites may not use this server",
                todo="Let a program of your own pass the request on",
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.upload:
            return 413, self._too_large
        return None

    @property
    def _too_large(self) -> Problem:
        return Problem(
            what=f"this request is larger than {self.limits.upload / 1e6:g} MB",
            todo="Send a shorter or a more compressed file",
        )

    def _bounded(self, receive: Receive) -> Receive:
        """Takes no more of a request than may come; some do not say how long they are."""
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limits.upload:
                raise HTTPException(413, self._too_large.model_dump())  # type: ignore[arg-type]
            return message

        return bounded


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens at a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of this server, or from no page at all."""
    origin = headers.get("origin")
    return origin is None or origin.partition("//")[2] == headers.get("host", "")


def _name(address: str) -> str:
    """The host of an address, without its port; empty if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
