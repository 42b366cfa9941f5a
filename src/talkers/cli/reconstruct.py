"""talkers reconstruct: what the codec alone keeps of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import load_avatar
from talkers.cli.console import print_json, progress_bar, remark, tell
from talkers.cli.many import VERBS, ManyOptions, Verb, apart, named, refuse_no_folder, run_many
from talkers.cli.options import Out, some
from talkers.cli.videos import (
    STANDARD,
    fills_folder,
    refuse_output,
    speech_files,
)
from talkers.progress import Report

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar


@dataclass(frozen=True)
class ReconstructOptions:
    """Which avatar's codec, and how it draws."""

    avatar: str = "default"
    """Folder of an avatar, or default for the bundled one."""
    seed: int = 0
    """Of the noise."""
    steps: int | None = None
    """Network passes a frame."""
    provenance: bool = True
    """Mark and sign the video."""


@app.command
def reconstruct(
    clip: Positional[tuple[Path, ...]],
    output: Out,
    options: Annotated[ReconstructOptions, arg(name="")] = ReconstructOptions(),
    many: Annotated[ManyOptions, arg(name="")] = ManyOptions(),
) -> None:
    """Frames to latents and back: shows what the codec alone keeps of videos of the same person.

    For example: talkers reconstruct clip.mp4 --avatar ada/ -o out.mp4

    Args:
        clip: Videos of the avatar's person, or folders of them; - reads standard input.
        output: Video to write, - for standard output, or for several clips a folder.
        options: Of the codec.
        many: Where many clips are worked on, and how that is told.
    """
    from talkers.media import VIDEO_SUFFIXES
    from talkers.media.incoming import received

    sources, left = speech_files(some(clip, "video"), set(VIDEO_SUFFIXES))
    for path in left:
        remark(f"note: {path} is left out: its name is not that of a video.")
    if fills_folder(clip, sources, output):
        refuse_no_folder(len(sources), output)
        jobs, failed = apart(
            named("reconstruct", [[s] for s in sources], {"options": options}), output
        )
        refuse_same_file([output / job.name for job in jobs], sources)
        run_many(jobs, len(jobs), output, many, failed)
        return
    many.refuse_cluster()
    refuse_output(output)
    refuse_same_file([output], sources)
    with received(sources[0]) as source:
        avatar = load_avatar(options.avatar)
        with progress_bar() as report:
            save_clip(avatar, source, output, options, report)
    if many.as_json and output != STANDARD:
        print_json({"video": str(output)})
    else:
        (remark if output == STANDARD else tell)(f"Wrote {output}")


def save_clip(
    avatar: Avatar, source: Path, target: Path, options: ReconstructOptions, report: Report
) -> str:
    """Write what the codec keeps of one video; returns what to say of it."""
    from talkers.face.source import FaceScale, cropped_clip
    from talkers.media import audio_blocks, probe
    from talkers.media.generated import write_generated

    info = probe(source)
    count, frames = cropped_clip(
        source,
        avatar.frame_rate,
        avatar.size,
        lambda done: report("finding the face", done, done),
        scale=FaceScale.from_json(avatar.about.get("crop")),
    )
    sound = audio_blocks(source, 48_000, 1) if info.audio else None
    generated = avatar.reconstruct(frames, options.seed, options.steps, mark=options.provenance)
    write_generated(
        target,
        generated,
        avatar.frame_rate,
        (sound, 48_000, 1),
        avatar.digest if options.provenance else None,
        lambda done: report("reconstructing", done, count),
    )
    return f"{count} frames"


VERBS["reconstruct"] = Verb(
    reconstruct,
    ("clip",),
    load=lambda settings: load_avatar(settings["options"].avatar),
    avatar=lambda settings: f"codec {settings['options'].avatar}",
    files=lambda settings: [],
    refuse=lambda settings: None,
    make=lambda avatar, inputs, target, settings, report: save_clip(
        avatar, inputs[0], target, settings["options"], report
    ),
)
