"""Files that appear whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from talkers.errors import ResourceError, UsageError, interrupts_held


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


UNFINISHED = f".{'[0-9a-f]' * 8}.partial*"  # names that `atomic` gives


def unfinished(folder: Path) -> list[Path]:
    """What writers that were killed left in a folder: they could not tidy up."""
    return sorted(folder.glob(UNFINISHED))


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it on success and removed on any failure or interrupt."""
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UsageError(
                "this is a folder, not a file to write",
                where=path,
                todo=f"Name a file in it, for example {path / 'out.mp4'}",
            )
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers make private files
        temporary.replace(path)
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
            temporary.unlink(missing_ok=True)


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
