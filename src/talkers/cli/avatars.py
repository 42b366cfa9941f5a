"""Avatars and footage as the command line names them."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from talkers.cli.console import remark
from talkers.errors import ArtefactError, MediaError, UsageError

if TYPE_CHECKING:
    from talkers.cli.options import PictureOptions
    from talkers.runtime.avatar import Avatar

PHOTOS = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".bmp", ".tif", ".tiff"}
NO_FOOTAGE = "an avatar is trained from minutes of video, a photo does not do"


def load_avatar(name: str) -> Avatar:
    """The avatar of a folder, or a shipped one.

    Raises:
        ArtefactError: there is none; a photo or another file was named.
    """
    from talkers.runtime.avatar import Avatar

    path = Path(name)
    if _is_file(path):
        photo = path.suffix.lower() in PHOTOS
        raise ArtefactError(
            "this is a photo, and no avatar yet"
            if photo
            else "this is a file, and an avatar is a folder",
            where=path,
            todo=f"Make one of it: `talkers portrait {shlex.quote(str(path))} -o FOLDER`"
            if photo
            else "Name a folder made by `talkers train` or `talkers portrait`, or 'default' for "
            "the bundled avatar",
        )
    return Avatar.load(name)


def speaking_avatar(name: str, consent: str | None) -> Avatar:
    """The avatar of a folder, a shipped one, or one that is made of a photo for this once.

    Args:
        name: a folder, the name of a shipped avatar, or a picture's file.
        consent: who agreed to be shown, where a photo is named.

    Raises:
        ArtefactError: there is none; a file was named that is no picture.
        UsageError: nobody is said to have agreed to be shown in a photo.
        MediaError, FaceError: the photo cannot be used.
    """
    path = Path(name)
    if _is_file(path) and path.suffix.lower() in PHOTOS:
        return avatar_of_photo(path, consent)
    return load_avatar(name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def avatar_of_photo(path: Path, consent: str | None) -> Avatar:
    """An avatar of a photo, in a folder that goes when the avatar is no longer used."""
    from talkers.runtime.portrait import PortraitTerms, make_portrait

    refuse_unsaid_consent(path, consent)
    folder = Path(tempfile.mkdtemp(prefix="talkers-portrait-"))
    try:
        avatar, notes = make_portrait([path], folder, PortraitTerms(consent=consent))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(avatar, shutil.rmtree, folder, True)
    for note in notes:
        remark(f"note: {note}")
    return avatar


def refuse_unsaid_consent(path: Path, consent: str | None) -> None:
    """Refuse to show somebody of whom nobody says that he agreed.

    Raises:
        UsageError: no consent is stated.
    """
    if not (consent or "").strip():
        raise UsageError(
            "nobody is said to have agreed to be shown",
            where=path,
            todo="Say who agreed to what: --consent 'I, Ada, agree to be shown'",
        )


def refuse_unconsented(options: PictureOptions) -> None:
    """Refuse to show somebody in a photo of whom nobody says that he agreed.

    Raises:
        UsageError: the avatar is a photo, and no consent is stated.
    """
    path = Path(options.avatar)
    if _is_file(path) and path.suffix.lower() in PHOTOS:
        refuse_unsaid_consent(path, options.consent)


def refuse_photos(paths: tuple[Path, ...]) -> None:
    """Refuse footage that is photos alone; photos among videos are left to the report.

    Raises:
        MediaError: all paths are photos.
    """
    if all(p.suffix.lower() in PHOTOS and p.is_file() for p in paths):
        raise MediaError(
            NO_FOOTAGE,
            where=paths[0],
            todo="Film the person for some minutes, or make an avatar of the photo: "
            "`talkers portrait`",
        )
