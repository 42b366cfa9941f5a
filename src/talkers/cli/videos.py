"""Sounds in, videos out: what a name on the command line stands for."""

from __future__ import annotations

from pathlib import Path

from talkers.errors import MediaError, UsageError
from talkers.jobs.storage import listed, url_of

STANDARD = Path("-")  # standard input or output
AUDIO_SUFFIXES = {
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp2",
    ".mp3", ".oga", ".ogg", ".opus", ".spx", ".wav", ".wma",
}  # fmt: skip


def is_piped(path: Path) -> bool:
    """Whether a name stands for standard input or for a pipe, such as <(...)."""
    try:
        return path == STANDARD or path.is_fifo()
    except (OSError, ValueError):
        return False


def is_video_name(path: Path) -> bool:
    """Whether videos are written under such a name."""
    from talkers.media import check_output

    try:
        check_output(path)
    except UsageError:
        return False
    return True


def refuse_output(path: Path) -> None:
    """Refuse a name of which it is known that no video can be written there.

    Raises:
        UsageError: another suffix, or a folder.
    """
    from talkers.media import check_output

    if path.is_dir():
        raise UsageError(
            "this is a folder, not a video",
            where=path,
            todo=f"Name a file in it, such as {path / 'out.mp4'}",
        )
    check_output(path)


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
        held = _objects(path) if url_of(path) else None
        if (held is None and not path.is_dir()) or held == []:
            taken.append(path)
            continue
        if held is None:
            held = sorted(p for p in path.iterdir() if p.is_file())
        held = [p for p in held if not p.name.startswith(".")]
        found = [p for p in held if p.suffix.lower() in suffixes]
        left += [p for p in held if p.suffix.lower() not in suffixes]
        if not found:
            raise MediaError(
                "there is no such file in this folder",
                where=path,
                todo="Name the files themselves",
            )
        taken += found
    return list(dict.fromkeys(taken)), left


def _objects(path: Path) -> list[Path]:
    """What lies directly below a URL; nothing: it is no folder."""
    names = [Path(name) for name in listed(url_of(path) or "")]
    return [name for name in names if not name.name.startswith(".")]


def fills_folder(given: tuple[Path, ...], sources: list[Path], output: Path) -> bool:
    """Whether videos are written into a folder, one for each file, and not a single one.

    Args:
        given: files and folders that were named.
        sources: the files that these stand for.
        output: where to write.
    """
    if output.is_dir() or url_of(output) is not None:
        return True
    one = len(sources) == 1 and (not given[0].is_dir() or is_video_name(output))
    return not one
