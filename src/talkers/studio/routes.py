"""What the page's scripts ask: how far a visitor's jobs are, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Depends, Request, Response
from fastapi.responses import FileResponse

from talkers.server.door import is_same_origin
from talkers.server.jobs import Job
from talkers.server.problem import Refused
from talkers.server.routes import NO_STORE, view
from talkers.studio import training
from talkers.studio.studio import Studio
from talkers.studio.visitors import COOKIE, OWN, Visitor

router = APIRouter(prefix="/studio", include_in_schema=False)


def _studio(request: Request) -> Studio:
    found: Studio = request.app.state.studio
    return found


def _visitor(
    request: Request, secret: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> Visitor:
    """Who asks.

    Raises:
        Refused: no browser of the page's, or another site's page.
    """
    if not is_same_origin(request.headers):
        raise Refused(403, "pages of other sites may not use this page")
    return _studio(request).visitors.of(secret)


Here = Annotated[Studio, Depends(_studio)]
Me = Annotated[Visitor, Depends(_visitor)]


def own_job(here: Studio, me: Visitor, job_id: str) -> Job:
    """A job of a visitor.

    Raises:
        Refused: there is none: not for this visitor.
    """
    job = here.service.jobs.get(job_id)
    if job.owner != me.name:
        here.service.jobs.get("")  # says what it says of a job that never was
    return job


def shown(here: Studio, job: Job) -> dict[str, Any]:
    """How far a job is, for its owner."""
    return view(here.service, job).model_dump() | {
        "title": job.title,
        "pausable": job.pausable,
        "outcome": job.outcome,
        "results": sorted(job.results) if job.state == "done" else [],
    }


@router.get("/work")
def work(here: Here, me: Me, response: Response) -> dict[str, Any]:
    """A visitor's jobs, the newest first, and avatars."""
    here.uploads.tidy()
    training.find_left(here, me)
    response.headers.update(NO_STORE)
    jobs = here.service.jobs.of(me.name)
    return {
        "jobs": [shown(here, job) for job in reversed(jobs)],
        "avatars": list(me.avatars()),
        "ahead": here.service.jobs.count("waiting"),
    }


@router.post("/jobs/{job_id}/{verb}")
def change(here: Here, me: Me, job_id: str, verb: str) -> dict[str, Any]:
    """Pause a job, or let it go on.

    Raises:
        Refused: it cannot be.
    """
    job, jobs = own_job(here, me, job_id), here.service.jobs
    if verb not in ("pause", "resume"):
        raise Refused(404, "there is nothing here")
    (jobs.pause if verb == "pause" else jobs.resume)(job)
    return shown(here, job)


@router.delete("/jobs/{job_id}", status_code=204)
def remove(here: Here, me: Me, job_id: str) -> None:
    """End a job, and delete its files."""
    job = own_job(here, me, job_id)
    here.service.jobs.delete(job.id)
    training.discard(me, job)


@router.get("/jobs/{job_id}/files/{name}")
def file(here: Here, me: Me, job_id: str, name: str) -> FileResponse:
    """A file that a job has made.

    Raises:
        Refused: there is none of that name.
    """
    job = own_job(here, me, job_id)
    path = job.folder / Path(name).name
    if name not in job.results or not path.is_file():
        raise Refused(404, "this job has no such file")
    return FileResponse(path, headers=NO_STORE)


@router.get("/jobs/{job_id}/training")
def training_state(here: Here, me: Me, job_id: str) -> dict[str, Any]:
    """Curves and montages of a training."""
    return training.state_of(me, own_job(here, me, job_id))


@router.get("/jobs/{job_id}/montages/{name}")
def montage(here: Here, me: Me, job_id: str, name: str) -> FileResponse:
    """A montage of a training.

    Raises:
        Refused: there is none of that name.
    """
    path = training.montages(me, own_job(here, me, job_id)).get(name)
    if path is None:
        raise Refused(404, "this training has no such picture")
    return FileResponse(path, headers=NO_STORE)


@router.get("/avatars/{name}/preview")
def preview(here: Here, me: Me, name: str) -> FileResponse:
    """What an avatar looks like: a visitor's, or one of the server's.

    Raises:
        Refused: there is none of that name, or nobody knows.
    """
    own, avatars = name.removeprefix(OWN), here.service.avatars
    folder = me.avatars().get(own) if name.startswith(OWN) else None
    if folder is None and name in avatars:
        folder = avatars[name].folder
    if folder is None or not (folder / "preview.png").is_file():
        raise Refused(404, "there is no picture of this avatar")
    return FileResponse(folder / "preview.png", headers=NO_STORE)


@router.delete("/avatars/{name}", status_code=204)
def remove_avatar(here: Here, me: Me, name: str) -> None:
    """Delete an avatar of a visitor."""
    folder = me.avatars().get(name)
    me.delete_avatar(name)
    if folder is not None:
        here.visitors.forget(folder)
