"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from talkers.errors import ResourceError, UsageError, interrupts_held

UNFINISHED = f".{'[0-9a-f]' * 8}.partial*"  # names that `atomic` gives


def unfinished(folder: Path) -> list[Path]:
    """What writers that were killed left in a folder: they could not tidy up."""
    return sorted(folder.glob(UNFINISHED))


def written_file(path: str | os.PathLike[str]) -> Path:
    """Find the file that writing to `path` makes or replaces, at the end of symbolic links.

    Raises:
        UsageError: the links lead in a circle, or `path` is a folder, pipe or device.
    """
    path = Path(path)
    if path.is_symlink():
        try:
            path = path.resolve(strict=False)
            circle = path.is_symlink()
        except (OSError, RuntimeError):
            circle = True
        if circle:
            raise UsageError(
                "this link leads in a circle", where=path, todo="Name another file to write"
            )
    if path.is_dir():
        raise UsageError(
            "this is a folder, not a file to write",
            where=path,
            todo=f"Name a file in it, for example {path / 'out.mp4'}",
        )
    if path.exists() and not path.is_file():
        raise UsageError(
            "this is no regular file, but a pipe or device", where=path, todo="Name a file to write"
        )
    return path


def _ordinary_mode(path: Path) -> int:
    """Permissions that a new file has here: what process and folder leave of 0666.

    Makes `path` for a moment.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
        path.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder whole or not at all.

    Args:
        path: the folder to make; it may be there, if nothing is in it.

    Yields:
        a temporary folder, whose files become those of `path`, avatar.json or the like last. On
        any failure nothing of it is left.

    Raises:
        ResourceError: it cannot be written.
    """
    there = path.is_dir()
    temporary = (path if there else path.absolute().parent) / f".{secrets.token_hex(4)}.partial"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if there:
            for part in sorted(temporary.iterdir(), key=lambda p: p.suffix == ".json"):
                part.replace(path / part.name)
        else:
            temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            "the folder cannot be written",
            where=path,
            why=error.strerror or str(error),
            todo="Free some room or choose another folder",
        ) from error
    finally:
        with interrupts_held():
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write to a temporary name beside `path`, renamed to it on success.

    It is removed on any failure or interrupt.

    A symbolic link is followed: the file that it leads to is replaced, the link stays.

    Args:
        path: the file to write; its folder is made.

    Yields:
        the name to write to; there is no such file yet.

    Raises:
        UsageError: `path` is no file that can be written. ResourceError: writing failed.
    """
    path = Path(path)
    temporary = None
    try:
        target = written_file(path)
        temporary = target.with_name(f".{secrets.token_hex(4)}.partial{target.suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = _ordinary_mode(temporary)
        yield temporary
        with suppress(OSError):  # some writers make private files; some disks know no permissions
            temporary.chmod(mode)
        temporary.replace(target)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ResourceError(
            "the file cannot be written",
            where=path,
            why=why,
            todo="Free some room or choose another folder",
        ) from error
    finally:
        with interrupts_held(), suppress(OSError):  # a second Ctrl-C must not stop the tidying
            if temporary is not None:
                temporary.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | Path:
    """What two names of one file have in common: the file itself, or where it would be made."""
    try:
        there = path.stat()
        return there.st_dev, there.st_ino
    except (OSError, ValueError):
        pass
    try:
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError):
        return path.absolute()


def refuse_same_file(
    outputs: Iterable[str | os.PathLike[str] | None],
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> None:
    """Refuse to write a file that is read, or that another output is.

    Files are compared, not names: links, other spellings and other cases are one file where the
    disk says so. "-" is no file.

    Args:
        outputs: files to be written; None: there is none.
        inputs: files to be read.

    Raises:
        UsageError: two of them are one file.
    """
    read, written = (
        [Path(p) for p in group if p is not None and os.fspath(p) != "-"]
        for group in (inputs, outputs)
    )
    seen = {_identity(path): (path, "is read") for path in read}
    for path in written:
        followed = path.resolve() if path.is_symlink() else path
        other, use = seen.setdefault(_identity(followed), (path, "is written"))
        if use == "is read" or other is not path:
            raise UsageError(
                "this file would be overwritten while it is needed"
                if use == "is read"
                else "two outputs are one file",
                where=path,
                why=None if os.fspath(other) == os.fspath(path) else f"it is {other}, which {use}",
                todo="Name another file to write",
            )


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A folder for what a file is made of, on its disk; it goes with all that is in it."""
    with interrupts_held():
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".talkers-")
    try:
        yield Path(folder.name)
    finally:
        with interrupts_held():
            folder.cleanup()


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
