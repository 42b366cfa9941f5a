"""What browsers may ask of the page's library, and what they are told to leave alone.

Gradio brings much that this page does not use: proxies, monitoring, editing by a chat, histories
that are sent to a hub. Only what the page needs is let through. A policy (CSP) keeps the browser
from fetching anything elsewhere, and uploads are shown to those alone who sent them.
"""

from __future__ import annotations

import json
import logging
import re
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from talkers.errors import TalkersError
from talkers.server.door import is_same_origin
from talkers.server.problem import Problem, status_of
from talkers.studio.uploads import Uploads
from talkers.studio.visitors import COOKIE, SECRET, Visitors, new_secret

API = "/gradio_api"
READ = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte)/.+"
    rf"|{API}/(theme\.css|app_id|info|startup-events|queue/data|upload_progress|heartbeat/\w+)"
    rf"|{API}/file=(?P<file>.+)"
)
WRITTEN = re.compile(rf"{API}/(upload|queue/join|cancel|reset)/?")
YEAR = 365 * 24 * 3_600  # seconds
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio's templates
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
log = logging.getLogger(__name__)
TOO_FULL = "The server has no room for this file. Try a smaller one, or try again later."


def secret_of(headers: Headers) -> str | None:
    """The secret that a browser sends; None: it has none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None and SECRET.fullmatch(found.value) else None


class Gate:
    """Stands before gradio's application.

    Args:
        app: gradio's.
        visitors: who comes.
        uploads: what they sent.
    """

    def __init__(self, app: ASGIApp, visitors: Visitors, uploads: Uploads):
        self.app, self.visitors, self.uploads = app, visitors, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            refused = self._refusal(scope, headers)
        except TalkersError as error:  # what uploads are answered with is shown as it is
            await PlainTextResponse(str(error), status_of(error))(scope, receive, send)
            return
        if refused is not None:
            await refused(scope, receive, send)
            return
        secret = secret_of(headers)
        if _path(scope).startswith(f"{API}/upload") and scope["method"] == "POST":
            await self._upload(scope, receive, send, secret)
        else:
            await self.app(scope, receive, _with_headers(send, secret))

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """The answer to a request that goes no further.

        Raises:
            Refused: who asks has no secret, or has sent too much.
        """
        path, method = _path(scope), scope["method"]
        reads = READ.fullmatch(path) if method in ("GET", "HEAD") else None
        if reads is None and not (method == "POST" and WRITTEN.fullmatch(path)):
            return _answer(404, Problem(what="there is nothing here", todo="Begin at /"))
        file = reads["file"] if reads is not None else None
        if path == "/" or (reads is not None and file is None):
            return None
        visitor = self.visitors.of(secret_of(headers)).name
        if file is not None and not self.uploads.owns(visitor, unquote(file)):
            return _answer(404, Problem(what="there is no such file"))
        if not is_same_origin(headers):
            return _answer(403, Problem(what="pages of other sites may not use this page"))
        if path.startswith(f"{API}/upload"):
            self.uploads.refuse_more(visitor)
        return None

    async def _upload(self, scope: Scope, receive: Receive, send: Send, secret: str | None) -> None:
        """Let an upload through, and note whose it is before its sender is answered."""
        visitor, held, body = self.visitors.of(secret).name, list[Message](), b""

        async def noted(message: Message) -> None:
            nonlocal body
            held.append(message)
            body += message.get("body", b"")
            if message["type"] != "http.response.body" or message.get("more_body"):
                return
            if held[0]["status"] >= 500:  # it is answered below
                return
            if held[0]["status"] == 200:
                self.uploads.add(visitor, json.loads(body))
            for one in held:
                await send(one)
            held.clear()

        try:
            await self.app(scope, receive, noted)
        except ClientDisconnect:
            return
        except OSError as error:
            log.warning("an upload could not be kept: %s", error)
        if held:
            await PlainTextResponse(TOO_FULL, 507)(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path of a request."""
    return str(scope["path"])


def _answer(status: int, problem: Problem) -> JSONResponse:
    return JSONResponse(problem.model_dump(), status)


def _with_headers(send: Send, secret: str | None) -> Send:
    """Answers with the policy; a browser without a secret gets one."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = POLICY
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            if secret is None and headers.get("content-type", "").startswith("text/html"):
                headers.append(
                    "Set-Cookie",
                    f"{COOKIE}={new_secret()}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Strict",
                )
        await send(message)

    return sent
