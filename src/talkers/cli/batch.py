"""Many files in one run: what is done is skipped, and one bad file does not stop the others."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.files import file_digest
from talkers.cli.console import out, partial, remark
from talkers.cli.videos import is_piped, is_video_name
from talkers.errors import ArtefactError, InternalFault, MediaError, UsageError, reason, shown

RECORD = ".talkers-done.json"  # in a folder of videos: of what each was made


def targets(sources: list[Path], folder: Path) -> dict[Path, Path]:
    """A video in the folder for each file: of its name, and of its old suffix where two share a
    stem.

    Raises:
        UsageError: two files have one name, a pipe is among them, or the folder has a video's name.
    """
    if is_video_name(folder) and not folder.is_dir():
        raise UsageError(
            f"{len(sources)} files were given and one video to write",
            where=folder,
            todo="Name a folder for the videos, such as -o videos/",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError("this is not a folder", where=folder, todo="Name a folder: -o videos/")
    if piped := [p for p in sources if is_piped(p)]:
        raise UsageError(
            "a pipe cannot be one of many files", where=piped[0], todo="Give it alone, or save it"
        )
    stems = Counter(p.stem for p in sources)
    names = {p: f"{p.stem if stems[p.stem] == 1 else p.name}.mp4" for p in sources}
    for name, count in Counter(names.values()).items():
        if count > 1:
            raise UsageError(
                f"{count} of these files would be written as {name}",
                where=folder,
                todo="Give them one folder after the other, or rename them",
            )
    return {source: folder / name for source, name in names.items()}


def made_of(source: Path, options: dict[str, Any]) -> str:
    """What tells whether a video is still that of its source: a digest of the file and options.

    Args:
        source: the file.
        options: all that decides what is made of it; JSON.
    """
    known = json.dumps([file_digest(source), options], sort_keys=True, default=str)
    return sha256(known.encode()).hexdigest()


def run_batch(
    jobs: dict[Path, Path],
    folder: Path,
    options: dict[str, Any],
    work: Callable[[Path, Path], str],
) -> None:
    """Make a video of each file, print a table of them, and raise what stands for the failures.

    Args:
        jobs: the video to write of each file.
        folder: of the videos; it keeps the record of what is done.
        options: all that decides what is made of a file; JSON.
        work: makes one video; returns what to say of it.

    Raises:
        PartialFailure: some files failed. MediaError: all of them did.
    """
    record = _record(folder)
    table = Table("file", "video", "")
    failures: dict[Path, MediaError | InternalFault] = {}
    try:
        for source, target in jobs.items():
            try:
                if not source.is_file():
                    raise MediaError("there is no such file", where=source, todo="Check its name")
                key = made_of(source, options)
                if _is_done(record, target, key):
                    state = "already done"
                else:
                    state = work(source, target)
                    record[target.name] = {"made_of": key, "bytes": target.stat().st_size}
                    write_json(folder / RECORD, {"videos": record})
            except MediaError as error:
                failures[source], state = error, f"failed: {error.what}"
            except (ValueError, RuntimeError, KeyError, TypeError, IndexError) as error:
                if os.environ.get("TALKERS_DEBUG"):
                    raise
                failures[source] = InternalFault(
                    f"internal fault: {type(error).__name__}: {reason(error)}",
                    where=source,
                    todo="Please report it with the output of TALKERS_DEBUG=1",
                )
                state = "failed: internal fault"
            table.add_row(*(escape(shown(c)) for c in (source, target.name, state)))
    finally:
        out.print(table)
    if failures and len(failures) == len(jobs):
        *others, last = failures.values()
        for other in others:
            remark(f"failed: {other}")
        raise last
    partial({str(path): str(failure) for path, failure in failures.items()})


def _record(folder: Path) -> dict[str, Any]:
    """Of what the folder's videos were made; a record that cannot be read tells of none."""
    try:
        videos = read_json(folder / RECORD).get("videos")
    except ArtefactError:
        return {}
    return videos if isinstance(videos, dict) else {}


def _is_done(record: dict[str, Any], target: Path, key: str) -> bool:
    """Whether the video is there, as it was written, of the same file and options."""
    held = record.get(target.name)
    return (
        isinstance(held, dict)
        and held.get("made_of") == key
        and target.is_file()
        and held.get("bytes") == target.stat().st_size
    )
