"""talkers reenact: an avatar follows the head and the face of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unconsented, speaking_avatar
from talkers.cli.console import print_json, progress_bar, remark, tell
from talkers.cli.many import VERBS, ManyOptions, Verb, apart, named, refuse_no_folder, run_many
from talkers.cli.options import Out, PictureOptions, some
from talkers.cli.videos import STANDARD, fills_folder, refuse_output, speech_files
from talkers.progress import Report

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.reenactment import Reenactment


@dataclass(frozen=True)
class ReenactOptions(PictureOptions):
    """What of the driving video is followed, and by whom."""

    follow: Literal["both", "pose", "expression"] = "both"
    """The driving head alone (pose), its face alone (expression), or both."""
    absolute: bool = False
    """Show the driving head's own angles, instead of how they differ from the neutral frame's."""
    neutral: float | None = None
    """Second of the driving video at which its face rests (default: how it rests is told from what
    it does when it is first seen)."""
    face: str = "largest"
    """Which face of the driving video: largest, left, right or x,y in pixels."""
    speech: Path | None = None
    """Sound that drives the mouth, and is heard, in place of the driving video's."""
    upper: Path | None = None
    """Another video, which drives brows, eyes and lids."""
    sound: str = "keep"
    """What is heard: keep (the speech, or else the driving video's sound), none, or a file."""

    @property
    def files(self) -> list[Path]:
        """Files that are read beside the driving video."""
        sound = None if self.sound in ("keep", "none") else Path(self.sound)
        named = (self.speech, self.upper, sound)
        return [path for path in named if path is not None] + super().files


@app.command
def reenact(
    driving: Positional[tuple[Path, ...]],
    output: Out,
    options: Annotated[ReenactOptions, arg(name="")] = ReenactOptions(),
    many: Annotated[ManyOptions, arg(name="")] = ManyOptions(),
) -> None:
    """Let an avatar follow the head and the face of a video, whoever is in it.

    For example: talkers reenact me.mp4 --avatar ada/ -o out.mp4

    Args:
        driving: Videos of a face, or folders of them; - reads standard input.
        output: Video to write, - for standard output, or for several videos a folder.
        options: What is followed, and by whom.
        many: Where many videos are worked on, and how that is told.
    """
    from talkers.media import VIDEO_SUFFIXES
    from talkers.media.incoming import received

    sources, left = speech_files(some(driving, "video"), set(VIDEO_SUFFIXES))
    for path in left:
        remark(f"note: {path} is left out: its name is not that of a video.")
    if fills_folder(driving, sources, output):
        refuse_no_folder(len(sources), output)
        jobs, failed = apart(named("reenact", [[s] for s in sources], {"options": options}), output)
        refuse_same_file([output / job.name for job in jobs], [*sources, *options.files])
        run_many(jobs, len(jobs), output, many, failed)
        return
    many.refuse_cluster()
    refuse_output(output)
    refuse_same_file([output], [*sources, *options.files])
    with received(sources[0]) as source:
        avatar = speaking_avatar(options.avatar, options.consent)
        with progress_bar() as report:
            save_reenactment(avatar, source, output, options, report)
    if many.as_json and output != STANDARD:
        print_json({"video": str(output)})
    else:
        (remark if output == STANDARD else tell)(f"Wrote {output}")


def save_reenactment(
    avatar: Avatar, source: Path, target: Path, options: ReenactOptions, report: Report
) -> Reenactment:
    """Write the video of an avatar that follows one video."""
    from talkers.runtime.reenactment import ReenactTerms

    terms = ReenactTerms(
        options.follow,
        options.absolute,
        options.neutral,
        options.face,
        options.speech,
        options.upper,
    )
    shown = avatar.reenact(
        source,
        terms,
        seed=options.seed,
        steps=options.steps,
        frame_rate=options.frame_rate,
        size=options.size,
        provenance=options.provenance,
        report=report,
    )
    shown.save(
        target,
        lambda done, total: report("following", done, total),
        options.layout,
        None if options.sound == "none" else options.sound,
    )
    for note in shown.notes:
        remark(f"note: {source.name}: {note}")
    return shown


VERBS["reenact"] = Verb(
    reenact,
    ("driving",),
    load=lambda settings: speaking_avatar(settings["options"].avatar, settings["options"].consent),
    avatar=lambda settings: f"{settings['options'].avatar} {settings['options'].consent}",
    files=lambda settings: settings["options"].files,
    refuse=lambda settings: refuse_unconsented(settings["options"]),
    make=lambda avatar, inputs, target, settings, report: (
        f"{save_reenactment(avatar, inputs[0], target, settings['options'], report).frame_count} "
        "frames"
    ),
)
