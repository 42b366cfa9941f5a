"""A picture is good for a portrait, or it is said in a sentence why not."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from talkers.errors import FaceError, MissingComponent, UsageError
from talkers.face.hidden import EYES
from talkers.face.landmarks import EYE_CORNERS, FaceTracker
from talkers.face.portrait import PICTURE, portrait_of

SIZE = 128
GROUND = (60, 90, 120)


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    try:
        with FaceTracker(1):
            pass
    except MissingComponent as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def face() -> Image.Image:
    """The bundled avatar's face, 256 px."""
    with Image.open(str(files("talkers") / "avatars" / "default" / "preview.png")) as image:
        return image.convert("RGB")


def on_ground(face: Image.Image, size: tuple[int, int], *places: tuple[int, int]) -> Image.Image:
    """Faces at places of a larger picture."""
    picture = Image.new("RGB", size, GROUND)
    for place in places:
        picture.paste(face, place)
    return picture


def test_a_face_is_cut_out(face: Image.Image, tmp_path: Path) -> None:
    on_ground(face, (800, 500), (300, 100)).save(tmp_path / "a.png")
    found = portrait_of(tmp_path / "a.png", SIZE)
    assert found.picture.shape == (PICTURE * SIZE, PICTURE * SIZE, 3)
    assert not found.notes
    right, left = found.points[list(EYE_CORNERS)]
    assert 0.1 < left[0] - right[0] < 0.4  # of the side: head and shoulders
    assert abs((right[0] + left[0]) / 2 - 0.5) < 0.1
    assert found.depth[1] < 0 < found.depth[234]  # the tip of the nose, an ear


def test_one_of_several_faces_is_chosen(face: Image.Image, tmp_path: Path) -> None:
    small, path = face.resize((200, 200)), tmp_path / "two.png"
    picture = on_ground(face, (900, 400), (40, 60))
    picture.paste(small, (600, 100))
    picture.save(path)
    largest, left, right, named = (
        portrait_of(path, SIZE, which) for which in ("largest", "left", "right", "700,200")
    )
    assert "2 faces are seen" in largest.notes[0]
    assert np.array_equal(largest.picture, left.picture)
    assert np.array_equal(right.picture, named.picture)
    assert not np.array_equal(left.picture, right.picture)
    with pytest.raises(UsageError, match="'the tall one' names no face"):
        portrait_of(path, SIZE, "the tall one")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nobody", "no face is seen"),
        ("tiny", "pixels high"),
        ("cut off", "cut off by the edge"),
    ],
)
def test_what_cannot_be_shown_is_said(
    face: Image.Image, tmp_path: Path, what: str, said: str
) -> None:
    made = {
        "nobody": Image.new("RGB", (400, 400), GROUND),
        "tiny": on_ground(face.resize((100, 100)), (400, 400), (150, 150)),
        "cut off": on_ground(face, (400, 170), (100, 0)),
    }
    made[what].save(tmp_path / "a.png")
    with pytest.raises(FaceError, match=said) as error:
        portrait_of(tmp_path / "a.png", SIZE)
    assert error.value.todo


def test_what_is_not_well_shown_is_noted(face: Image.Image, tmp_path: Path) -> None:
    Image.eval(face.resize((512, 512)), lambda level: level // 4).save(tmp_path / "dark.png")
    assert "dark" in " ".join(portrait_of(tmp_path / "dark.png", SIZE).notes)
    on_ground(face.resize((190, 190)), (400, 400), (100, 100)).save(tmp_path / "small.png")
    assert "soft" in " ".join(portrait_of(tmp_path / "small.png", SIZE).notes)


def test_eyes_behind_dark_glasses_are_noted(face: Image.Image, tmp_path: Path) -> None:
    large = face.resize((512, 512))
    with FaceTracker(1) as tracker:
        (found,) = tracker.faces(np.asarray(large))
    reach = 0.25 * np.linalg.norm(np.diff(found.landmarks[list(EYE_CORNERS)], axis=0))
    draw = ImageDraw.Draw(large)
    for eye in EYES:
        x, y = found.landmarks[list(eye)].mean(0)
        draw.ellipse([x - reach, y - reach, x + reach, y + reach], fill=(20, 18, 16))
    large.save(tmp_path / "glasses.png")
    assert "dark glasses" in " ".join(portrait_of(tmp_path / "glasses.png", SIZE).notes)


def test_a_hand_at_the_mouth_is_noted(portraits: Path) -> None:
    chin = "search_2_Hair-Style_r3_c0.jpg", "search_2_Lighting_r2_c5.jpg"
    nose = "search_2_Eye-Color_r4_c4.jpg", "search_2_Hair_Color_r1_c9.jpg"
    noted = {
        name
        for name in (*chin, *nose)
        if "a hand" in " ".join(portrait_of(next(portraits.rglob(name)), SIZE).notes)
    }
    assert noted == set(chin)  # noses that the network takes for hands are none
