"""What the clips of a corpus are called, and what is said in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from talkers.corpus.store import ClipRecord

MAX_TRANSCRIPT = 5_000  # characters


def unique_names(files: Sequence[Path], taken: set[str]) -> dict[Path, str]:
    """Names for the clips of files, like the files' own.

    Args:
        files: the sources.
        taken: names that are not used; the new ones are added.
    """
    names: dict[Path, str] = {}
    for path in files:
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in path.stem)[:80] or "clip"
        name, k = stem, 2
        while name in taken:
            name, k = f"{stem}-{k}", k + 1
        taken.add(name)
        names[path] = name
    return names


def with_transcript(clips: list[ClipRecord], source: Path, remarks: list[str]) -> list[ClipRecord]:
    """Add what is said in a video to its clip.

    Args:
        clips: of the video; only one that was not cut up has a transcript.
        source: the video; a text file of its name may lie beside it.
        remarks: takes a sentence about a transcript that cannot be used.

    Returns:
        the clips.
    """
    path = source.with_suffix(".txt")
    if not path.is_file():
        return clips
    try:
        text = " ".join(path.read_bytes()[: MAX_TRANSCRIPT + 1].decode("utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        remarks.append(f"{path}: the transcript cannot be read ({error}); left out.")
        return clips
    if len(clips) != 1 or not 0 < len(text) <= MAX_TRANSCRIPT:
        remarks.append(
            f"{path}: the transcript is left out: it has {len(text)} characters, "
            f"and the video became {len(clips)} clips."
        )
        return clips
    return [replace(clips[0], transcript=text)]
