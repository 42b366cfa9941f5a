"""Inputs and results as files of a disk, or as objects that fsspec reaches (s3://, gs://, ...).

A file of a disk is used where it is. An object is copied to this machine to be read, and put into
its place at once when it is whole.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from talkers.artefacts.files import UNFINISHED, atomic, unfinished
from talkers.errors import MediaError, ResourceError, TalkersError, missing, reason

# pathlib makes one slash of two
SCHEME = re.compile(r"([a-z][a-z0-9+]+):/{1,3}(?=[^/])")
WHOLE_AT_ONCE = {"abfs", "az", "gcs", "gs", "memory", "s3"}  # stores whose objects appear whole


def url_of(name: str | Path) -> str | None:
    """The URL that a name is; None: it names a file.

    Args:
        name: as it was typed, or as pathlib wrote it.
    """
    text = str(name)
    found = SCHEME.match(text)
    if found is None:
        return None
    root = "/" if found[1] in ("file", "local") else ""
    return f"{found[1]}://{root}{text[found.end() :]}"


def within(folder: str, name: str) -> str:
    """The name of what lies in a folder or below a URL."""
    url = url_of(folder)
    return str(Path(folder) / name) if url is None else f"{url.rstrip('/')}/{name}"


def _system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        MissingComponent: fsspec, or what it needs for this kind of URL, is not installed.
        MediaError: there is no such kind of URL, or its store refuses.
    """
    try:
        import fsspec
    except ImportError as error:
        raise missing("a URL", "scale", error) from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec says which package it lacks
        todo = "Install what it names, or use a shared folder"
        raise MediaError(
            "this URL cannot be used", where=url, why=reason(error), todo=todo
        ) from error
    except Exception as error:  # every store has errors of its own
        raise _refused("this URL cannot be used", url, error) from error
    return system, path


def _refused(what: str, url: str, error: Exception) -> MediaError:
    why = "there is no such object" if isinstance(error, FileNotFoundError) else reason(error)
    return MediaError(what, where=url, why=why, todo="Check the URL and who may use it")


@contextmanager
def fetched(name: str) -> Iterator[Path]:
    """A file with what a name stands for; a copy of a URL's object goes when the context ends.

    Raises:
        MediaError: there is no such file or object, or it cannot be fetched. Errors within the
            context that tell of the copy name the URL.
        ResourceError: there is no room for the copy.
    """
    url = url_of(name)
    if url is None:
        if not Path(name).is_file():
            raise MediaError("there is no such file", where=name, todo="Check its name")
        yield Path(name)
        return
    system, path = _system(url)
    with tempfile.TemporaryDirectory(prefix="talkers-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        try:
            system.get_file(path, str(copy))
        except Exception as error:
            raise _refused("this cannot be fetched", url, error) from error
        with _called(copy, url):
            yield copy


@contextmanager
def _called(copy: Path, url: str) -> Iterator[None]:
    """Errors that tell of a copy name its URL."""
    try:
        yield
    except TalkersError as error:
        if str(error.where).startswith(str(copy)):
            where = url + str(error.where).removeprefix(str(copy))
            raise type(error)(error.what, where=where, why=error.why, todo=error.todo) from error
        raise


@contextmanager
def delivered(name: str) -> Iterator[Path]:
    """A file to write, which then is where the name says: whole, or not at all.

    For a file it is the file itself: who writes it does so under another name first.

    Raises:
        ResourceError: it cannot be put into its place.
    """
    url = url_of(name)
    if url is None:
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="talkers-") as folder:
        copy = Path(folder) / PurePosixPath(url).name
        with _called(copy, url):
            yield copy
        _put(copy, url)


def _put(copy: Path, url: str) -> None:
    """Put a file into its place at once: elsewhere than in an object store, by renaming it."""
    system, path = _system(url)
    parent, _, last = path.rpartition("/")
    passing = f"{parent}/.{secrets.token_hex(4)}.partial{PurePosixPath(last).suffix}"
    try:
        with suppress(NotImplementedError):
            system.makedirs(parent, exist_ok=True)
        if system.protocol in WHOLE_AT_ONCE or WHOLE_AT_ONCE.intersection(system.protocol):
            system.put_file(str(copy), path)
        else:
            system.put_file(str(copy), passing)
            system.mv(passing, path)
    except Exception as error:
        raise ResourceError(
            "the result cannot be stored",
            where=url,
            why=reason(error),
            todo="Check the URL, who may write there, and its room",
        ) from error


def size_of(name: str) -> int | None:
    """Bytes of a file or an object; None: there is none."""
    url = url_of(name)
    if url is None:
        path = Path(name)
        return path.stat().st_size if path.is_file() else None
    system, path_in_it = _system(url)
    try:
        return int(system.size(path_in_it))
    except FileNotFoundError:
        return None


def read_text(name: str) -> str | None:
    """The text of a small file or object; None: there is none that can be read."""
    url = url_of(name)
    try:
        if url is None:
            return Path(name).read_text("utf-8")
        system, path = _system(url)
        return bytes(system.cat_file(path)).decode("utf-8")
    except (OSError, ValueError):
        return None


def write_text(name: str, text: str) -> None:
    """Write a small file or object whole.

    Raises:
        ResourceError: it cannot be written.
    """
    url = url_of(name)
    if url is None:
        with atomic(name) as temporary:
            temporary.write_text(text, "utf-8")
        return
    with delivered(url) as copy:
        copy.write_text(text, "utf-8")


def listed(url: str) -> list[str]:
    """The URLs of the objects directly below a URL, sorted; none: it is no folder.

    Raises:
        MediaError: its store refuses.
    """
    system, path = _system(url)
    try:
        if not system.isdir(path):
            return []
        found = system.ls(path, detail=True)
    except Exception as error:
        raise _refused("this folder cannot be listed", url, error) from error
    names = [entry["name"] for entry in found if entry["type"] == "file"]
    return sorted(system.unstrip_protocol(name) for name in names)


def remove_unfinished(folder: str) -> None:
    """Remove what writers that were killed left in a folder and in those within it."""
    url = url_of(folder)
    if url is None:
        if Path(folder).is_dir():
            for place in (Path(folder), *(p for p in Path(folder).rglob("*") if p.is_dir())):
                for path in unfinished(place):
                    path.unlink(missing_ok=True)
        return
    system, path_in_it = _system(url)
    with suppress(FileNotFoundError):
        for left in system.glob(f"{path_in_it}/**/{UNFINISHED}"):
            system.rm_file(left)
