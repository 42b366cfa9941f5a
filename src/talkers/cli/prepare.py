"""talkers prepare: footage becomes a corpus."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_photos
from talkers.cli.console import partial, progress_bar, remark, tell
from talkers.cli.options import Out, frame_rate_of, some


@dataclass(frozen=True)
class StatementOptions:
    """What is said of the footage."""

    consent: str | None = None
    """Who agreed to what, kept with the corpus and its avatars."""
    licence: str | None = None
    """Licence of the footage, kept likewise."""
    speaker: str | None = None
    """Who is seen in this footage, for a corpus of several people: add one after the other."""


def spread_over(ray: str | None) -> AbstractContextManager[None]:
    """Let the pieces of a work run on a Ray cluster.

    Args:
        ray: its address; None: they run on this machine.
    """
    if ray is None:
        return nullcontext()
    from talkers.jobs.spread import on_cluster

    return on_cluster(ray)


@app.command
def prepare(
    footage: Positional[tuple[Path, ...]],
    output: Out,
    size: int = 256,
    rate: str = "25",
    jobs: int | None = None,
    said: Annotated[StatementOptions, arg(name="")] = StatementOptions(),
    ray: str | None = None,
) -> None:
    """Turn footage of one person into a corpus.

    Interrupted, it goes on where it was; run again, it adds what is new.
    For example: talkers prepare footage/ -o corpus/ --consent 'I, Ada, agree to be shown'

    Args:
        footage: Video files, or folders of them.
        output: Folder of the corpus.
        size: Side of the frames in pixels.
        rate: Frames a second.
        jobs: Files worked on at once (default: one a core).
        said: What is said of the footage.
        ray: Work on a Ray cluster, whose machines share the folders of footage and corpus: its
            address (HOST:6379), or auto for the one of this machine.
    """
    from talkers.corpus.prepare import Statement
    from talkers.corpus.prepare import prepare as run

    refuse_photos(some(footage))
    refuse_same_file([output], footage)
    with spread_over(ray), progress_bar() as report:
        statement = Statement(said.consent, said.licence, said.speaker)
        done = run(footage, output, size, frame_rate_of(rate), jobs, statement, report)
    for note in done.remarks:
        remark(f"note: {note}")
    about = done.corpus.about
    tell(
        f"{output}: {done.added} clips added, {len(about['clips'])} in all, "
        f"{about['frames']} frames, {about['seconds']:.1f} s"
    )
    partial(done.failures)
