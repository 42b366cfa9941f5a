"""Visitors: each browser has a secret, and what was made with it belongs to that browser alone."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from talkers.artefacts.folders import user_folder
from talkers.errors import ArtefactError, UsageError
from talkers.runtime.avatar import Avatar
from talkers.server.problem import Refused

COOKIE = "talkers_studio"
SECRET = re.compile(r"[\w-]{32}")
NAME = re.compile(r"\w[\w .-]{0,39}")
MAX_AVATARS = 20  # of a visitor
MAX_TRAININGS = 4  # of a visitor, that are not finished
MAX_LOADED = 2  # avatars of visitors that are held in memory
OWN = "own:"  # begins the names of visitors' avatars in menus


def studio_folder() -> Path:
    """Where visitors' avatars and trainings lie unless told otherwise."""
    return user_folder("TALKERS_STUDIO", "XDG_DATA_HOME", ".local/share") / "studio"


def new_secret() -> str:
    """A secret for a browser."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Visitor:
    """One browser.

    Attributes:
        name: follows from its secret, which does not follow from it.
        folder: of its avatars and trainings; made when it is needed.
    """

    name: str
    folder: Path

    @property
    def trainings(self) -> Path:
        """The folder of its trainings, a folder each."""
        return self.folder / "trainings"

    def avatars(self) -> dict[str, Path]:
        """Its avatars: their folders by their names."""
        found = sorted((self.folder / "avatars").glob("*/avatar.json"))
        return {path.parent.name: path.parent for path in found}

    def new_avatar(self, name: str) -> Path:
        """The folder of an avatar to be made.

        Raises:
            UsageError: this is no name, or it is taken. Refused: there are too many.
        """
        name = " ".join(name.split())
        if not NAME.fullmatch(name) or name.endswith("."):
            raise UsageError(
                "an avatar cannot be called that" if name else "the avatar has no name",
                todo="Use 1 to 40 letters, digits and spaces",
            )
        there = self.avatars()
        if name.casefold() in map(str.casefold, there):
            raise UsageError(
                f"you have an avatar called {name} already", todo="Choose another name"
            )
        if len(there) >= MAX_AVATARS:
            raise Refused(503, f"you have {MAX_AVATARS} avatars", todo="Delete one of them")
        return self.folder / "avatars" / name

    def delete_avatar(self, name: str) -> None:
        """Delete an avatar.

        Raises:
            Refused: there is none of that name.
        """
        folder = self.avatars().get(name)
        if folder is None:
            raise Refused(404, "you have no avatar of that name", todo="Reload the page")
        shutil.rmtree(folder, ignore_errors=True)


class Visitors:
    """All visitors of a studio.

    Args:
        folder: of what they make; a folder in it for each.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._loaded: OrderedDict[Path, Avatar] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, secret: str | None) -> Visitor:
        """The visitor with a secret.

        Raises:
            Refused: this is no secret.
        """
        if not secret or not SECRET.fullmatch(secret):
            raise Refused(
                403,
                "this browser has no key to its own work",
                todo="Reload the page, and let it keep its cookie",
            )
        name = sha256(secret.encode()).hexdigest()[:32]
        return Visitor(name, self.folder / name)

    def load(self, visitor: Visitor, name: str) -> Avatar:
        """An avatar of a visitor.

        Raises:
            ArtefactError: there is none, or it is damaged.
        """
        folder = visitor.avatars().get(name)
        if folder is None:
            raise ArtefactError(
                "you have no avatar of that name",
                why="it was deleted, or this is another browser",
                todo="Choose another one",
            )
        with self._lock:
            if folder not in self._loaded:
                self._loaded[folder] = Avatar.load(folder)
            self._loaded.move_to_end(folder)
            while len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
            return self._loaded[folder]

    def forget(self, folder: Path) -> None:
        """An avatar was deleted: hold it no longer."""
        with self._lock:
            self._loaded.pop(folder, None)
