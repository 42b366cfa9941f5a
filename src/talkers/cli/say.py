"""talkers say: an avatar says a text, with a local voice."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.artefacts.pretrained_table import KOKORO_LANGUAGES, KOKORO_VOICES
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unconsented, speaking_avatar
from talkers.cli.console import progress_bar, remark
from talkers.cli.many import VERBS, Verb
from talkers.cli.options import Out, VideoOptions
from talkers.cli.speak import save_speech, say_what_was_written
from talkers.cli.videos import refuse_output
from talkers.errors import UsageError
from talkers.progress import Report

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.talking_video import TalkingVideo
    from talkers.speech.text import Script
    from talkers.speech.voices import Said, Voice


def voices_help() -> str:
    """The voices by language, as the table of models has them."""
    kinds = []
    for language in dict.fromkeys(language for language, _ in KOKORO_LANGUAGES.values()):
        names = sorted(v for v in KOKORO_VOICES if KOKORO_LANGUAGES[v[0]][0] == language)
        kinds.append(f"{', '.join(names)} ({language})")
    return (
        f"joe (Piper, English); of Kokoro {', '.join(kinds)}; "
        "or the .onnx file of a Piper voice, its .onnx.json beside it."
    )


@dataclass(frozen=True)
class VoiceOptions:
    """Who says the text, and where it is written down."""

    voice: Annotated[str, arg(help=voices_help())] = "joe"
    speed: float = 1.0
    """How many times as fast as the voice speaks, 0.5 to 2."""
    words: Path | None = None
    """Write when each word is said, as subtitles (.vtt or .srt); whole phrases where the voice does
    not tell its words (Piper does)."""
    subtitles: Path | None = None
    """Write the text as subtitles, phrase by phrase (.srt or .vtt)."""


@app.command
def say(
    text: Positional[str],
    output: Out,
    voice: Annotated[VoiceOptions, arg(name="")] = VoiceOptions(),
    options: Annotated[VideoOptions, arg(name="")] = VideoOptions(),
) -> None:
    """Make an avatar say a text, with a local text-to-speech voice.

    For example: talkers say 'Hello, how are you?' -o out.mp4, or talkers say script.txt -o out.mp4
    --subtitles out.srt

    Args:
        text: What to say; a text file, whose text is said; or - to read standard input. SSML is
            understood as far as <speak>, <p>, <s>, <break> and <prosody rate> go.
        output: Video to write (.mp4, .mov, .mkv, .webm, .gif, or frames/%05d.png), or - for
            standard output.
        voice: Who says it.
        options: As in speak.
    """
    from talkers.speech.subtitles import refuse_subtitles
    from talkers.speech.voices import load_voice, say_script

    refuse_output(output)
    for path in (voice.words, voice.subtitles):
        if path is not None:
            refuse_subtitles(path)
    text_file = Path(text) if is_text_file(text) else None
    refuse_same_file([output, voice.words, voice.subtitles], [text_file, *options.files])
    script = _script_of(text)
    speaker = load_voice(voice.voice)
    said = say_script(speaker, script, voice.speed)
    avatar = speaking_avatar(options.avatar, options.consent)
    with progress_bar() as report:
        talk = _save_said(avatar, (said, speaker.rate), output, options, report)
    say_what_was_written(output, talk)
    _write_words(said, voice)


def _script_of(text: str) -> Script:
    """What is to be said, as `say` takes it."""
    from talkers.speech.text import parse_script

    script = parse_script(_text_of(text))
    for note in script.remarks:
        remark(f"note: {note}")
    return script


def _save_said(
    avatar: Avatar,
    said: tuple[Said, int],
    output: Path,
    options: VideoOptions,
    report: Report,
) -> TalkingVideo:
    """Write the video of what a voice said, with samples of so many Hz; see `save_speech`."""
    from talkers.runtime.source import Speech

    with tempfile.TemporaryDirectory() as folder:
        import soundfile

        sound = Path(folder) / "speech.wav"
        soundfile.write(sound, said[0].samples, said[1])
        name = "what the voice says"
        return save_speech(avatar, Speech(sound), name, output, options, report)


def _write_words(said: Said, voice: VoiceOptions) -> None:
    """Write the subtitles that are asked for."""
    from talkers.speech.subtitles import write_subtitles

    if voice.subtitles is not None:
        write_subtitles(voice.subtitles, said.phrases)
    if voice.words is not None:
        if not said.words:
            remark("note: this voice does not tell when it says each word; phrases are written.")
        write_subtitles(voice.words, said.words or said.phrases)


def is_text_file(argument: str) -> bool:
    """Whether an argument names a file or a pipe that is there."""
    try:
        return Path(argument).exists() and not Path(argument).is_dir()
    except (OSError, ValueError):  # far too long for a name
        return False


def _text_of(argument: str) -> str:
    """The text that an argument stands for: itself, a file's, or what standard input gives.

    Raises:
        UsageError: a file that is not there, or is no text.
    """
    from talkers.speech.text import MAX_BYTES, decode

    if argument == "-":
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            return sys.stdin.read()
        content, name = stream.read(MAX_BYTES + 1), "standard input"
    else:
        path = Path(argument)
        if not is_text_file(argument):
            if path.suffix.lower() in {".txt", ".ssml", ".xml", ".md"} and " " not in argument:
                raise UsageError(
                    "there is no such text file", where=path, todo="Check its name, or give a text"
                )
            return decode(os.fsencode(argument), "the text")[0]  # what is not UTF-8 came as bytes
        try:
            with path.open("rb") as file:
                content, name = file.read(MAX_BYTES + 1), argument
        except OSError as error:
            raise UsageError(
                "this text file cannot be read",
                where=path,
                why=error.strerror,
                todo="Give one that can",
            ) from error
        remark(f"note: the text is read from {argument}.")
    text, encoding = decode(content, name)
    if encoding not in ("utf-8", "utf-16"):
        remark(f"note: {name} is not UTF-8; it is read as {encoding}.")
    return text


@lru_cache(maxsize=2)
def _voice(name: str) -> Voice:
    """A voice, loaded once for jobs that follow each other."""
    from talkers.speech.voices import load_voice

    return load_voice(name)


def _said(
    avatar: Avatar, _inputs: list[Path], target: Path, settings: dict[str, Any], report: Report
) -> str:
    """One video of many; see `Verb`."""
    from talkers.speech.voices import say_script

    voice: VoiceOptions = settings["voice"]
    speaker, script = _voice(voice.voice), _script_of(settings["text"])
    said = say_script(speaker, script, voice.speed)
    talk = _save_said(avatar, (said, speaker.rate), target, settings["options"], report)
    return f"{talk.frame_count} frames, {talk.seconds:.2f} s"


def _files(settings: dict[str, Any]) -> list[Path]:
    text = settings["text"]
    return ([Path(text)] if is_text_file(text) else []) + settings["options"].files


def _refuse(settings: dict[str, Any]) -> None:
    voice = settings["voice"]
    if settings["text"] == "-" or voice.words or voice.subtitles:
        raise UsageError(
            "standard input, --words and --subtitles are for a single text",
            todo="Leave them out, or use talkers say",
        )
    refuse_unconsented(settings["options"])


VERBS["say"] = Verb(
    say,
    (),
    load=lambda settings: speaking_avatar(settings["options"].avatar, settings["options"].consent),
    avatar=lambda settings: f"{settings['options'].avatar} {settings['options'].consent}",
    files=_files,
    refuse=_refuse,
    make=_said,
)
