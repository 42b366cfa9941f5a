"""talkers serve: avatars for other programs, over HTTP and WebSocket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from talkers.cli.app import app
from talkers.cli.avatars import speaking_avatar
from talkers.cli.console import remark, tell
from talkers.errors import MissingComponent, UsageError
from talkers.progress import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI


@dataclass(frozen=True)
class LimitOptions:
    """How much the server takes on."""

    sessions: int = 2
    """Live faces at the same time."""
    queue: int = 8
    """Jobs that wait."""
    upload: float = 200.0
    """Megabytes of one request."""
    length: str = "10m"
    """Of speech or film in one job, such as 90s or 10m."""
    keep: str = "1h"
    """After how long the result of a job is deleted."""


@app.command
def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    avatar: tuple[str, ...] = ("default",),
    consent: str | None = None,
    studio: bool = True,
    folder: Path | None = None,
    limits: Annotated[LimitOptions, arg(name="")] = LimitOptions(),
) -> None:
    """Let people and other programs use avatars: a page, an HTTP API, live faces over a WebSocket.

    For example: talkers serve, or talkers serve --avatar ann/ bob/ --port 8000

    Args:
        host: Where to listen. Without it only programs of this machine reach the server.
        port: Where to listen; 0 takes any that is free.
        avatar: Folders of avatars, photos, default or mock. Clients call them by the folder's or
            the photo's name; the first is meant where none is named.
        consent: Who agreed to be shown, where an avatar is a photo.
        studio: Whether there is a page for people at /, the studio.
        folder: Where the studio keeps visitors' avatars and trainings (default:
            ~/.local/share/talkers/studio).
        limits: How much it takes on.
    """
    from talkers.server.limits import Limits
    from talkers.server.run import bound, refuse_missing
    from talkers.server.run import serve as run

    refuse_missing()
    from talkers.server.door import is_loopback

    taken = Limits(
        round(limits.upload * 1e6),
        parse_duration(limits.length),
        queue=limits.queue,
        sessions=limits.sessions,
        keep=parse_duration(limits.keep),
    )
    named = names_of(avatar)
    with bound(host, port) as listening:
        avatars = {name: speaking_avatar(given, consent) for name, given in named.items()}
        local, where = is_loopback(host), listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        if not local:
            remark(
                f"warning: whoever reaches {host} can use this server. It asks for no password "
                "and encrypts nothing: put a proxy before it that does."
            )

        page = _studio(folder) if studio else None
        if page is not None:
            remark(f"The studio, a page for people, is at the same address: http://{shown}:{where}")

        def begun() -> None:
            tell(f"talkers serves {', '.join(avatars)} at http://{shown}:{where}; Ctrl-C ends it.")

        try:
            run(avatars, taken, listening, local, begun, page or (lambda app: None))
        except KeyboardInterrupt:  # the usual way to end it
            remark("The server has ended; nothing of its jobs is left.")


def names_of(avatars: tuple[str, ...]) -> dict[str, str]:
    """What clients call avatars -> what the command line calls them.

    Raises:
        UsageError: there is none, or two have one name.
    """
    named = {Path(name).stem if Path(name).is_file() else Path(name).name: name for name in avatars}
    if not named or len(named) < len(avatars) or "" in named:
        raise UsageError(
            "the avatars' names do not tell them apart",
            todo="Name one or more folders, each with another name",
        )
    return named


def _studio(folder: Path | None) -> Callable[[FastAPI], None] | None:
    """What puts the studio into the application; None where it is not installed, which is said."""
    from talkers.studio.mount import mount_studio, refuse_missing

    try:
        refuse_missing()
    except MissingComponent as error:
        remark(f"note: there is an API and no page for people: {error}")
        return None
    return lambda app: mount_studio(app, folder)
