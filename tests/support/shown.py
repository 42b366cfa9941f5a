"""A server with a page for live faces, in a thread of this process, and what is seen of its faces."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import uvicorn

from talkers.runtime.avatar import Avatar
from talkers.server.app import make_app
from talkers.server.limits import Limits
from talkers.server.page import add_page
from talkers.server.rtc import Rtc
from talkers.server.run import MAX_MESSAGE, bound
from talkers.server.service import Service
from talkers.server.talking import TalkMaker


class LiveServer:
    """A server at a port of its own.

    Args:
        avatars: by name.
        limits: of what it takes on.
        port: 0: any that is free.
        talker: lets its faces answer.
    """

    def __init__(
        self,
        avatars: Mapping[str, Avatar],
        limits: Limits,
        port: int = 0,
        talker: TalkMaker | None = None,
    ):
        self._avatars, self._limits, self.port, self._talker = avatars, limits, port, talker
        self.service: Service

    def __enter__(self) -> LiveServer:
        listening: socket.socket = bound("127.0.0.1", self.port)
        self.port = listening.getsockname()[1]
        app = make_app(self._avatars, self._limits)
        add_page(app, Rtc(talker=self._talker))
        self.service = app.state.service
        config = uvicorn.Config(
            app, log_level="warning", timeout_graceful_shutdown=3, ws_max_size=MAX_MESSAGE
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listening]}, name="live server"
        )
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> str:
        """What it answers, as text."""
        with urllib.request.urlopen(self.url + path) as answer:
            return str(answer.read().decode())
