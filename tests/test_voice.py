"""Text in: a local voice says it, an avatar shows it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from talkers import Avatar
from talkers.cli import main
from talkers.errors import MissingComponent
from talkers.media import probe
from talkers.speech import loudness, speech_activity
from talkers.voice import Voice, load_voice


@pytest.fixture(scope="module")
def voice() -> Voice:
    try:
        return load_voice()
    except MissingComponent as error:
        pytest.skip(str(error))


def test_a_text_is_said(voice: Voice) -> None:
    short, long = voice.say("Hello."), voice.say("Hello. Place blue at f two now, and then set white with zero please.")
    assert short.dtype == np.float32
    assert short.ndim == 1
    assert np.abs(long).max() <= 1
    assert 0.3 < len(short) / voice.rate < 2
    assert len(long) > 2 * len(short)
    frames = int(len(long) / voice.rate * 25)
    assert speech_activity(loudness(long, voice.rate, 25, frames)).mean() > 0.5


def test_an_avatar_says_a_text(voice: Voice, tiny_avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["say", "Hello, how are you?", "-o", str(tmp_path / "a.mp4"), "--avatar", str(tiny_avatar.folder)]) == 0
    video = probe(tmp_path / "a.mp4")
    assert video.video is not None
    assert video.audio is not None
    assert video.duration is not None
    assert 0.5 < video.duration < 4
    monkeypatch.setattr("sys.stdin", io.StringIO("Yes."))
    assert main(["say", "-", "-o", str(tmp_path / "b.mp4"), "--avatar", str(tiny_avatar.folder), "--live"]) == 0
    assert (probe(tmp_path / "b.mp4").duration or 9) < video.duration


def test_what_cannot_be_said_is_told(voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no voice")
    (tmp_path / "bad.onnx.json").write_text("{}")
    for text, chosen, code, message in [
        ("  ", "joe", 2, "characters"),
        ("...", "joe", 2, "nothing in this text"),
        ("x" * 30_000, "joe", 2, "30000"),
        ("Hello", "ann", 2, "no such voice"),
        ("Hello", str(tmp_path / "bad.onnx"), 4, "Piper voice"),
    ]:
        assert main(["say", text, "-o", str(tmp_path / "a.mp4"), "--voice", chosen]) == code, message
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "a.mp4").exists()
