"""The avatar of these tests: the one that talkers 0.1 trained, saved in today's format."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from talkers import Avatar
from talkers.errors import MissingComponent
from talkers.runtime.portrait import PortraitTerms, make_portrait
from talkers.testing import as_avatar, bfloat16

PHOTO = Path(str(files("talkers") / "avatars" / "default" / "preview.png"))
CONSENT = "the person in the bundled avatar, CC BY 4.0"
FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


@pytest.fixture(scope="session")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """An avatar of the procedural speaker, 64 px, with both motion models; format 4 on disk."""
    with bfloat16(False):
        old = Avatar.load(FORMAT_3, device="cpu").engine
    parts = {"renderer": old.renderer, "space": old.space, "speech/student": old.student}
    parts |= {f"motion/{key}": model for key, model in old.motion.items()}
    return as_avatar(
        tmp_path_factory.mktemp("avatars") / "small", old.recipe, parts, dict(old.bundle.about)
    )


@pytest.fixture(scope="session")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    """A portrait of the bundled avatar's person, made with the shipped base."""
    folder = tmp_path_factory.mktemp("portrait") / "ada"
    try:
        return make_portrait([PHOTO], folder, PortraitTerms("test", CONSENT))[0]
    except MissingComponent as error:
        pytest.skip(str(error))
