"""The HTTP API: jobs go their way, and whatever cannot be done is said in a sentence."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from served import LIMITS, ended, service, wait_for, wav
from talkers.errors import MediaError, ResourceError, UsageError
from talkers.media import VideoWriter, probe
from talkers.progress import Report
from talkers.runtime.avatar import Avatar
from talkers.runtime.dubbing import DubTerms
from talkers.server.door import Door
from talkers.server.jobs import Job, Jobs
from talkers.server.limits import Limits
from talkers.server.metrics import Metrics
from talkers.server.problem import Refused, problem_of, status_of, without_paths
from talkers.server.work import DubOrder, SpeakOrder
from talkers.version import __version__


def speech(seconds: float = 0.4) -> dict[str, Any]:
    return {"speech": ("../../etc/speech.wav", wav(seconds))}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Jobs wait for this event; it is set at the end."""
    go = threading.Event()

    def speak(_order: SpeakOrder, job: Job, _speech: Path) -> None:
        while not go.wait(0.01):
            job.report("speaking", 0.5)
        job.video.write_bytes(b"video")

    monkeypatch.setattr(SpeakOrder, "speak", speak)
    yield go
    go.set()


def problem(answer: Any, status: int) -> str:
    """What an answer says went wrong, if its status is this one."""
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert set(told) == {"what", "where", "why", "todo"}
    assert "/tmp" not in answer.text
    return f"{told['where'] or ''}: {told['what']} {told['why'] or ''}"


def test_a_speech_becomes_a_video(client: TestClient, tmp_path: Path) -> None:
    sent = {"avatar": "bob", "controls": json.dumps({"pose": "yaw=5, pitch=-2.5"}), "seed": 3}
    answer = client.post("/speak", files=speech(), data=sent)
    assert answer.status_code == 202, answer.text
    assert len(answer.json()["id"]) >= 22
    job = ended(client, answer.json())
    assert (job["state"], job["error"], job["progress"]) == ("done", None, 1.0)
    assert job["seconds"] == pytest.approx(0.4)
    assert 0 < job["kept_for"] <= LIMITS.keep
    video = client.get(f"/jobs/{job['id']}/video")
    assert video.headers["content-type"] == "video/mp4"
    (tmp_path / "got.mp4").write_bytes(video.content)
    assert probe(tmp_path / "got.mp4").video is not None
    folder = service(client).jobs.folder / job["id"]
    assert [p.name for p in folder.iterdir()] == ["video.mp4"]  # the speech is gone
    assert str(tmp_path) not in json.dumps(job)
    counted = client.get("/metrics").text
    assert 'talkers_jobs{state="done"} 1.0' in counted
    assert "talkers_video_seconds_total 0.4" in counted
    assert 'talkers_requests_total{path="/speak",status="202"} 1.0' in counted
    assert client.delete(f"/jobs/{job['id']}").status_code == 204
    assert not folder.exists()
    assert "no such job" in problem(client.get(f"/jobs/{job['id']}"), 404)
    assert "no such job" in problem(client.get(f"/jobs/{job['id']}/video"), 404)


def test_health_and_description(client: TestClient) -> None:
    assert client.get("/health").json() == {
        "ok": True,
        "version": __version__,
        "avatars": ["ann", "bob"],
        "sessions": 0,
        "max_sessions": 1,
        "queue": 0,
        "max_queue": 2,
    }
    described = client.get("/openapi.json").json()
    paths = {f"{verb} {path}" for path, verbs in described["paths"].items() for verb in verbs}
    assert paths == {
        "get /health",
        "get /metrics",
        "post /speak",
        "post /say",
        "post /dub",
        "get /jobs/{job_id}",
        "get /jobs/{job_id}/video",
        "delete /jobs/{job_id}",
    }
    assert all(v["description"] for verbs in described["paths"].values() for v in verbs.values())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"avatar": "eve"}, "no avatar 'eve'"),
        ({"controls": "{"}, "invalid JSON"),
        ({"controls": '{"blinks": 99}'}, "99.0 blinks a minute"),
        ({"controls": '{"blinks": NaN}'}, "blinks: "),
        ({"controls": '{"pose": "/etc/passwd"}'}, "pose: this has none of the known forms"),
        ({"controls": '{"pose": "poses.csv"}'}, "pose: "),
        ({"controls": '{"style": "/etc/passwd"}'}, "style: extra inputs"),
        ({"controls": '{"motion": "none"}'}, "none"),
        ({"seed": "-1"}, "seed: "),
    ],
)
def test_what_cannot_be_is_said_at_once(
    client: TestClient, data: dict[str, str], said: str
) -> None:
    assert said in problem(client.post("/speak", files=speech(), data=data), 422)
    assert service(client).jobs.count("waiting") == 0


