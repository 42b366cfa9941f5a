"""The HTTP API."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Response, UploadFile
from fastapi.requests import HTTPConnection
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, Field

from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.server.forms import ControlsForm, SayForm, Seed, TermsForm, read_json
from talkers.server.jobs import Job, State
from talkers.server.problem import Problem, Refused
from talkers.server.service import Service
from talkers.server.work import (
    DubOrder,
    SpeakOrder,
    refuse_unusable,
    refuse_unusable_film,
    require,
)
from talkers.version import __version__

NO_STORE = {"Cache-Control": "no-store"}
REFUSALS: dict[int | str, dict[str, Any]] = {
    413: {"model": Problem, "description": "The request is too large."},
    422: {"model": Problem, "description": "A field or a file cannot be used."},
    501: {"model": Problem, "description": "This server lacks what that needs."},
    503: {"model": Problem, "description": "Too much waits already."},
}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such job."}
}
AvatarName = Annotated[
    str | None, Form(description="One of those that /health lists; the first where it is left out.")
]
ControlsText = Annotated[
    str, Form(description='JSON of controls, such as {"blinks": 12, "pose": "still"}.')
]
router = APIRouter()


def service_of(connection: HTTPConnection) -> Service:
    """The service behind a request."""
    found: Service = connection.app.state.service
    return found


Here = Annotated[Service, Depends(service_of)]


class Health(BaseModel):
    """How the server is."""

    ok: bool
    version: str
    avatars: list[str] = Field(description="Names; the first is meant where none is named.")
    sessions: int = Field(description="Live sessions that are open.")
    max_sessions: int
    queue: int = Field(description="Jobs that wait.")
    max_queue: int


class JobView(BaseModel):
    """How far a job is."""

    id: str = Field(description="Whoever knows it may have the video.")
    kind: str = Field(description="speak, say or dub.")
    state: State
    stage: str = Field(description="What is done now.")
    progress: float = Field(description="0 to 1.")
    seconds_left: float | None = Field(description="An estimate, while it runs.")
    seconds: float = Field(description="Length of the video.")
    kept_for: float | None = Field(description="Seconds until a job that has ended is deleted.")
    error: Problem | None
    notes: list[str] = Field(description="What was chosen while the files were read.")


def view(service: Service, job: Job) -> JobView:
    """How far a job is."""
    return JobView(
        id=job.id,
        kind=job.kind,
        state=job.state,
        stage=job.stage,
        progress=round(job.progress, 4),
        seconds_left=service.jobs.left(job),
        seconds=job.seconds,
        kept_for=service.jobs.expires(job),
        error=job.problem,
        notes=job.notes,
    )


def keep(upload: UploadFile, folder: Path, name: str) -> Path:
    """Put an uploaded file into a job's folder, under a name of ours."""
    with (folder / name).open("xb") as file:
        shutil.copyfileobj(upload.file, file)
    return folder / name


@router.get("/health")
def health(here: Here) -> Health:
    """How the server is, and what it has."""
    return Health(
        ok=True,
        version=__version__,
        avatars=list(here.avatars),
        sessions=here.sessions,
        max_sessions=here.limits.sessions,
        queue=here.jobs.count("waiting"),
        max_queue=here.limits.queue,
    )


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(here: Here) -> Response:
    """What the server counts, in the text format of Prometheus."""
    return Response(here.metrics.text(here.jobs), media_type="text/plain; version=0.0.4")


@router.post("/speak", status_code=202, responses=REFUSALS)
def speak(
    here: Here,
    speech: Annotated[UploadFile, "Any file with speech in it."],
    avatar: AvatarName = None,
    controls: ControlsText = "{}",
    seed: Annotated[Seed, Form()] = 0,
) -> JobView:
    """Let an avatar say what a sound file says. Answers with a job at once."""
    _, chosen = here.avatar(avatar)
    wanted = read_json(ControlsForm, controls).controls()
    order = SpeakOrder(chosen, here.checked(chosen, wanted, seed), seed, here.limits)
    with here.jobs.admitted("speak") as job:
        path = keep(speech, job.folder, "speech")
        refuse_unusable(path, here.limits)
        job.work = lambda job: order.speak(job, path)
    return view(here, job)


@router.post("/say", status_code=202, responses=REFUSALS)
def say(here: Here, form: SayForm) -> JobView:
    """Let an avatar say a text, with a local voice. Answers with a job at once."""
    require("piper", "saying text", "say")
    from talkers.speech.voices import VOICES

    if form.voice not in VOICES:
        raise UsageError(
            f"there is no voice {form.voice[:60]!r}", todo=f"Use one of {', '.join(VOICES)}"
        )
    if not 0 < len(form.text.strip()) <= here.limits.characters:
        raise UsageError(
            f"a text of {len(form.text.strip())} characters was given",
            todo=f"Give 1 to {here.limits.characters}",
        )
    _, chosen = here.avatar(form.avatar)
    wanted = here.checked(chosen, form.controls.controls(), form.seed)
    order = SpeakOrder(chosen, wanted, form.seed, here.limits)
    with here.jobs.admitted("say") as job:
        job.work = lambda job: order.say(job, form)
    return view(here, job)


@router.post("/dub", status_code=202, responses=REFUSALS)
def dub(
    here: Here,
    film: Annotated[UploadFile, "A video of a face."],
    speech: Annotated[UploadFile, "Any file with speech in it."],
    consent: Annotated[
        str, Form(description="Who agreed to be shown saying other words, in a sentence.")
    ],
    terms: Annotated[str, Form(description='JSON, such as {"when_longer": "freeze"}.')] = "{}",
) -> JobView:
    """Let a film say other words; only the lips change. Answers with a job at once."""
    if not consent.strip():
        raise UsageError(
            "nobody is said to have agreed to be shown saying other words",
            todo="Say who agreed to what in the field consent",
        )
    require("mediapipe", "dubbing", "prepare")
    form: TermsForm = read_json(TermsForm, terms)
    Controls(amplitude=form.amplitude)  # refuses what is out of range
    order = DubOrder(here.base, form.terms(), form.amplitude, here.limits)
    with here.jobs.admitted("dub") as job:
        paths = keep(film, job.folder, "film"), keep(speech, job.folder, "speech")
        refuse_unusable_film(paths[0], here.limits)
        refuse_unusable(paths[1], here.limits)
        job.work = lambda job: order.dub(job, *paths)
    return view(here, job)


@router.get("/jobs/{job_id}", responses=UNKNOWN)
def job_state(here: Here, job_id: str, response: Response) -> JobView:
    """How far a job is."""
    response.headers.update(NO_STORE)
    return view(here, here.jobs.get(job_id))


@router.get(
    "/jobs/{job_id}/video",
    response_class=FileResponse,
    responses=UNKNOWN
    | {
        200: {"content": {"video/mp4": {}}, "description": "The video, marked and signed."},
        409: {"model": Problem, "description": "It is not done."},
    },
)
def job_video(here: Here, job_id: str) -> FileResponse:
    """The video of a job that is done."""
    job = here.jobs.get(job_id)
    if job.state == "done" and not job.video.exists():
        raise Refused(409, "this job makes no video")
    if job.state != "done":
        raise Refused(
            409,
            "this job has failed" if job.state == "failed" else "this job is not done yet",
            todo="Ask for its state; it tells more",
        )
    return FileResponse(job.video, media_type="video/mp4", filename="talkers.mp4", headers=NO_STORE)


@router.delete("/jobs/{job_id}", status_code=204, responses=UNKNOWN)
def job_delete(here: Here, job_id: str) -> None:
    """End a job, and delete all of its files."""
    here.jobs.delete(job_id)
