"""talkers speak: an avatar says what sound files say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unconsented, speaking_avatar
from talkers.cli.console import print_json, progress_bar, remark, tell
from talkers.cli.many import VERBS, ManyOptions, Verb, apart, named, refuse_no_folder, run_many
from talkers.cli.options import Out, VideoOptions, some
from talkers.cli.videos import (
    AUDIO_SUFFIXES,
    STANDARD,
    fills_folder,
    refuse_output,
    speech_files,
)
from talkers.progress import Report

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.source import Speech
    from talkers.runtime.talking_video import TalkingVideo


@app.command
def speak(
    speech: Positional[tuple[Path, ...]],
    output: Out,
    track: int | None = None,
    pcm: int | None = None,
    options: Annotated[VideoOptions, arg(name="")] = VideoOptions(),
    many: Annotated[ManyOptions, arg(name="")] = ManyOptions(),
) -> None:
    """Make an avatar say what sound files say.

    For example: talkers speak speech.wav -o out.mp4, or many: talkers speak week/ -o videos/

    Args:
        speech: Any files with speech in them, or folders of them; - reads standard input.
        output: Video to write (.mp4, .mov, .mkv, .webm, .gif, or frames/%05d.png), - for standard
            output, or for several files a folder, in which what is done is not done again.
        track: Which of a file's sound tracks, 1 for the first (default: the one with speech).
        pcm: The speech is raw sound of so many samples a second, 16 bits each, one channel.
        options: What speaks, and how.
        many: Where many files are worked on, and how that is told.
    """
    from talkers.media import VIDEO_SUFFIXES
    from talkers.media.incoming import received
    from talkers.runtime.source import Speech

    sources, left = speech_files(some(speech, "speech"), AUDIO_SUFFIXES | set(VIDEO_SUFFIXES))
    for path in left:
        remark(f"note: {path} is left out: its name is not that of sound or video.")
    if fills_folder(speech, sources, output):
        refuse_no_folder(len(sources), output)
        settings = {"track": track, "pcm": pcm, "options": options}
        jobs, failed = apart(named("speak", [[s] for s in sources], settings), output)
        refuse_same_file([output / job.name for job in jobs], [*sources, *options.files])
        run_many(jobs, len(jobs), output, many, failed)
        return
    many.refuse_cluster()
    refuse_output(output)
    refuse_same_file([output], [*sources, *options.files])
    (source,) = sources
    name = "standard input" if source == STANDARD else str(source)
    with received(source, pcm) as sound:
        avatar = speaking_avatar(options.avatar, options.consent)
        with progress_bar() as report:
            talk = save_speech(avatar, Speech(sound, track=track), name, output, options, report)
    say_what_was_written(output, talk, many.as_json)


def say_what_was_written(output: Path, talk: TalkingVideo, as_json: bool = False) -> None:
    """Print the name and the length of a video; beside it where stdout is the video itself."""
    if as_json and output != STANDARD:
        about = {"frames": talk.frame_count, "seconds": round(talk.seconds, 3)}
        print_json({"video": str(output), **about})
        return
    length = f"({talk.frame_count} frames, {talk.seconds:.2f} s)"
    if output == STANDARD:
        remark(f"Wrote a video {length}")
    else:
        tell(f"Wrote {output} {length}")


def save_speech(
    avatar: Avatar,
    speech: Speech,
    name: str,
    target: Path,
    options: VideoOptions,
    report: Report,
) -> TalkingVideo:
    """Write the video of one sound file.

    Args:
        avatar: who speaks.
        speech: the file to read, and its track.
        name: what to call it in remarks.
        target: the video to write.
        options: the avatar's and the video's.
        report: called with the stage, frames done and frames in all.
    """
    talk = avatar.speak(
        speech,
        seed=options.seed,
        steps=options.steps,
        controls=options.controls,
        frame_rate=options.frame_rate,
        size=options.size,
        live=options.live,
        provenance=options.provenance,
    )
    for note in talk.notes:
        remark(f"note: {name}: {note}")
    if talk.silent:
        remark(f"note: no speech is heard in {name}; the mouth rests.")
    talk.save(target, lambda done, total: report("speaking", done, total), options.layout)
    for note in talk.head.remarks(talk.seconds):
        remark(f"note: {note}")
    return talk


def _said(
    avatar: Avatar, inputs: list[Path], target: Path, settings: dict[str, Any], report: Report
) -> str:
    """One video of many; see `Verb`."""
    from talkers.media.incoming import received
    from talkers.runtime.source import Speech

    (source,), options = inputs, settings["options"]
    with received(source, settings["pcm"]) as sound:
        speech = Speech(sound, track=settings["track"])
        talk = save_speech(avatar, speech, source.name, target, options, report)
    return f"{talk.frame_count} frames, {talk.seconds:.2f} s"


VERBS["speak"] = Verb(
    speak,
    ("speech",),
    load=lambda settings: speaking_avatar(settings["options"].avatar, settings["options"].consent),
    avatar=lambda settings: f"{settings['options'].avatar} {settings['options'].consent}",
    files=lambda settings: settings["options"].files,
    refuse=lambda settings: refuse_unconsented(settings["options"]),
    make=_said,
)