def test_a_file_that_cannot_be_used_is_refused(client: TestClient) -> None:
    assert "speech: " in problem(client.post("/speak"), 422)
    told = problem(client.post("/speak", files={"speech": ("a.wav", b"no sound" * 99)}), 422)
    assert told.startswith("speech: ")
    assert "longer than 2 s" in problem(client.post("/speak", files=speech(3)), 422)
    assert "larger than 0.3 MB" in problem(client.post("/speak", files=speech(10)), 413)
    parts = iter(
        [b"--b\r\nContent-Disposition: form-data; name=speech; filename=a\r\n\r\n"]
        + [b"x" * 99_999] * 4
    )
    told = problem(
        client.post(
            "/speak",
            content=parts,  # of unknown length
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        413,
    )
    assert "larger than 0.3 MB" in told
    assert not list(service(client).jobs.folder.iterdir())


def test_a_request_that_says_it_is_too_large_is_not_read() -> None:
    answers: list[Any] = []

    async def never(*_: Any) -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        answers.append(message)

    door = Door(never, LIMITS, Metrics(), only_local=False)
    scope = {"type": "http", "headers": [(b"content-length", b"300001")]}
    asyncio.run(door(scope, never, send))
    assert answers[0]["status"] == 413


def test_a_full_queue_says_so(client: TestClient, held: threading.Event) -> None:
    jobs = [client.post("/speak", files=speech()).json()]
    wait_for(lambda: client.get(f"/jobs/{jobs[0]['id']}").json()["state"] == "running")
    jobs += [client.post("/speak", files=speech()).json() for _ in range(2)]
    answer = client.post("/speak", files=speech())
    assert "2 wait already" in problem(answer, 503)
    assert answer.headers["retry-after"]
    assert client.get("/health").json()["queue"] == 2
    assert "not done yet" in problem(client.get(f"/jobs/{jobs[1]['id']}/video"), 409)
    client.delete(f"/jobs/{jobs[1]['id']}")  # one that waits
    client.delete(f"/jobs/{jobs[0]['id']}")  # and the one that runs, which ends at once
    folder = service(client).jobs.folder
    wait_for(lambda: not (folder / jobs[0]["id"]).exists())
    held.set()
    assert ended(client, jobs[2])["state"] == "done"
    assert [p.name for p in service(client).jobs.folder.iterdir()] == [jobs[2]["id"]]


def test_the_server_ends_though_a_job_runs(held: threading.Event, client: TestClient) -> None:
    """The fixture looks whether anything is left."""
    for _ in range(2):
        assert client.post("/speak", files=speech()).status_code == 202


def test_results_are_deleted_when_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("talkers.server.jobs.TICK", 0.01)
    told = threading.Event()
    jobs = Jobs(Limits(keep=60), lambda job: told.set(), lambda: now[0])
    with jobs.admitted("speak") as job:
        job.work = lambda job: job.video.touch()  # type: ignore[func-returns-value]
    assert told.wait(5)
    now[0] = 59.0
    jobs.tidy()
    assert job.video.exists()
    assert jobs.expires(job) == 1
    now[0] = 60.0
    jobs.tidy()
    assert not job.folder.exists()
    jobs.close()
    assert not jobs.folder.exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MediaError("it is broken", where="/home/x/speech"), "it is broken"),
        (ResourceError("the disk is full", where="/home/x"), "the disk is full"),
        (ZeroDivisionError("/home/x"), "the server met an internal fault"),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_one_runs(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    good: Callable[..., None] = lambda _order, job, _speech: job.video.touch()  # noqa: E731

    def bad(*_: Any) -> None:
        raise error

    monkeypatch.setattr(SpeakOrder, "speak", bad)
    job = ended(client, client.post("/speak", files=speech()).json())
    assert (job["state"], job["error"]["what"]) == ("failed", said)
    assert "/home" not in json.dumps(job)
    assert "failed" in problem(client.get(f"/jobs/{job['id']}/video"), 409)
    monkeypatch.setattr(SpeakOrder, "speak", good)
    assert ended(client, client.post("/speak", files=speech()).json())["state"] == "done"


def test_what_is_not_installed_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs the package piper" in problem(client.post("/say", json={"text": "Hi."}), 501)
    files = {**speech(), "film": ("film.mp4", b"film")}
    answer = client.post("/dub", files=files, data={"consent": "Ada agreed"})
    assert "needs the package mediapipe" in problem(answer, 501)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"text": ""}, "0 characters"),
        ({"text": "a" * 51}, "51 characters"),
        ({"text": "Hi.", "voice": "/etc/voice.onnx"}, "no voice"),
        ({"text": "Hi.", "speed": 3}, "speed: "),
        ({}, "text: "),
    ],
)
def test_texts_that_cannot_be_said(client: TestClient, sent: dict[str, Any], said: str) -> None:
    pytest.importorskip("piper")
    assert said in problem(client.post("/say", json=sent), 422)


