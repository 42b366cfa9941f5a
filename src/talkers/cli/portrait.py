"""talkers portrait: a picture of a face becomes an avatar."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tyro.conf import Positional

from talkers.artefacts.files import refuse_same_file
from talkers.cli.app import app
from talkers.cli.avatars import refuse_unsaid_consent
from talkers.cli.console import remark, tell
from talkers.cli.options import Out


@app.command
def portrait(
    photo: Positional[Path],
    output: Out,
    pictures: tuple[Path, ...] = (),
    face: str = "largest",
    consent: str | None = None,
    licence: str | None = None,
    base: Path | None = None,
) -> None:
    """Make an avatar of one picture of a face.

    For example: talkers portrait photo.jpg -o ada/ --consent 'I, Ada, agree to be shown'

    Args:
        photo: A picture of a face from the front, mouth closed.
        output: Folder of the avatar.
        pictures: More pictures of the same person; one that shows teeth makes the mouth better.
        face: Which face, where there are several: largest, left, right, or x,y in pixels.
        consent: Who agreed to what, kept with the avatar.
        licence: Licence of the picture, kept likewise.
        base: An avatar that shows nobody yet, trained with the recipe portrait (default: the one
            that talkers brings).
    """
    from talkers.runtime.portrait import PortraitTerms, make_portrait

    refuse_same_file([output], [photo, *pictures])
    refuse_unsaid_consent(photo, consent)
    command = "talkers " + shlex.join(sys.argv[1:])
    terms = PortraitTerms(command, consent, licence)
    avatar, notes = make_portrait([photo, *pictures], output, terms, base, face)
    for note in notes:
        remark(f"note: {note}")
    tell(f"{output}: an avatar of {avatar.size} px at {avatar.frame_rate} fps")
    tell(f"Hear it: talkers speak speech.wav --avatar {shlex.quote(str(output))} -o out.mp4")
