"""talkers prepare: footage becomes a corpus."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_photos
from talkers.cli.console import partial, progress_bar, remark, tell
from talkers.cli.options import Out, frame_rate_of, some


@app.command
def prepare(
    footage: Positional[tuple[Path, ...]],
    output: Out,
    size: int = 256,
    rate: str = "25",
    jobs: int | None = None,
    consent: str | None = None,
    licence: str | None = None,
    speaker: str | None = None,
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
        consent: Who agreed to what, kept with the corpus and its avatars.
        licence: Licence of the footage, kept likewise.
        speaker: Who is seen in this footage, for a corpus of several people: add one after the
            other.
    """
    from talkers.corpus.prepare import Statement
    from talkers.corpus.prepare import prepare as run

    refuse_photos(some(footage))
    refuse_same_file([output], footage)
    with progress_bar() as report:
        statement = Statement(consent, licence, speaker)
        done = run(footage, output, size, frame_rate_of(rate), jobs, statement, report)
    for note in done.remarks:
        remark(f"note: {note}")
    about = done.corpus.about
    tell(
        f"{output}: {done.added} clips added, {len(about['clips'])} in all, "
        f"{about['frames']} frames, {about['seconds']:.1f} s"
    )
    partial(done.failures)
