"""talkers speak: an avatar says what sound files say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from talkers.artefacts.files import file_digest, refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import speaking_avatar
from talkers.cli.batch import run_batch, targets
from talkers.cli.console import progress_bar, remark, tell
from talkers.cli.options import Out, VideoOptions, some
from talkers.cli.videos import (
    AUDIO_SUFFIXES,
    STANDARD,
    fills_folder,
    refuse_output,
    speech_files,
)
from talkers.progress import Report
from talkers.version import __version__

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
    """
    from talkers.media import VIDEO_SUFFIXES
    from talkers.media.incoming import received
    from talkers.runtime.source import Speech

    sources, left = speech_files(some(speech, "speech"), AUDIO_SUFFIXES | set(VIDEO_SUFFIXES))
    for path in left:
        remark(f"note: {path} is left out: its name is not that of sound or video.")
    if fills_folder(speech, sources, output):
        jobs = targets(sources, output)
        refuse_same_file(jobs.values(), [*sources, *options.files])
        speak_all(jobs, output, options, track, pcm)
        return
    refuse_output(output)
    refuse_same_file([output], [*sources, *options.files])
    (source,) = sources
    name = "standard input" if source == STANDARD else str(source)
    with received(source, pcm) as sound:
        avatar = speaking_avatar(options.avatar, options.consent)
        with progress_bar() as report:
            talk = save_speech(avatar, Speech(sound, track=track), name, output, options, report)
    say_what_was_written(output, talk)


def say_what_was_written(output: Path, talk: TalkingVideo) -> None:
    """Print the name and the length of a video; beside it where stdout is the video itself."""
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


def speak_all(
    jobs: dict[Path, Path],
    folder: Path,
    options: VideoOptions,
    track: int | None = None,
    pcm: int | None = None,
) -> None:
    """Write the videos of many sound files; see `run_batch`.

    Args:
        jobs: the video to write of each file.
        folder: of the videos.
        options: the avatar's and the videos'.
        track: sound track of each file; None: the one with speech.
        pcm: samples a second of raw sound; None: the files say it.
    """
    from talkers.media.incoming import received
    from talkers.runtime.source import Speech

    avatar = speaking_avatar(options.avatar, options.consent)
    files = [path for path in options.files if path.is_file()]
    decides = asdict(options) | {
        "track": track,
        "pcm": pcm,
        "talkers": __version__,
        "avatar": avatar.digest,
        "files": [file_digest(p) for p in files],
    }
    with progress_bar() as report:

        def work(source: Path, target: Path) -> str:
            def speaking(_stage: str, done: int, total: int) -> None:
                report(source.name, done, total)

            with received(source, pcm) as sound:
                speech = Speech(sound, track=track)
                talk = save_speech(avatar, speech, str(source), target, options, speaking)
            return f"{talk.frame_count} frames, {talk.seconds:.2f} s"

        run_batch(jobs, folder, decides, work)