def test_nobody_is_dubbed_without_consent(client: TestClient) -> None:
    files = {**speech(), "film": ("film.mp4", b"no film")}
    assert "consent: " in problem(client.post("/dub", files=files), 422)
    assert "agreed" in problem(client.post("/dub", files=files, data={"consent": " "}), 422)
    pytest.importorskip("mediapipe")
    agreed = {"consent": "Ada agreed"}
    assert "film: " in problem(client.post("/dub", files=files, data=agreed), 422)
    for terms in ('{"face": "/etc/passwd"}', '{"bed": "/etc/passwd"}', '{"amplitude": 9}'):
        problem(client.post("/dub", files=files, data={**agreed, "terms": terms}), 422)


def test_a_film_that_is_longer_than_it_says(
    drawn: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends as soon as more of it was seen than may be."""
    with VideoWriter(tmp_path / "film.mp4", Fraction(25)) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    seen: list[int] = []

    def dub(_self: Avatar, _film: Path, *_: Any, report: Report, **__: Any) -> None:
        for number in range(1_000):
            seen.append(number)
            report("finding the face", number, 1)

    monkeypatch.setattr(Avatar, "dub", dub)
    order = DubOrder(lambda: drawn, DubTerms(), 1.0, LIMITS)
    with pytest.raises(Refused, match="the film is longer than 2 s"):
        order.dub(Job("id", "dub", tmp_path), tmp_path / "film.mp4", tmp_path / "speech")
    assert seen[-1] == 51


def test_other_sites_stay_outside(client: TestClient) -> None:
    """A page on the internet, in a browser on this machine; and a name that was pointed here."""
    page = {"Origin": "https://example.com"}
    assert "other sites" in problem(client.post("/speak", files=speech(), headers=page), 403)
    assert "this machine alone" in problem(client.get("/health", headers={"Host": "evil.com"}), 403)
    own = {"Origin": "http://localhost:5173"}
    assert client.get("/health", headers=own).status_code == 200


def test_what_is_not_there_is_said(client: TestClient) -> None:
    assert "not found" in problem(client.get("/nothing"), 404)
    assert "not allowed" in problem(client.get("/speak"), 405)
    assert "no such job" in problem(client.delete("/jobs/nothing"), 404)


def test_no_path_is_told() -> None:
    told = (
        "/home/x/y.wav cannot be read, see C:\\Users\\x or /etc; use yaw/pitch, https://a.b/c, </p>"
    )
    assert (
        without_paths(told)
        == "a file cannot be read, see a file or a file; use yaw/pitch, https://a.b/c, </p>"
    )
    error = UsageError("/a/b is wrong", where="/home/x/film", why="of /c", todo="Look at '/home/x'")
    assert problem_of(error).model_dump() == {
        "what": "a file is wrong",
        "where": "film",
        "why": "of a file",
        "todo": "Look at 'a file'",
    }
    assert [status_of(e) for e in (error, MemoryError(), KeyError())] == [422, 503, 500]
