"""Text in: a local voice says it, an avatar shows it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from talkers import Avatar
from talkers.cli import main
from talkers.errors import MissingComponent, UsageError
from talkers.media import probe
from talkers.speech import loudness, speech_activity
from talkers.speech.voices import Voice, load_voice


def voice_or_skip(name: str) -> Voice:
    try:
        return load_voice(name)
    except MissingComponent as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def voice() -> Voice:
    return voice_or_skip("joe")


@pytest.mark.parametrize("name", ["joe", "af_heart", "ff_siwis"])
def test_a_text_is_said(name: str) -> None:
    voice = voice_or_skip(name)
    short, long = (
        voice.say("Hello.").samples,
        voice.say("Hello. Place blue at f two now, and then set white.").samples,
    )
    assert short.dtype == np.float32
    assert short.ndim == 1
    assert np.abs(long).max() <= 1
    assert 0.3 < len(short) / voice.rate < 2
    assert len(long) > 2 * len(short)
    frames = int(len(long) / voice.rate * 25)
    assert speech_activity(loudness(long, voice.rate, 25, frames)).mean() > 0.5


def test_words_have_their_times(voice: Voice) -> None:
    said = voice.say("Place blue at f two now. Hello, my friend!")
    assert [w.text for w in said.words] == [
        "Place",
        "blue",
        "at",
        "f",
        "two",
        "now.",
        "Hello,",
        "my",
        "friend!",
    ]
    assert all(a.end <= b.start for a, b in zip(said.words, said.words[1:], strict=False))
    assert said.words[-1].end <= len(said.samples) / voice.rate
    levels = loudness(said.samples, voice.rate, 100, len(said.samples) * 100 // voice.rate)
    spoken = np.concatenate([levels[int(w.start * 100) : int(w.end * 100)] for w in said.words])
    pause = levels[int(said.words[5].end * 100) + 4 : int(said.words[6].start * 100) - 2]
    assert np.median(spoken) > np.median(pause) + 20
    number = voice.say("I have 1234 friends.").words  # written as one word, spoken as several
    assert [w.text for w in number] == ["I", "have", "1234", "friends."]
    assert number[2].end - number[2].start > 2 * (number[1].end - number[1].start)


@pytest.mark.parametrize("name", ["joe", "bm_george"])
def test_a_voice_speaks_as_fast_as_it_is_told(name: str) -> None:
    voice = voice_or_skip(name)
    text = "Place blue at f two now, and then set white with zero please."  # rhythms are drawn
    slow, plain, fast = (len(voice.say(text, speed).samples) for speed in (0.7, 1.0, 1.4))
    assert 1.2 < slow / plain < 1.65
    assert 0.6 < fast / plain < 0.85
    for wrong in (0.0, 0.4, 2.5, float("nan")):
        with pytest.raises(UsageError, match="speed"):
            voice.say("Hello.", wrong)


def test_an_avatar_says_a_text(
    voice: Voice, tiny_avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        main(
            [
                "say",
                "Hello, how are you?",
                "-o",
                str(tmp_path / "a.mp4"),
                "--avatar",
                str(tiny_avatar.engine.folder),
                "--words",
                str(tmp_path / "a.vtt"),
            ]
        )
        == 0
    )
    assert "you?" in (tmp_path / "a.vtt").read_text()
    video = probe(tmp_path / "a.mp4")
    assert video.video is not None
    assert video.audio is not None
    assert video.duration is not None
    assert 0.5 < video.duration < 4
    monkeypatch.setattr("sys.stdin", io.StringIO("Yes."))
    assert (
        main(
            [
                "say",
                "-",
                "-o",
                str(tmp_path / "b.mp4"),
                "--avatar",
                str(tiny_avatar.engine.folder),
                "--live",
            ]
        )
        == 0
    )
    assert (probe(tmp_path / "b.mp4").duration or 9) < video.duration


def test_what_cannot_be_said_is_told(
    voice: Voice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no voice")
    (tmp_path / "bad.onnx.json").write_text("{}")
    for text, chosen, code, message in [
        ("  ", "joe", 2, "characters"),
        ("...", "joe", 2, "nothing in this text"),
        ("x" * 30_000, "joe", 2, "30000"),
        ("Hello", "ann", 2, "no such voice"),
        ("Hello", str(tmp_path / "bad.onnx"), 4, "Piper voice"),
    ]:
        command = ["say", text, "-o", str(tmp_path / "a.mp4"), "--voice", chosen]
        assert main([*command, "--avatar", "mock"]) == code, message
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "a.mp4").exists()
