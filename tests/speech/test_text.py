"""Texts as users give them: files of any encoding, SSML, other scripts, and subtitles of all of it."""

from __future__ import annotations

import codecs
import io
import itertools
from pathlib import Path

import numpy as np
import pytest

from talkers.cli import main
from talkers.cli.say import _text_of, voices_help
from talkers.errors import UsageError
from talkers.speech.subtitles import MAX_CUE, Word, as_subrip, as_webvtt, phrases_of
from talkers.speech.text import Passage, decode, foreign_script, parse_script, sentences
from talkers.speech.voices import VOICES, Said, say_script


class Beep:
    """A voice that says a tenth of a second for each letter, and tells its words or not."""

    rate = 1_000

    def __init__(self, language: str = "en-us", tells: bool = False):
        self.language, self.tells, self.said = language, tells, list[tuple[str, float]]()

    def say(self, text: str, speed: float = 1.0) -> Said:
        self.said.append((text, speed))
        words, at = [], 0.0
        for word in text.split():
            words.append(Word(word, at, at + 0.1 * len(word)))
            at += 0.1 * len(word)
        samples = np.full(round(at * self.rate), 0.5, np.float32)
        return Said(samples, tuple(words) if self.tells else ())


@pytest.mark.parametrize(
    ("content", "text", "encoding"),
    [
        ("Café".encode(), "Café", "utf-8"),
        (codecs.BOM_UTF8 + "Café".encode(), "Café", "utf-8"),
        ("Café".encode("utf-16"), "Café", "utf-16"),
        (codecs.BOM_UTF16_BE + "Café".encode("utf-16-be"), "Café", "utf-16"),
        ("Café".encode("latin-1"), "Café", "windows-1252"),
    ],
)
def test_text_is_read_in_any_usual_encoding(content: bytes, text: str, encoding: str) -> None:
    assert decode(content, "a.txt") == (text, encoding)


@pytest.mark.parametrize(
    "content", [b"RIFF\x00\x01\xff\xfe", b"a\x00b", b"\x80\x04\x95\x01", b"x" * 5_000_000]
)
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"a\.txt"):
        decode(content, "a.txt")


def test_a_text_file_is_read_and_a_text_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "script.txt"
    path.write_bytes("Grüße.".encode("latin-1"))
    assert _text_of(str(path)) == "Grüße."
    told = capsys.readouterr().err
    assert f"the text is read from {path}" in told.replace("\n", "")
    assert "windows-1252" in told
    assert _text_of("Hello.") == "Hello."
    assert _text_of("x" * 5_000) == "x" * 5_000  # no name that a file can have
    assert _text_of("caf\udce9") == "café"  # a byte of the command line that is not UTF-8
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("é".encode("latin-1"))))
    assert _text_of("-") == "é"
    for name in ("gone.txt", "gone.ssml"):
        with pytest.raises(UsageError, match="no such text file"):
            _text_of(name)


def test_sentences() -> None:
    text = "Dr. Smith came. He said: 'Go!' Did he?  Yes…  He did, e.g. on 5. May. J. Doe\n\nA title\n\nEnd"
    assert list(sentences(text)) == [
        "Dr. Smith came.",
        "He said: 'Go!'",
        "Did he?",
        "Yes…",
        "He did, e.g. on 5.",
        "May.",
        "J. Doe",
        "A title",
        "End",
    ]
    assert list(sentences("你好。再见。")) == ["你好。", "再见。"]


def test_ssml_is_obeyed() -> None:
    script = parse_script(
        "<?xml version='1.0'?><!-- no --><speak>Hello &amp; <break time='1s'/> world."
        '<prosody rate="slow" pitch="high">Slow. <prosody rate="120%">Less so.</prosody></prosody>'
        '<p>One</p><break strength="strong"/><emphasis>Two</emphasis>.<break time="250ms"/></speak>'
    )
    assert script.passages == (
        Passage("Hello &"),
        Passage("world.", pause=1.0),
        Passage("Slow.", 0.75),
        Passage("Less so.", 0.75 * 1.2),
        Passage("One"),
        Passage("Two.", pause=0.75),
        Passage("", pause=0.25),
    )
    assert script.remarks == (
        "pitch of <prosody>, <emphasis> is not obeyed; the text in it is said.",
    )
    assert parse_script("3 < 4 and <b> > a").passages == (Passage("3 < 4 and <b> > a"),)
    assert parse_script("\ufeffHi").text == "Hi"


