"""The page with a live face, and its files: they come with the package, and nothing from elsewhere.

A page that is loaded over plain HTTP from another machine gets no microphone: browsers ask for
HTTPS there.
"""

from __future__ import annotations

import mimetypes
from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response

from talkers.server.problem import Refused
from talkers.server.rtc import SYNTHETIC, Rtc, add_rtc

FOLDER = Path(__file__).parent / "web"
FILES = ("live.css", "live.js", "link.js", "sound.js", "icon.svg")
POLICY = {  # only files of this server, which nobody may show within a page of his own
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob: mediastream:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
router = APIRouter(include_in_schema=False)


def add_page(app: FastAPI, rtc: Rtc) -> None:
    """Let an application show the page at /.

    Args:
        app: from `make_app`.
        rtc: the faces that the page shows.
    """
    add_rtc(app, rtc)
    app.include_router(router)


@cache
def _content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@router.get("/")
def index() -> Response:
    """The page."""
    return Response(_content("index.html"), media_type="text/html", headers=POLICY | SYNTHETIC)


@router.get("/web/{name}")
def file(name: str) -> Response:
    """One of its files.

    Raises:
        Refused: there is none of that name.
    """
    if name not in FILES:
        raise Refused(404, "there is no such file")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(_content(name), media_type=kind, headers=POLICY)
