"""Run the server until it is told to end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from talkers.errors import ResourceError, UsageError, missing, reason
from talkers.runtime.avatar import Avatar
from talkers.server.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI

MAX_MESSAGE = 1 << 20  # bytes of a message of a WebSocket
MAX_CONNECTIONS = 512  # a browser holds up to six
ENDING_SECONDS = 5  # that answers may still take when the server ends


class Certificate(NamedTuple):
    """What HTTPS needs.

    Attributes:
        certificate: file with it, PEM, and with those of who issued it.
        key: file with its key, PEM.
    """

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raises UsageError: the files are none, or do not belong together."""
        for path in self:
            if not path.is_file():
                raise UsageError("there is no such file", where=path, todo="Name a PEM file")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                self.certificate, self.key, password=lambda: ""
            )
        except (OSError, ValueError) as error:
            raise UsageError(
                "this is no certificate with its key",
                where=self.certificate,
                why=reason(error),
                todo="Name PEM files that belong together, the key without a password",
            ) from error


def refuse_missing(live: bool = False) -> None:
    """Raises MissingComponent: one of the packages that a server needs is not installed.

    Args:
        live: whether it shows live faces in browsers.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401 - fastapi's, for uploads
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401 - uvicorn's, for live faces

        if live:
            import aiortc  # noqa: F401
    except ImportError as error:
        what, extra = ("a live face", "live") if live else ("serving", "serve")
        raise missing(what, extra, error) from error


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address of this machine.
        port: 0: any that is free.

    Raises:
        UsageError: there is no such port. ResourceError: it cannot be had.
    """
    if not 0 <= port < 2**16:  # the system would take another one
        raise UsageError(f"there is no port {port}", todo="Use 1 to 65535, or 0 for any")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
    except OSError as error:
        raise _unreachable(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise _unreachable(host, port, error) from error
    return listening


def _unreachable(host: str, port: int, error: Exception) -> ResourceError:
    why = getattr(error, "strerror", None) or reason(error)
    return ResourceError(
        f"nothing can listen at {host}, port {port}",
        why=why[:1].lower() + why[1:],
        todo="Choose another with --host and --port",
    )


def serve(
    avatars: Mapping[str, Avatar],
    limits: Limits,
    listening: socket.socket,
    only_local: bool,
    begun: Callable[[], None] = lambda: None,
    extend: Callable[[FastAPI], None] = lambda app: None,
    certificate: Certificate | None = None,
) -> None:
    """Serve until a signal ends it.

    Args:
        avatars, limits, only_local: see `make_app`.
        listening: from `bound`.
        begun: called just before.
        extend: adds what else the application serves, such as the studio.
        certificate: for HTTPS.
    """
    import uvicorn

    from talkers.server.app import make_app

    app = make_app(avatars, limits, only_local)
    try:
        extend(app)
    except BaseException:
        app.state.service.jobs.close()
        raise
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        ws_max_size=MAX_MESSAGE,
        ws_per_message_deflate=False,  # pictures do not shrink
        timeout_graceful_shutdown=ENDING_SECONDS,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    try:
        begun()
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        app.state.service.jobs.close()  # it never began, or ended in haste
