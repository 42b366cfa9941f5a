"""talkers serve: who is let in, what is said where it cannot begin, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from talkers.cli import main
from talkers.server import run
from talkers.server.limits import Limits


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been served."""
    calls: list[dict[str, Any]] = []

    def serve(
        avatars: Any,
        limits: Limits,
        listening: socket.socket,
        local: bool,
        begun: Callable[[], None],
        extend: Any,
    ) -> None:
        at = listening.getsockname()
        calls.append({"avatars": list(avatars), "limits": limits, "at": at, "local": local})
        begun()

    monkeypatch.setattr(run, "serve", serve)
    return calls


def test_only_this_machine_is_let_in(
    served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--avatar", "mock", "--port", "0", "--length", "90s"]) == 0
    told = capsys.readouterr()
    assert "http://127.0.0.1:" in told.out
    assert "warning" not in told.err
    assert served[0]["at"][0] == "127.0.0.1"
    assert (served[0]["local"], served[0]["avatars"]) == (True, ["mock"])
    assert served[0]["limits"] == Limits(seconds=90)


def test_who_lets_others_in_is_warned(
    served: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--avatar", "mock", "--port", "0", "--host", "0.0.0.0"]) == 0
    assert "warning: whoever reaches 0.0.0.0 can use this server" in capsys.readouterr().err
    assert not served[0]["local"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--port", "70000"], 2, "there is no port 70000"),
        (["--host", "no.such.host.invalid"], 6, "nothing can listen at no.such.host.invalid"),
        (["--avatar", "mock", "mock"], 2, "do not tell them apart"),
        (["--avatar", "nothing"], 4, "nothing"),
        (["--sessions", "0"], 2, "a limit of 0 was given for sessions"),
        (["--keep", "soon"], 2, "'soon' is not a length of time"),
    ],
)
def test_what_cannot_be_served(
    served: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    free = [] if "--port" in arguments else ["--port", "0"]
    assert main(["serve", *free, *arguments]) == code
    assert said in capsys.readouterr().err
    assert not served


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve"]) == 5
    assert "pip install 'talkers[serve]'" in capsys.readouterr().err


def test_it_serves_until_it_is_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over a real socket, with a session open when it ends."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with run.bound("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    told: list[Any] = []

    def use() -> None:
        try:
            with connect(f"ws://127.0.0.1:{port}/live", open_timeout=60) as face:
                face.send("{}")
                told.append(json.loads(face.recv())["avatar"])
                kinds = {m[0] for m in islice((m for m in face if isinstance(m, bytes)), 4)}
                told.append(kinds)
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    told.append(json.load(answer)["sessions"])
                told.append([p.name[:14] for p in tmp_path.iterdir()])
                os.kill(os.getpid(), signal.SIGTERM)
                for _ in face:  # until the server closes it
                    pass
        except BaseException as error:
            told.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    begin = run.serve

    def serve(*given: Any) -> None:
        user.start()
        begin(*given)

    user = threading.Thread(target=use)
    monkeypatch.setattr(run, "serve", serve)
    assert main(["serve", "--avatar", "mock", "--port", str(port)]) == 0
    user.join(60)
    assert told[:4] == ["mock", {1, 2}, 1, ["talkers-serve-"]]
    assert "service restart" in str(told[4])  # how it closes a session, 1012
    assert "nothing of its jobs is left" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
