"""talkers live: a face in a browser that says what is spoken, played or typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from talkers.cli.app import app
from talkers.cli.avatars import speaking_avatar
from talkers.cli.console import remark, tell
from talkers.cli.serve import names_of
from talkers.errors import UsageError

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar
    from talkers.server.talking import TalkMaker


@dataclass(frozen=True)
class PageOptions:
    """Where a page with a live face is, and who reaches it."""

    host: str = "127.0.0.1"
    """Where to listen. Without it only browsers of this machine reach the page."""
    port: int = 7860
    """Where to listen; 0 takes any that is free."""
    sessions: int = 2
    """Faces that are shown at the same time; one more viewer is refused."""
    ice_server: tuple[str, ...] = ()
    """STUN and TURN servers, for viewers in other networks: stun:HOST:PORT or
    turn:USER:PASSWORD@HOST:PORT."""
    certificate: Path | None = None
    """PEM file for HTTPS: without it browsers of other machines give no microphone."""
    key: Path | None = None
    """PEM file with the certificate's key."""


@app.command
def live(
    avatar: tuple[str, ...] = ("default",),
    consent: str | None = None,
    page: Annotated[PageOptions, arg(name="")] = PageOptions(),
) -> None:
    """Show a live face in a browser: it says what you speak, play or type, while you do.

    For example: talkers live, or talkers live --avatar ann/ bob/ --sessions 1. For a face that
    answers, see talkers chat.

    Args:
        avatar: Folders of avatars, photos, default or mock. The page lets people choose.
        consent: Who agreed to be shown, where an avatar is a photo.
        page: Where the page is, and who reaches it.
    """
    named = names_of(avatar)

    def avatars() -> dict[str, Avatar]:
        return {name: speaking_avatar(given, consent) for name, given in named.items()}

    show_page(avatars, page)


def show_page(
    avatars: Callable[[], Mapping[str, Avatar]],
    options: PageOptions,
    talker: Callable[[Mapping[str, Avatar]], TalkMaker] | None = None,
) -> None:
    """Show live faces in browsers until a signal ends it.

    Args:
        avatars: gives them, by name; called when the address can be had.
        options: where the page is, and who reaches it.
        talker: gives what lets these avatars answer; without it they say what they are given.

    Raises:
        TalkersError: the page cannot be shown.
    """
    from talkers.server.run import refuse_missing

    refuse_missing(live=True)
    from talkers.server.door import is_loopback
    from talkers.server.limits import Limits
    from talkers.server.page import add_page
    from talkers.server.rtc import Rtc
    from talkers.server.rtc_peer import ice_server_of, use_address
    from talkers.server.run import Certificate, bound, serve

    servers = tuple(map(ice_server_of, options.ice_server))
    limits = Limits(sessions=options.sessions)
    if (options.certificate is None) != (options.key is None):
        raise UsageError(
            "HTTPS needs a certificate and its key", todo="Name both: --certificate and --key"
        )
    tls = None
    if options.certificate is not None and options.key is not None:
        tls = Certificate(options.certificate, options.key)
        tls.check()
    with bound(options.host, options.port) as listening:
        shown = avatars()
        local, (address, port) = is_loopback(options.host), listening.getsockname()[:2]
        if not local:
            remark(
                f"warning: whoever reaches {options.host} can see and use this face. The page asks "
                "for no password" + ("." if tls else " and encrypts nothing but picture and sound.")
            )
        rtc = Rtc(servers, local, talker=talker(shown) if talker else None)

        def begun() -> None:
            host = f"[{options.host}]" if ":" in options.host else options.host
            address = f"{'https' if tls else 'http'}://{host}:{port}"
            does = "talk with" if talker else "see"
            tell(f"Open {address} to {does} {', '.join(shown)}; Ctrl-C ends it.")

        use_address(address)
        try:
            serve(shown, limits, listening, local, begun, partial(add_page, rtc=rtc), tls)
        except KeyboardInterrupt:  # the usual way to end it
            remark("The page has ended; nothing of its sessions is left.")
