"""Avatars and footage as the command line names them: a photo is neither."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from talkers.errors import ArtefactError, MediaError

if TYPE_CHECKING:
    from talkers.runtime.avatar import Avatar

PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".bmp", ".tif", ".tiff"}
NO_PHOTO = "an avatar is trained from minutes of video, a photo does not do"


def load_avatar(name: str) -> Avatar:
    """The avatar of a folder, or the bundled one.

    Raises:
        ArtefactError: there is none; a photo or another file was named.
    """
    from talkers.runtime.avatar import Avatar

    path = Path(name)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        is_file = False
    if is_file and path.suffix.lower() in PHOTOS:
        raise ArtefactError(
            NO_PHOTO,
            where=path,
            todo="Film the person, then use `talkers prepare` and `talkers train`",
        )
    if is_file:
        raise ArtefactError(
            "this is a file, and an avatar is a folder",
            where=path,
            todo="Name a folder made by `talkers train`, or 'default' for the bundled avatar",
        )
    return Avatar.load(name)


def refuse_photos(paths: tuple[Path, ...]) -> None:
    """Refuse footage that is photos alone; photos among videos are left to the report.

    Raises:
        MediaError: all paths are photos.
    """
    if all(p.suffix.lower() in PHOTOS and p.is_file() for p in paths):
        raise MediaError(NO_PHOTO, where=paths[0], todo="Film the person for some minutes")
