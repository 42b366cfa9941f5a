"""Sounds in, videos out: what a name on the command line stands for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from talkers.errors import MediaError, ResourceError, UsageError

STANDARD = Path("-")  # standard input or output
AUDIO_SUFFIXES = {
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp2",
    ".mp3", ".oga", ".ogg", ".opus", ".spx", ".wav", ".wma",
}  # fmt: skip
PIPED = "speech"  # name of what comes through a pipe


def is_piped(path: Path) -> bool:
    """Whether a name stands for standard input or for a pipe, such as <(...)."""
    try:
        return path == STANDARD or path.is_fifo()
    except (OSError, ValueError):
        return False


@contextmanager
def spooled(path: Path) -> Iterator[Path]:
    """A file that can be read more than once: the path itself, or what came through its pipe.

    Raises:
        MediaError: nothing came. ResourceError: the disk does not hold it.
    """
    if not is_piped(path):
        yield path
        return
    with TemporaryDirectory(prefix="talkers-") as folder:
        copy = Path(folder) / PIPED
        try:
            with copy.open("wb") as target:
                if path == STANDARD:
                    shutil.copyfileobj(sys.stdin.buffer, target)
                else:
                    with path.open("rb") as source:
                        shutil.copyfileobj(source, target)
        except OSError as error:
            raise ResourceError(
                "what comes through the pipe cannot be kept",
                where=folder,
                why=error.strerror,
                todo="Free some room, or name another folder in TMPDIR",
            ) from error
        if not copy.stat().st_size:
            raise MediaError(
                "nothing came through the pipe",
                where="standard input" if path == STANDARD else path,
                todo="See that the command before it writes sound",
            )
        yield copy


@contextmanager
def written(output: Path) -> Iterator[Path]:
    """Where to write a video: the path itself, or a file that then goes to standard output.

    Raises:
        UsageError: standard output is a terminal.
    """
    if output != STANDARD:
        yield output
        return
    if sys.stdout.isatty():
        raise UsageError(
            "a video is not written to a terminal", todo="Send it on: -o - | ffplay -, for example"
        )
    with TemporaryDirectory(prefix="talkers-") as folder:
        target = Path(folder) / "out.mp4"
        yield target
        with target.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def is_video_name(path: Path) -> bool:
    """Whether videos are written under such a name."""
    return path == STANDARD or path.suffix.lower() in WRITTEN


def refuse_output(path: Path) -> None:
    """Refuse a name of which it is known that no video can be written there.

    Raises:
        UsageError: another suffix, or a folder.
    """
    if path == STANDARD or (path.suffix.lower() in WRITTEN and not path.is_dir()):
        return
    raise UsageError(
        f"videos are not written as '{path.suffix}'"
        if not path.is_dir()
        else "this is a folder, not a video",
        where=path,
        todo="Use a name ending in .mp4, .mov or .mkv",
    )


WRITTEN = {".mp4", ".m4v", ".mov", ".mkv"}


def speech_files(paths: tuple[Path, ...], suffixes: set[str]) -> tuple[list[Path], list[Path]]:
    """Files as given; folders are searched, without those within them.

    Args:
        paths: files and folders.
        suffixes: of files that are taken from folders, in lower case.

    Returns:
        the files, and those in the folders that are left out for their suffix.

    Raises:
        MediaError: a folder holds no such file.
    """
    taken: list[Path] = []
    left: list[Path] = []
    for path in paths:
        if not path.is_dir():
            taken.append(path)
            continue
        held = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        found = [p for p in held if p.suffix.lower() in suffixes]
        left += [p for p in held if p not in found]
        if not found:
            raise MediaError(
                "there is no such file in this folder",
                where=path,
                todo="Name the files themselves",
            )
        taken += found
    return list(dict.fromkeys(taken)), left
