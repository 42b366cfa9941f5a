"""talkers dub: a film says other words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unsaid_consent
from talkers.cli.console import print_json, progress_bar, remark, tell
from talkers.cli.options import Json, Out
from talkers.cli.videos import STANDARD, refuse_output
from talkers.errors import UsageError, missing

if TYPE_CHECKING:
    from talkers.progress import Report
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
    """How far the mouth moves, beside what people do."""
    track: int | None = None
    """Which of the speech's sound tracks, 1 for the first (default: the one with speech)."""
    base: str | None = None
    """An avatar that knows how people speak (default: the one that talkers brings)."""
    provenance: bool = True
    """Sign the video as made by a machine (see talkers verify)."""


@app.command
def dub(
    film: Positional[Path],
    speech: Positional[Path],
    output: Out,
    options: Annotated[DubOptions, arg(name="")] = DubOptions(),
    as_json: Json = False,
) -> None:
    """Let a film say other words: only the lips change.

    For example: talkers dub film.mp4 speech.wav -o out.mp4 --consent "Ada agreed to be dubbed"

    Args:
        film: A video of a face.
        speech: What it is to say: any file with speech in it; - reads standard input.
        output: Video to write (.mp4, .mov, .mkv, .webm, ...), or - for standard output.
        options: Who is dubbed, and what happens where film and speech differ in length.
        as_json: Print what was done and what was left alone as JSON.
    """
    from talkers.controls.request import Controls
    from talkers.media.incoming import received
    from talkers.progress import parse_duration
    from talkers.runtime.avatar import Avatar
    from talkers.runtime.bundle import base_folder
    from talkers.runtime.dubbing import DubTerms
    from talkers.runtime.source import Speech

    refuse_output(output)
    if as_json and output == STANDARD:
        raise UsageError(
            "the video and its description cannot both go to standard output",
            todo="Name a file for the video, or leave out --json",
        )
    refuse_same_file([output], [film, speech, options.bed])
    refuse_unsaid_consent(film, options.consent)
    Controls(amplitude=options.amplitude)  # refuses what is out of range before anything is read
    terms = DubTerms(
        options.face, options.when_longer, options.when_shorter, options.bed, options.bed_gain
    )
    learn = None if options.learn is None else _learner(parse_duration(options.learn))
    with received(speech) as sound:
        avatar = Avatar.load(options.base or base_folder())
        with progress_bar() as report:
            made = avatar.dub(
                film,
                Speech(sound, track=options.track),
                terms,
                amplitude=options.amplitude,
                provenance=options.provenance,
                report=report,
            )
            if learn is not None:
                learn(made, report)
            made.save(output, lambda done, total: report("dubbing", done, total))
    for note in made.notes:
        remark(f"note: {note}")
    if as_json:
        spans = [{"start": a, "end": b, "why": why} for a, b, why in made.left]
        print_json({"video": str(output), "frames": made.frame_count, "left_alone": spans})
        return
    for start, end, why in made.left:
        remark(f"note: {start:.2f} to {end:.2f} s is left as it was: {why}.")
    (remark if output == STANDARD else tell)(f"Wrote {output} ({made.frame_count} frames)")


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
