"""A training as a job: paused, gone on with, found again, removed; its process is a stand-in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra studio is not installed")

from served import wait_for
from talkers.errors import UsageError
from talkers.runtime.avatar import Avatar
from talkers.server.limits import Limits
from talkers.server.problem import Refused
from talkers.server.service import Service
from talkers.studio import training
from talkers.studio.studio import Studio
from talkers.studio.uploads import Uploads
from talkers.studio.visitors import Visitor, Visitors, new_secret

STAND_IN = """
import json, shutil, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
kept, problem = folder / "kept", folder / "footage" / "1-bad.mp4"
def end(*_): kept.write_text("a checkpoint"); sys.exit(130)
signal.signal(signal.SIGTERM, end)
if problem.exists():
    (folder / "problem.json").write_text(json.dumps({"what": "no face is seen", "todo": "Film anew"}))
    sys.exit(3)
(folder / "progress.json").write_text(json.dumps({"stage": "training codec", "share": 0.5}))
if not kept.exists():
    time.sleep(60)
shutil.copytree(sys.argv[2], folder / "avatar")
(folder / "avatar" / "preview.png").write_bytes(b"a picture")
"""
ABOUT = {"consent": "I, Ada, agree", "recipe": "tiny", "budget": 60.0}


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    mock = str(Avatar.load("mock").folder)
    # the studio gives the folder last
    run = f"import runpy, sys; sys.argv = [sys.argv[0], sys.argv[1], {mock!r}]; runpy.run_path({str(script)!r})"
    monkeypatch.setattr(training, "COMMAND", (sys.executable, "-c", run))
    monkeypatch.setattr(training, "LOOK_EVERY", 0.02)
    made = new_studio(tmp_path)
    yield made
    made.service.jobs.close()


def new_studio(folder: Path) -> Studio:
    service = Service({"mock": Avatar.load("mock")}, Limits())
    (folder / "uploads").mkdir(exist_ok=True)
    return Studio(service, Visitors(folder / "studio"), Uploads(folder / "uploads", Limits()))


@pytest.fixture
def me(studio: Studio) -> Visitor:
    return studio.visitors.of(new_secret())


def footage(studio: Studio, me: Visitor, name: str = "ada.mp4") -> list[str]:
    path = studio.uploads.folder / name
    path.write_bytes(b"a film")
    studio.uploads.add(me.name, [str(path)])
    return [str(path)]


def test_it_is_paused_goes_on_and_becomes_an_avatar(studio: Studio, me: Visitor) -> None:
    jobs, job = studio.service.jobs, training.begin(studio, me, footage(studio, me), "Ada", ABOUT)
    wait_for(lambda: job.progress == 0.5)
    assert job.stage == "training codec"
    jobs.pause(job)
    wait_for(lambda: job.state == "paused")
    assert list(me.folder.rglob("kept"))
    jobs.resume(job)
    wait_for(lambda: job.state == "done")
    assert list(me.avatars()) == ["Ada"]
    assert job.outcome["avatar"] == "Ada"
    assert list(me.trainings.iterdir()) == []
    studio.visitors.load(me, "Ada")


def test_another_server_finds_it_paused(studio: Studio, me: Visitor, tmp_path: Path) -> None:
    job = training.begin(studio, me, footage(studio, me), "Ada", ABOUT)
    wait_for(lambda: job.progress == 0.5)
    studio.service.jobs.close()
    again = new_studio(tmp_path)
    training.find_left(again, me)
    training.find_left(again, me)  # is found once
    (found,) = again.service.jobs.of(me.name)
    assert (found.state, found.title, found.progress) == ("paused", "Ada", 0.5)
    again.service.jobs.resume(found)
    wait_for(lambda: found.state == "done")
    again.service.jobs.close()


def test_what_its_process_says_is_told_and_it_can_be_tried_again(
    studio: Studio, me: Visitor
) -> None:
    job = training.begin(studio, me, footage(studio, me, "bad.mp4"), "Ada", ABOUT)
    wait_for(lambda: job.state == "failed")
    assert job.problem is not None
    assert (job.problem.what, job.problem.todo) == ("no face is seen", "Film anew")
    studio.service.jobs.resume(job)
    wait_for(lambda: job.state == "failed")


def test_removed_nothing_is_left(studio: Studio, me: Visitor) -> None:
    job = training.begin(studio, me, footage(studio, me), "Ada", ABOUT)
    wait_for(lambda: job.progress == 0.5)
    training.discard(me, job)
    studio.service.jobs.delete(job.id)
    wait_for(lambda: list(me.trainings.iterdir()) == [])


def test_what_cannot_begin_leaves_nothing(studio: Studio, me: Visitor) -> None:
    other = studio.visitors.of(new_secret())
    for paths, name in (
        ([], "Ada"),
        (footage(studio, other, "other.mp4"), "Ada"),
        (footage(studio, me), "../x"),
    ):
        with pytest.raises(UsageError):
            training.begin(studio, me, paths, name, ABOUT)
    assert not me.trainings.exists() or list(me.trainings.iterdir()) == []
    assert studio.service.jobs.of(me.name) == []


def test_one_visitor_cannot_fill_the_queue(studio: Studio, me: Visitor) -> None:
    jobs = studio.service.jobs
    for _ in range(jobs.limits.own):
        jobs.left_over("speak", me.name, "videos", "").state = "waiting"
    with pytest.raises(Refused, match="of your jobs wait already"), jobs.admitted("speak", me.name):
        pass
    with jobs.admitted("speak", "another") as job:
        job.work = lambda job: None
