"""The licences of everything that talkers installs, from the metadata of what is installed here."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from talkers.errors import MissingComponent

KINDS = (
    "permissive",
    "weak copyleft",
    "copyleft",
    "proprietary",
    "unknown",
)  # from the easiest to the hardest to live with
_SIGNS = (  # the first that is found decides; a few words also stand in longer ones
    (r"proprietary|nvidia|licenseref-livekit", "proprietary"),
    (r"lgpl|lesser general|mpl|mozilla|epl|eclipse|gcc-exception", "weak copyleft"),
    (r"gpl|general public|affero", "copyleft"),
    (
        r"\b(mit|mit-0|mit-cmu|x11|0?bsd|apache|isc|iscl|psf|python software|zlib|boost|bsl-1\.0|"
        r"unlicense|cc0|hpnd|cnri-python|zpl)\b",
        "permissive",
    ),
)
BUNDLED = {
    "av": "its wheels hold FFmpeg (LGPL-3.0-or-later) with x264 and x265 (GPL-2.0-or-later)",
    "soundfile": "its wheels hold libsndfile (LGPL-2.1-or-later)",
    "opencv-contrib-python": "its wheels hold FFmpeg (LGPL-2.1-or-later) and Qt 5 (LGPL-3.0)",
    "axe-playwright-python": "its wheel holds axe-core (MPL-2.0)",
    "piper-tts": "its wheels hold espeak-ng (GPL-3.0-or-later)",
    "livekit-local-inference": "its models may be used with LiveKit's agents only",
}
"""What wheels hold under other licences than their metadata say, where that matters."""
UNSAID = {"axe-playwright-python": "MIT"}
"""Licences that stand in a wheel's licence file, and not in its metadata."""


@dataclass
class Dependency:
    """A package that talkers or one of its extras needs."""

    name: str
    version: str | None  # None: not installed here, so that its licence cannot be told
    licence: str | None  # None: its metadata do not say
    brought_by: list[str] = field(
        default_factory=list
    )  # core, or the extras without which it is not installed
    wanted_by: list[str] = field(default_factory=list)  # packages that ask for it

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return kind_of(self.licence)

    @property
    def note(self) -> str:
        """What its wheel holds under other licences, or nothing."""
        return BUNDLED.get(self.name, "")


def kind_of(licence: str | None) -> str:
    """What a licence demands of whoever passes the software on.

    Of joined ones (AND) the hardest counts, of a choice (OR) the easiest.
    """

    def one(text: str) -> int:
        return KINDS.index(
            next((kind for sign, kind in _SIGNS if re.search(sign, text, re.I)), "unknown")
        )

    joined = re.split(r"\s+and\s+", licence or "", flags=re.I)
    return KINDS[
        max(
            min(one(choice) for choice in re.split(r"\s+or\s+(?!later)", part, flags=re.I))
            for part in joined
        )
    ]


def licence_in(metadata: importlib.metadata.PackageMetadata) -> str | None:
    """What metadata say of the licence.

    The SPDX expression, else the short form of the old field, else the classifiers, else the
    text's title.
    """
    if "License-Expression" in metadata:
        return str(metadata["License-Expression"])
    text = str(metadata["License"]).strip() if "License" in metadata else ""
    title = text.split("\n", 1)[0].strip()
    if (
        text
        and text == title
        and len(title) < 80
        and title.lower() not in {"unknown", "license", "none", "dual license"}
    ):
        return title
    classifiers = [
        c.split(" :: ")[-1]
        for c in metadata.get_all("Classifier") or []
        if c.startswith("License :: ")
    ]
    if named := [c for c in classifiers if kind_of(c) != "unknown"]:
        return " AND ".join(named)
    return title if title and len(title) < 80 and kind_of(title) != "unknown" else None


def dependencies(root: str = "talkers") -> list[Dependency]:
    """Everything that `root` and its extras need, by name: also what those need, and so on.

    Raises:
        MissingComponent: `root` runs from its source without being installed.
    """
    try:
        extras = importlib.metadata.metadata(root).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingComponent(
            f"{root} is not installed as a package, which would say what it needs",
            todo=f"Install it: `pip install {root}`",
        ) from error
    found: dict[str, Dependency] = {}
    for title in ("core", *extras):
        seen: set[tuple[str, str]] = set()
        open_ends = [(root, "")] if title == "core" else [(root, title)]
        while open_ends:
            if (end := open_ends.pop()) in seen:
                continue
            seen.add(end)
            for wanted in _wanted(*end):
                name = canonicalize_name(wanted.name)
                open_ends += [(name, extra) for extra in ("", *wanted.extras)]
                if name == canonicalize_name(root):
                    continue
                entry = found.setdefault(name, _look_up(name))
                if entry.brought_by[:1] != ["core"] and title not in entry.brought_by:
                    entry.brought_by.append(title)
                if end[0] not in entry.wanted_by:
                    entry.wanted_by.append(end[0])
    return [found[name] for name in sorted(found)]


def _wanted(name: str, extra: str) -> list[Requirement]:
    """What a package (with an extra) asks for on this machine."""
    try:
        wanted = map(Requirement, importlib.metadata.requires(name) or [])
    except importlib.metadata.PackageNotFoundError:
        return []
    return [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]


def _look_up(name: str) -> Dependency:
    try:
        about = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Dependency(name, None, None)
    return Dependency(name, about.version, licence_in(about.metadata) or UNSAID.get(name))
