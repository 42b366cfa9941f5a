"""Sounds in, videos out: what a name on the command line stands for."""

from __future__ import annotations

from pathlib import Path

from talkers.errors import MediaError, UsageError

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


def fills_folder(given: tuple[Path, ...], sources: list[Path], output: Path) -> bool:
    """Whether videos are written into a folder, one for each file, and not a single one.

    Args:
        given: files and folders that were named.
        sources: the files that these stand for.
        output: where to write.
    """
    if output.is_dir():
        return True
    one = len(sources) == 1 and (not given[0].is_dir() or is_video_name(output))
    return not one
