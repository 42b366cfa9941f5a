"""talkers live: a face in a browser that says what is spoken, played or typed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from talkers.cli.app import app
from talkers.cli.avatars import speaking_avatar
from talkers.cli.console import remark, tell
from talkers.cli.serve import names_of
from talkers.errors import UsageError


@app.command
def live(
    host: str = "127.0.0.1",
    port: int = 7860,
    avatar: tuple[str, ...] = ("default",),
    consent: str | None = None,
    sessions: int = 2,
    ice_server: tuple[str, ...] = (),
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Show a live face in a browser: it says what you speak, play or type, while you do.

    For example: talkers live, or talkers live --avatar ann/ bob/ --sessions 1

    Args:
        host: Where to listen. Without it only browsers of this machine reach the page.
        port: Where to listen; 0 takes any that is free.
        avatar: Folders of avatars, photos, default or mock. The page lets people choose.
        consent: Who agreed to be shown, where an avatar is a photo.
        sessions: Faces that are shown at the same time; one more viewer is refused.
        ice_server: STUN and TURN servers, for viewers in other networks: stun:HOST:PORT or
            turn:USER:PASSWORD@HOST:PORT.
        certificate: PEM file for HTTPS: without it browsers of other machines give no microphone.
        key: PEM file with the certificate's key.
    """
    from talkers.server.limits import Limits
    from talkers.server.run import Certificate, bound, refuse_missing
    from talkers.server.run import serve as run

    refuse_missing(live=True)
    from talkers.server.door import is_loopback
    from talkers.server.page import add_page
    from talkers.server.rtc import Rtc
    from talkers.server.rtc_peer import ice_server_of, use_address

    servers, limits = tuple(map(ice_server_of, ice_server)), Limits(sessions=sessions)
    if (certificate is None) != (key is None):
        raise UsageError(
            "HTTPS needs a certificate and its key", todo="Name both: --certificate and --key"
        )
    tls = None if certificate is None or key is None else Certificate(certificate, key)
    if tls is not None:
        tls.check()
    named = names_of(avatar)
    with bound(host, port) as listening:
        avatars = {name: speaking_avatar(given, consent) for name, given in named.items()}
        local, (address, where) = is_loopback(host), listening.getsockname()[:2]
        if not local:
            remark(
                f"warning: whoever reaches {host} can see and use this face. The page asks for no "
                "password" + ("." if tls else " and encrypts nothing but picture and sound.")
            )

        def begun() -> None:
            shown, scheme = f"[{host}]" if ":" in host else host, "https" if tls else "http"
            tell(f"Open {scheme}://{shown}:{where} to see {', '.join(avatars)}; Ctrl-C ends it.")

        use_address(address)
        rtc = Rtc(servers, local)
        try:
            run(avatars, limits, listening, local, begun, partial(add_page, rtc=rtc), tls)
        except KeyboardInterrupt:  # the usual way to end it
            remark("The page has ended; nothing of its sessions is left.")