@pytest.mark.parametrize(
    "tag",
    [
        '<break time="soon"/>',
        '<break time="90s"/>',
        '<break strength="big"/>',
        '<prosody rate="900%">',
        '<prosody rate="fastest">',
    ],
)
def test_ssml_that_asks_for_nothing_sensible(tag: str) -> None:
    with pytest.raises(UsageError, match="Use "):
        parse_script(f"<speak>Hello {tag} world</speak>")


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        ("你好，世界。", "en-us", "Chinese characters"),
        ("Привет, мир", "en-us", "Cyrillic"),
        ("Привет, мир", "ru", None),
        ("こんにちは", "ja", None),
        (
            "Hello, my name is Владимир, and I like long sentences, some of them very long indeed, as you see: they go on and on and on, so that the name is a small part.",
            "en-us",
            None,
        ),
        ("π is 3.14 and µ a micron", "en-us", None),
        ("Dzień dobry, voilà", "fr", None),
        ("123 ...", "en-us", None),
    ],
)
def test_a_script_is_checked_against_the_voice(
    text: str, language: str, script: str | None
) -> None:
    assert foreign_script(text, language) == script


def test_a_script_is_said_with_its_pauses_rates_and_times() -> None:
    voice = Beep()
    script = parse_script("<speak>Ab. <break time='1s'/><prosody rate='50%'>Cd.</prosody></speak>")
    said = say_script(voice, script)
    assert voice.said == [("Ab.", 1.0), ("Cd.", 0.5)]
    assert said.phrases == (Word("Ab.", 0.0, 0.3), Word("Cd.", 1.3, 1.6))
    assert said.words == ()
    assert not said.samples[300:1300].any()
    told = say_script(Beep(tells=True), parse_script("Ab cd. Ef."))
    assert [w.text for w in told.words] == ["Ab", "cd.", "Ef."]
    assert told.words[2].start == pytest.approx(0.5)
    for text, message in (("你好", "Chinese"), ("...", "nothing in this text"), ("", "characters")):
        with pytest.raises(UsageError, match=message):
            say_script(voice, parse_script(text))


def test_long_sentences_are_shown_in_pieces() -> None:
    sentence = ", ".join(["the quick brown fox jumps over the lazy dog"] * 4) + "."
    pieces = phrases_of(sentence, 1.0, 11.0)
    assert " ".join(p.text for p in pieces) == sentence
    assert all(len(p.text) <= MAX_CUE for p in pieces)
    assert (pieces[0].start, pieces[-1].end) == (1.0, 11.0)
    assert all(a.end == b.start for a, b in itertools.pairwise(pieces))
    words = [Word(w, float(k), k + 0.5) for k, w in enumerate(sentence.split())]
    known = phrases_of(sentence, 0.0, 99.0, words)
    assert known[0].end == len(known[0].text.split()) - 0.5


def test_subtitles_in_both_forms() -> None:
    cues = [Word("<b>", 0.5, 1.2499), Word("now", 3661.0, 3661.9996)]
    assert as_webvtt(cues) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\n&lt;b&gt;\n\n01:01:01.000 --> 01:01:02.000\nnow\n"
    )
    assert as_subrip(cues) == (
        "1\n00:00:00,500 --> 00:00:01,250\n<b>\n\n2\n01:01:01,000 --> 01:01:02,000\nnow\n"
    )


def test_the_help_names_all_voices() -> None:
    assert {v for v in VOICES if v not in voices_help()} == set()


def test_a_text_in_another_script_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = main(["say", "你好，世界。", "-o", str(tmp_path / "o.mp4")])
    told = capsys.readouterr().err
    if code == 5:
        pytest.skip("no voice is on this machine")
    assert code == 2
    assert "Chinese characters" in told
    assert not list(tmp_path.iterdir())
