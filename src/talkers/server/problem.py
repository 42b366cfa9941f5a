"""What went wrong, as the server answers it: never with a path of its machine."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from talkers.errors import (
    ArtefactError,
    MediaError,
    MissingComponent,
    ResourceError,
    TalkersError,
    UsageError,
    out_of_memory,
    shown,
)

# what uploaded files are called in a job's folder
UPLOADS = ("speech", "film", "photo", "pose", "style", "first", "second")
PATH = re.compile(r"(?<![\w<.:/])(?:[A-Za-z]:)?[/\\][^\s'\"`,;()]+")
STATUS: tuple[tuple[type[TalkersError], int], ...] = (  # the first that fits
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (MediaError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ArtefactError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (MissingComponent, HTTPStatus.NOT_IMPLEMENTED),
    (ResourceError, HTTPStatus.SERVICE_UNAVAILABLE),
)
log = logging.getLogger(__name__)


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    what: str = Field(description="What happened.")
    where: str | None = Field(default=None, description="The field or the file of the request.")
    why: str | None = Field(default=None, description="The cause, where it is known.")
    todo: str | None = Field(default=None, description="What to do next.")


class Refused(TalkersError):
    """The server does not do what was asked.

    Args:
        status: of HTTP.
        what, why, todo: as in `TalkersError`.
    """

    def __init__(self, status: int, what: str, *, why: str | None = None, todo: str | None = None):
        super().__init__(what, why=why, todo=todo)
        self.status = int(status)


def status_of(error: BaseException) -> int:
    """The status of HTTP that an error is answered with."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, TalkersError):
        return next((int(s) for kind, s in STATUS if isinstance(error, kind)), 500)
    return 503 if out_of_memory(error) else 500


def problem_of(error: BaseException) -> Problem:
    """An error as it is told to a client. What is no error of a user's goes to the log.

    Args:
        error: of any kind.
    """
    if isinstance(error, TalkersError):
        name = "" if error.where is None else Path(str(error.where)).name
        return Problem(
            what=without_paths(error.what),
            where=name if name in UPLOADS else None,
            why=None if error.why is None else without_paths(error.why),
            todo=None if error.todo is None else without_paths(error.todo),
        )
    if out_of_memory(error):
        return Problem(what="the server's memory is used up", todo="Try again later")
    log.error("internal fault", exc_info=error)
    return Problem(
        what="the server met an internal fault", todo="Try again; its log tells what happened"
    )


def without_paths(text: str) -> str:
    """A sentence in which no file of this machine is named."""
    return PATH.sub("a file", shown(text))


def problem_of_fields(error: ValidationError | Any) -> Problem:
    """What pydantic or FastAPI found wrong with a request.

    Args:
        error: has `errors()`.
    """
    first = error.errors()[0]
    parts = [str(p) for p in first.get("loc", ()) if p not in ("body", "query", "path")]
    what: str = first["msg"]
    if first["type"] == "string_pattern_mismatch":
        what = "this has none of the known forms"  # the pattern itself says little
    elif what[1:2].islower():
        what = what[0].lower() + what[1:]
    return Problem(
        what=what,
        where=".".join(parts)[:100] or None,
        todo="See /openapi.json for what this takes",
    )
