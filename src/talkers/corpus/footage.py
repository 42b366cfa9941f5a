"""Which files of a folder are footage: videos by content, and nothing that this program made."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from talkers.errors import MediaError
from talkers.media import VIDEO_SUFFIXES, probe

AMBIGUOUS_SUFFIXES = {".ts", ".mts"}  # also program text
OWN_FILES = ("corpus.json", "avatar.json")  # a folder that holds one was made by this program
_TYPES = mimetypes.MimeTypes()


def footage_files(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    remark: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Find the videos in files and folders.

    Files are taken as given. Folders, and folders that links in them lead to, are searched. A file
    whose name does not tell what it is is opened. Hidden files, corpora and avatars are left out.

    Args:
        paths: files and folders.
        out: a folder that is not searched, such as the corpus that is being made.
        remark: called with a sentence about each thing that is left out and might be missed.

    Returns:
        the files, those of a folder sorted by name, each once.

    Raises:
        MediaError: a folder holds no video.
    """
    files: list[Path] = []
    own = None if out is None else os.path.realpath(out)
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        unknown: list[Path] = []
        found = sorted(p for p in _walk(path, own, remark) if _is_video(p, unknown.append))
        if unknown:
            endings = ", ".join(sorted({p.suffix or "no suffix" for p in unknown})[:8])
            remark(f"{path}: {len(unknown)} files ({endings}) hold no video that can be decoded.")
        if not found:
            made = any((path / name).is_file() for name in OWN_FILES)
            raise MediaError(
                "this folder was made by talkers" if made else "there is no video in this folder",
                where=path,
                todo="Name the folder of the footage"
                if made
                else "Name the video files themselves",
            )
        files += found
    return list(dict.fromkeys(files))


def _walk(root: Path, own: str | None, remark: Callable[[str], None]) -> Iterator[Path]:
    """Files below a folder that are neither hidden nor made by this program."""
    seen: set[str] = set()
    for folder, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        made = any(name in files for name in OWN_FILES)
        if made and real != own:
            remark(f"{folder}: this is a corpus or an avatar, not footage; left out.")
        if made or real == own or real in seen:  # a link may lead to a folder above it
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in files:
            if not name.startswith("."):
                yield Path(folder) / name


def _is_video(path: Path, unknown: Callable[[Path], None]) -> bool:
    """Whether a file holds moving pictures: by its name where that is enough, else by content.

    Calls `unknown` with a file that is neither text nor anything that can be decoded.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES - AMBIGUOUS_SUFFIXES:
        return True
    kind = _TYPES.guess_type(f"x{suffix}")[0] or ""
    if kind.startswith(("text/", "image/", "audio/", "application/")) or _is_text(path):
        return False
    try:
        info = probe(path)
    except MediaError:
        unknown(path)
        return False
    return info.video is not None and not info.video.still


def _is_text(path: Path) -> bool:
    """Whether a file is empty, no regular file or begins as UTF-8 text, and need not be opened."""
    if not path.is_file():
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(1024)
        head[:-4].decode()  # a character may be cut at the end
    except (OSError, UnicodeDecodeError):
        return False
    return b"\0" not in head
