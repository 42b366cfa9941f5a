"""The application: HTTP, WebSocket, and every error as a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from talkers.errors import TalkersError
from talkers.runtime.avatar import Avatar
from talkers.server import live, routes
from talkers.server.door import Door
from talkers.server.forms import Misread
from talkers.server.limits import Limits
from talkers.server.problem import Problem, problem_of, problem_of_fields, status_of
from talkers.server.service import Service
from talkers.version import __version__

ABOUT = """Avatars that say things. Everything that comes out was made by a machine, is marked in
its frames, and as a file is signed. A job is asked for with POST, watched with `GET /jobs/{id}`
and fetched with `GET /jobs/{id}/video`. Live faces speak the WebSocket `/live`. Every error is an
object with `what`, `why` and `todo`."""


def make_app(
    avatars: Mapping[str, Avatar], limits: Limits | None = None, only_local: bool = True
) -> FastAPI:
    """The application of one server.

    Args:
        avatars: by the names that clients call them; the first is meant where none is named.
        limits: of what it takes on.
        only_local: refuse what is addressed to any other machine than this.

    Raises:
        UsageError: no avatar is given.
    """
    service = Service(avatars, limits or Limits())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(service.jobs.close)

    app = FastAPI(
        title="talkers",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # its page would fetch scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(routes.router)
    app.include_router(live.router)
    app.add_middleware(Door, limits=service.limits, metrics=service.metrics, only_local=only_local)
    app.add_exception_handler(TalkersError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(Exception, _answer)
    return app


def _answer(_request: Request, error: Exception) -> JSONResponse:
    """An error as JSON."""
    headers: dict[str, str] = {}
    if isinstance(error, RequestValidationError):
        status, problem = int(HTTPStatus.UNPROCESSABLE_ENTITY), problem_of_fields(error)
    elif isinstance(error, Misread):
        status, problem = int(HTTPStatus.UNPROCESSABLE_ENTITY), error.problem
    elif isinstance(error, HTTPException):
        status, detail = error.status_code, error.detail
        headers.update(error.headers or {})
        given = detail if isinstance(detail, dict) else {"what": str(detail).lower()}
        problem = Problem(**given)
    else:
        status, problem = status_of(error), problem_of(error)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "60"
    return JSONResponse(problem.model_dump(), status, headers)
