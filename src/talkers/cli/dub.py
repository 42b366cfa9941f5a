"""talkers dub: a film says other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unsaid_consent
from talkers.cli.console import print_json, progress_bar, remark, tell
from talkers.cli.many import VERBS, ManyOptions, Verb, apart, named, refuse_no_folder, run_many
from talkers.cli.options import Out
from talkers.cli.videos import AUDIO_SUFFIXES, STANDARD, refuse_output, speech_files
from talkers.controls.request import Controls
from talkers.errors import MediaError, UsageError, missing
from talkers.jobs import Job
from talkers.jobs.storage import url_of
from talkers.progress import parse_duration

if TYPE_CHECKING:
    from talkers.progress import Report
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.dubbing import Dubbing


@dataclass(frozen=True)
class DubOptions:
    """Who is dubbed, and what happens where film and speech differ in length."""

    consent: str | None = None
    """Who agreed to be shown saying other words."""
    face: str = "auto"
    """Which face: auto (whose lips go with the film's sound), largest, left, right or x,y in
    pixels, in the first frame with faces."""
    when_longer: Literal["loop", "bounce", "freeze", "stretch", "cut", "error"] = "loop"
    """Where the speech is longer than the film: show the film again, there and back, its last
    frame, or the film at a slower pace; cut the speech; or refuse."""
    when_shorter: Literal["keep", "silence", "cut"] = "silence"
    """After a speech that is shorter: keep the film and its sound as they are, go on in silence
    with a mouth that rests, or cut the film."""
    bed: Path | None = None
    """A file whose sound goes on under the speech: music, or noise of the place."""
    bed_gain: float = 0.0
    """By how many dB the bed is louder than in its file; below 0 it is quieter."""
    learn: str | None = None
    """First learn for so long what this person's mouth is like, such as 10m: a better picture."""
    amplitude: float = 1.0
    """How far the mouth moves, beside the film's own way, or what people do."""
    track: int | None = None
    """Which of the speech's sound tracks, 1 for the first (default: the one with speech)."""
    base: str | None = None
    """An avatar that knows how people speak (default: the one that talkers brings)."""
    provenance: bool = True
    """Sign the video as made by a machine (see talkers verify)."""

    def refuse_wrong(self) -> None:
        """Refuse what is out of range before anything is read.

        Raises:
            UsageError: it is. MissingComponent: learning is asked for, and what trains is not
                installed.
        """
        Controls(amplitude=self.amplitude)
        if self.learn is not None:
            _learner(parse_duration(self.learn))


@app.command
def dub(
    film: Positional[Path],
    speech: Positional[Path],
    output: Out,
    options: Annotated[DubOptions, arg(name="")] = DubOptions(),
    many: Annotated[ManyOptions, arg(name="")] = ManyOptions(),
) -> None:
    """Let a film say other words: only the lips change.

    For example: talkers dub film.mp4 speech.wav -o out.mp4 --consent "Ada agreed to be dubbed"

    Args:
        film: A video of a face, or a folder of them.
        speech: What it is to say: any file with speech in it; - reads standard input. A folder of
            films and one of speeches go together by name: a.mp4 with a.wav, a.de.wav, a.fr.wav.
        output: Video to write (.mp4, .mov, .mkv, .webm, ...), - for standard output, or for
            several videos a folder.
        options: Who is dubbed, and what happens where film and speech differ in length.
        many: Where many films are worked on, and how that is told; --json also tells of one what
            was left alone.
    """
    from talkers.media.incoming import received

    if any(_is_folder(path) for path in (film, speech, output)):
        groups = pairs_of(film, speech)
        refuse_no_folder(len(groups), output)
        refuse_unsaid_consent(film, options.consent)
        options.refuse_wrong()
        jobs, failed = apart(
            named_dubs(groups, not _is_folder(speech), {"options": options}), output
        )
        read = [path for group in groups for path in group]
        refuse_same_file([output / job.name for job in jobs], [*read, options.bed])
        run_many(jobs, len(jobs), output, many, failed)
        return
    many.refuse_cluster()
    refuse_output(output)
    if many.as_json and output == STANDARD:
        raise UsageError(
            "the video and its description cannot both go to standard output",
            todo="Name a file for the video, or leave out --json",
        )
    refuse_same_file([output], [film, speech, options.bed])
    refuse_unsaid_consent(film, options.consent)
    options.refuse_wrong()
    with received(speech) as sound:
        avatar = _base_of({"options": options})
        with progress_bar() as report:
            made = save_dub(avatar, film, sound, output, options, report)
    if many.as_json:
        spans = [{"start": a, "end": b, "why": why} for a, b, why in made.left]
        print_json({"video": str(output), "frames": made.frame_count, "left_alone": spans})
        return
    _tell_left_alone(made)
    (remark if output == STANDARD else tell)(f"Wrote {output} ({made.frame_count} frames)")


def save_dub(
    avatar: Avatar, film: Path, sound: Path, output: Path, options: DubOptions, report: Report
) -> Dubbing:
    """Write one dubbed film.

    Args:
        avatar: a base for portraits.
        film: a video of a face.
        sound: what it is to say.
        output: the video to write.
        options: who is dubbed, and how.
        report: called with the stage, frames done and frames in all.
    """
    from talkers.runtime.dubbing import DubTerms
    from talkers.runtime.source import Speech

    terms = DubTerms(
        options.face, options.when_longer, options.when_shorter, options.bed, options.bed_gain
    )
    made = avatar.dub(
        film,
        Speech(sound, track=options.track),
        terms,
        amplitude=options.amplitude,
        provenance=options.provenance,
        report=report,
    )
    if options.learn is not None:
        _learner(parse_duration(options.learn))(made, report)
    made.save(output, lambda done, total: report("dubbing", done, total))
    for note in made.notes:
        remark(f"note: {note}")
    return made


def _tell_left_alone(made: Dubbing) -> None:
    for start, end, why in made.left:
        remark(f"note: {start:.2f} to {end:.2f} s is left as it was: {why}.")


def _is_folder(path: Path) -> bool:
    return path.is_dir() or (url_of(path) is not None and path.suffix == "")


def pairs_of(film: Path, speech: Path) -> list[list[Path]]:
    """Films with what they are to say.

    One film says every speech of a folder, every film of a folder one speech. Of two folders, a
    speech goes with the film whose stem its name begins with, up to a dot.

    Args:
        film: a film, or a folder of them.
        speech: a file with speech, or a folder of them.

    Returns:
        film and speech of each video.

    Raises:
        MediaError: a folder holds no such file, or no film has a speech.
    """
    from talkers.media import VIDEO_SUFFIXES

    videos = set(VIDEO_SUFFIXES)
    films, _ = speech_files((film,), videos)
    speeches, _ = speech_files((speech,), AUDIO_SUFFIXES | videos)
    if not (_is_folder(film) and _is_folder(speech)):
        return [[f, s] for f in films for s in speeches]
    by_stem = {f.stem: f for f in films}
    pairs = []
    for said in speeches:
        parts = said.name.split(".")[:-1]
        stems = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        if (stem := next((s for s in stems if s in by_stem), None)) is not None:
            pairs.append([by_stem[stem], said])
    used = {path for pair in pairs for path in pair}
    for path in [*films, *speeches]:
        if path not in used:
            remark(f"note: {path} is left out: nothing of that name goes with it.")
    if not pairs:
        raise MediaError(
            "no speech has the name of one of the films",
            where=speech,
            todo="Call them alike: a.mp4 with a.wav, or with a.de.wav and a.fr.wav",
        )
    return pairs


def named_dubs(groups: list[list[Path]], by_film: bool, settings: dict[str, Any]) -> list[Job]:
    """Jobs named after the films, or after the speeches."""
    jobs = named("dub", [group[::-1] if by_film else group for group in groups], settings)
    return [replace(job, inputs=job.inputs[::-1]) for job in jobs] if by_film else jobs


def _base_of(settings: dict[str, Any]) -> Avatar:
    """The base for portraits that settings name."""
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.bundle import base_folder

    return Avatar.load(settings["options"].base or base_folder())


def _dubbed(
    avatar: Avatar, inputs: list[Path], target: Path, settings: dict[str, Any], report: Report
) -> str:
    """One dubbed film of many; see `Verb`."""
    film, sound = inputs
    refuse_unsaid_consent(film, settings["options"].consent)
    made = save_dub(avatar, film, sound, target, settings["options"], report)
    _tell_left_alone(made)
    alone = sum(end - start for start, end, _ in made.left)
    return f"{made.frame_count} frames" + (f", {alone:.1f} s left as it was" if alone else "")


def _learner(seconds: float) -> Callable[[Dubbing, Report], None]:
    """What lets a dubbing learn from its film for so long.

    Raises:
        MissingComponent: what trains is not installed.
    """
    try:
        from talkers.training.film_stage import learn_film
    except ImportError as error:
        raise missing("learning", "train", error) from error
    return lambda made, report: learn_film(made, seconds, report)


def _refuse_dub(settings: dict[str, Any]) -> None:
    options = settings["options"]
    refuse_unsaid_consent(Path("consent"), options.consent)
    options.refuse_wrong()


VERBS["dub"] = Verb(
    dub,
    ("film", "speech"),
    load=_base_of,
    avatar=lambda settings: f"base {settings['options'].base}",
    files=lambda settings: [p for p in (settings["options"].bed,) if p is not None],
    refuse=_refuse_dub,
    make=_dubbed,
)
