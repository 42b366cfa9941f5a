"""`talkers chat`: lines in, answers and a video out; bad lines are told of and left out."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from aioice import ice

from talkers import Avatar, Controls
from talkers.cli import main
from talkers.dialogue import Turn, recognition
from talkers.errors import MissingComponent
from talkers.media import decode_frames, read_audio
from talkers.server import run
from talkers.server.forms import ControlsForm
from talkers.server.rtc_forms import Offer
from talkers.speech import voices
from talks import Hum


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> object:
    """Put bytes into standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))

    return put


def test_answers_are_printed(lines: object, capsys: pytest.CaptureFixture[str]) -> None:
    bad = b"\x00\x01\n" + b"x" * 10_000_000 + b"\nna\xefve\n\n/quit\nnever\n"
    lines(b"Hello there.\n" + bad)  # type: ignore[operator]
    assert main(["chat", "--dialogue", "echo"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["You said: Hello there.", "You said: naïve"]
    assert "this is no text" in printed.err
    assert "characters was given" in printed.err
    assert "Traceback" not in printed.err


def test_a_talk_becomes_a_video(
    lines: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voices, "load_voice", lambda name: Hum())
    lines(b"One two three four five.\nSix.\n")  # type: ignore[operator]
    talk = tmp_path / "talk.mp4"
    arguments = ["chat", "--dialogue", "echo", "--avatar", "mock", "--no-provenance"]
    assert main([*arguments, "-o", str(talk)]) == 0
    said = capsys.readouterr().out
    assert "avatar: You said: One two three four five." in said
    frames = sum(1 for _ in decode_frames(talk))
    seconds = len(read_audio(talk)) / 16_000
    # pauses of 0.6 s before, between and after, 1 s at the end, and the words
    assert abs(frames / 25 - (3 * 0.6 + 1.0 + 0.7 + 0.3)) < 0.5
    assert abs(frames / 25 - seconds) < 0.06


def test_a_page_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mock: Avatar
) -> None:
    """What is needed is loaded and tried before anybody comes; without ears, text is answered."""
    served: list[Any] = []
    turns: list[Turn] = []

    def deaf() -> None:
        raise MissingComponent("there is no recogniser", todo="Get one")

    def serve(avatars: Any, *given: Any) -> None:
        talker = next(g for g in given if hasattr(g, "keywords")).keywords["rtc"].talker
        offer = Offer(offer="x", controls=ControlsForm(amplitude=1.2))
        with talker.begin(mock, offer, turns.append) as conversation:
            controls = conversation.terms.controls
            conversation.push_text("Good day.")
            for _ in conversation.frames():
                if len(turns) == 2:
                    break
        served.append((list(avatars), talker.name, talker.hears, controls))

    monkeypatch.setattr(voices, "load_voice", lambda name: Hum())
    monkeypatch.setattr(recognition, "load_recogniser", deaf)
    monkeypatch.setattr(run, "serve", serve)
    monkeypatch.setattr(ice, "get_host_addresses", ice.get_host_addresses)  # it is put back
    given = ["chat", "--live", "--dialogue", "echo", "--avatar", "mock", "--port", "0"]
    assert main([*given, "--blinks", "3"]) == 0
    assert served == [(["mock"], "", False, Controls(blinks=3, amplitude=1.2))]
    assert turns == [Turn("user", "Good day."), Turn("avatar", "You said: Good day.")]
    assert "only text" in capsys.readouterr().err
    assert main([*given, "-o", "a.mp4"]) == 2
    assert "reads no file" in capsys.readouterr().err
    assert main(["chat", "--port", "8000"]) == 2
    assert "Add --live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["--input", "q.wav"], 2, "no video to write"),
        (["--llm", "http://127.0.0.1:9/v1"], 5, "no language model at this address"),
        (["--llm", "nowhere"], 2, "no address of a language model"),
        (["--dialogue", "none"], 5, "no dialogue 'none'"),
        (["--model", "none"], 5, "no language model 'none'"),
        (["--persona", "no.toml"], 2, "persona cannot be read"),
        (["--candidates", "0"], 2, "0 candidates"),
    ],
)
def test_bad_wishes_are_sentences(
    lines: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(voices, "load_voice", lambda name: Hum())
    lines(b"Hello.\n")  # type: ignore[operator]
    assert main(["chat", *arguments]) == code
    err = capsys.readouterr().err
    assert complaint in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_attitude_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["chat", "--live", "--attitude", "rude"])
    assert "invalid choice 'rude'" in capsys.readouterr().err
