"""One picture becomes an avatar that speaks, turns, blinks and looks."""

from __future__ import annotations

import errno
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import faces
from talkers import Avatar, Controls
from talkers.cli import main
from talkers.dialogue.film import FilmClock
from talkers.errors import ArtefactError, MissingComponent, ResourceError
from talkers.face.landmarks import BLINKS, EYE_CORNERS, FaceTracker
from talkers.face.portrait import portrait_of
from talkers.renderers.contract import Identity
from talkers.renderers.warp.motion import normals_of, trust_of
from talkers.runtime.bundle import base_folder
from talkers.runtime.portrait import (
    PortraitTerms,
    identity_of,
    make_portrait,
    portrait_head,
)
from talkers.space.contract import FaceEdit
from talkers.space.face_measures import LOWER_LIDS, MOUTH_CORNERS, UPPER_LIDS
from talkers.space.face_motion import BLINK, FaceMotionSpace
from talkers.space.geometry import Placement, project
from talkers.systems.portrait import tiny_portrait
from talkers.testing.avatars import random_avatar

PHOTO = Path(str(files("talkers") / "avatars" / "default" / "preview.png"))
CONSENT = "the person in the bundled avatar, CC BY 4.0"
SPEECH = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose space has learnt from synthetic people, and whose networks from nobody.

    Its mean face is a real one, so that heads are where they are.
    """
    recipe = tiny_portrait()
    space = faces.fitted(recipe.space)
    try:
        found = portrait_of(PHOTO, recipe.renderer.size)
    except MissingComponent as error:
        pytest.skip(str(error))
    right, left = found.points[list(EYE_CORNERS)]
    mean = (found.points - (right + left) / 2) / np.linalg.norm(left - right)
    space.mean.copy_(torch.from_numpy(mean))
    space.depth.copy_(torch.from_numpy(found.depth))
    folder = tmp_path_factory.mktemp("base")
    random_avatar(folder, recipe, space)
    return folder


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Avatar:
    folder = tmp_path_factory.mktemp("portrait") / "ada"
    return make_portrait([PHOTO], folder, PortraitTerms("test", CONSENT), base)[0]


def test_it_says_where_it_comes_from(made: Avatar) -> None:
    assert made.about["consent"] == CONSENT
    assert len(made.about["portrait"]["pictures"][0]) == 64
    assert "identity" in made.about["components"]
    assert (made.folder / "preview.png").exists()


def test_at_rest_it_shows_the_picture(made: Avatar) -> None:
    """Away from mouth and eyes, which the untrained networks paint."""
    engine = made.engine
    assert engine.identity is not None
    pictures = engine.identity.values["pictures"]
    wanted = torch.nn.functional.avg_pool2d(pictures.float(), 2)[0].permute(1, 2, 0).numpy()
    shown = made.decode(engine.space.home[None])[0].astype(float)
    top = slice(0, made.size // 4)  # hair and background
    assert np.abs(shown[top] - wanted[top]).mean() < 4


def test_it_speaks_without_drifting(made: Avatar) -> None:
    """A frame is made of the picture and its motion alone, however many were made before."""
    frames = np.stack(list(made.speak(np.tile(SPEECH, 3), live=True)))
    assert frames.shape == (75, made.size, made.size, 3)
    motion = torch.cat(list(made.speak(np.tile(SPEECH, 3), live=True, provenance=False).motion()))
    plain = np.stack(list(made.speak(np.tile(SPEECH, 3), live=True, provenance=False)))
    assert np.abs(made.decode(motion[-1:])[0].astype(int) - plain[-1]).max() <= 1


def test_its_head_turns_as_it_is_told(made: Avatar, tmp_path: Path) -> None:
    space = made.engine.space
    home, turn = float(space.home[0]), float(made.engine.bundle.head.turn[0])
    shown = []
    for name, asked in (("straight", 0), ("turned", 15)):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"time,yaw\n0,{home + asked}\n")
        talk = made.speak(SPEECH, live=True, controls=Controls(pose=str(path)))
        motion = torch.cat(list(talk.motion()))
        assert float((space.read(motion).pose[:, 0] - home - turn * asked).abs().max()) < 0.5
        shown.append(made.decode(motion[:1])[0].astype(int))
    assert np.abs(shown[0] - shown[1]).mean() > 2


def test_it_smiles_while_it_speaks_and_while_it_is_silent(ada: Avatar) -> None:
    space, corners = ada.engine.space, dict[float, list[torch.Tensor]]()
    assert isinstance(space, FaceMotionSpace)
    for smile in (-1.0, 0.0, 1.0):
        controls = Controls(smile=smile, blinks=0)
        spoken = torch.cat(list(ada.speak(SPEECH, live=True, controls=controls).motion()))
        session = ada.session(controls=controls, clock=FilmClock())
        idle = session._playlist.behaviour.idle.row(5)
        session.close()
        points = space.points_of(torch.stack([spoken[20], idle]), space.mean)
        corners[smile] = points[:, list(MOUTH_CORNERS), 1].mean(1)
    assert (corners[1.0] < corners[0.0] - 0.005).all()  # up, of the picture's height
    assert (corners[-1.0] > corners[0.0] + 0.002).all()


def test_eyes_close(ada: Avatar) -> None:
    """A face tracker sees it, and lids of the mean face meet."""
    space = ada.engine.space
    motion = space.home.repeat(2, 1)
    motion[1, BLINK] = 0.8
    with FaceTracker(1) as tracker:
        seen = [tracker.faces(f, every=False)[0].blendshapes for f in ada.decode(motion)]
    opened, shut = (float(shapes[list(BLINKS)].mean()) for shapes in seen)
    assert shut > opened + 0.25
    points = space.points_of(motion, space.mean)
    gap = (points[:, list(LOWER_LIDS), 1] - points[:, list(UPPER_LIDS), 1]).mean(1)
    assert gap[1] < gap[0] / 10


def test_turns_are_seen_as_far_as_they_are_asked(ada: Avatar, tmp_path: Path) -> None:
    """Key points turn farther than what is painted between them seems to."""
    home, found = float(ada.engine.bundle.head.mean[0]), {}
    with FaceTracker(1) as tracker:
        for asked in (-14, 0, 14):
            path = tmp_path / f"{asked}.csv"
            path.write_text(f"time,yaw\n0,{home + asked}\n")
            talk = ada.speak(SPEECH[:3200], live=True, controls=Controls(pose=str(path)))
            (face, *_) = tracker.faces(next(iter(talk)), every=False)
            found[asked] = float(face.angles[0])
    assert found[14] - found[0] == pytest.approx(14, abs=2)
    assert found[-14] - found[0] == pytest.approx(-14, abs=2)
    assert len(set(ada.about["head"]["turn"])) > 1


def test_what_lies_behind_stays_where_it_is(made: Avatar) -> None:
    """Hair moves with the head, the wall does not; another wall may take its place."""
    engine = made.engine
    space, side = engine.space, made.size
    turned = space.home[None].repeat(2, 1)
    turned[1, :2] += torch.tensor([12.0, 6.0])
    identity = engine.identity
    assert identity is not None
    matte = torch.nn.functional.avg_pool2d(identity.values["matte"].float(), 2)[0].numpy()
    wall = torch.nn.functional.max_pool2d(torch.from_numpy(matte)[None], 9, 1, 4)[0].numpy() < 2
    assert 0.1 < wall.mean() < 0.9
    straight, aside = (frame.astype(int) for frame in made.decode(turned))
    assert np.abs(straight - aside)[wall].max() <= 2
    assert np.abs(straight - aside)[matte > 250].mean() > 2
    red = torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand(3, side, side)
    shown = engine.renderer.render(turned[:1], engine.options, identity, red)[0]
    assert float((shown - red).abs()[:, torch.from_numpy(wall)].max()) < 0.05
    unchanged = torch.from_numpy(straight / 127.5 - 1).permute(2, 0, 1)
    inside = torch.from_numpy(matte > 254.9)
    assert float((shown - unchanged).abs()[:, inside].max()) < 0.05


def test_only_renderers_that_draw_layers_are_given_them(made: Avatar) -> None:
    """A renderer of somebody else's knows identities, and need not know more."""
    engine = made.engine

    class Plain:
        def identity(self, source: torch.Tensor, landmarks: torch.Tensor) -> Identity:
            return Identity({"pictures": source})

    face = portrait_of(PHOTO, made.size)
    assert "matte" in identity_of(engine.renderer, engine.space, [face]).values
    assert "matte" not in identity_of(Plain(), engine.space, [face]).values


def test_the_shipped_base_looks_aside_as_far_as_is_told() -> None:
    space = Avatar.load(base_folder(), "cpu").engine.space
    aside = space.edit(space.home[None], FaceEdit(gaze=(1.0, 0.0)))
    points = [space.points_of(row, space.mean)[0] for row in (space.home[None], aside)]
    moved = (points[1] - points[0])[[468, 473], 0] / space.home[5]
    assert (moved > 0.03).all()  # inter-ocular distances, to the person's left


def test_a_head_that_is_turned_in_its_picture_is_turned_less_from_there(made: Avatar) -> None:
    space, base = made.engine.space, made.about["head"]
    there = space.home[:6].clone()
    reaches = []
    for yaw in (0.0, 20.0, -35.0):
        there[0] = yaw
        head = portrait_head(base, space, there)
        reaches.append(head["high"][0] - yaw)
        assert head["high"][0] - yaw == pytest.approx(yaw - head["low"][0])
    assert reaches == pytest.approx([25, 13, 4])


def test_key_points_that_are_turned_away_have_no_say() -> None:
    """A ball: its near half looks at the camera, its edge aside."""
    ball = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    ball /= ball.norm(dim=1, keepdim=True)
    ball = ball[ball[:, 2] < 0.2]
    normals = normals_of(ball)
    assert float((normals * ball).sum(1).median()) > 0.97  # out of the ball
    straight, turned = (
        Placement(torch.tensor([[yaw, 0.0, 0.0]]), torch.zeros(1, 2), torch.ones(1, 1))
        for yaw in (0.0, 60.0)
    )
    front = ball[:, 2] < -0.8
    assert float(trust_of(normals, straight)[0, front].min()) == 1
    hidden = project(ball, turned)[0, :, 0] > 0  # the nose goes right: the right side goes away
    seen = trust_of(normals, turned)[0]
    assert float(seen[~hidden].mean()) > 2 * float(seen[hidden].mean())


def test_it_is_not_written_over_anything(base: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="not empty"):
        make_portrait([PHOTO], tmp_path / "full", PortraitTerms(), base)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_a_portrait_that_cannot_be_written_leaves_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(ResourceError, match=r"cannot be written.*No space left"):
        make_portrait([PHOTO], tmp_path / "ada", PortraitTerms(), base)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "what", ["missing", "cut", "names", "shapes", "kinds", "layers", "not finite"]
)
def test_a_damaged_identity_is_told(made: Avatar, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made.folder, folder)
    path = folder / "identity.safetensors"
    held = load_file(path)
    if what == "missing":
        path.unlink()
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:500])
    else:
        changed = {
            "names": {"pictures": held["pictures"]},
            "shapes": held | {"points": held["points"][:, :100].contiguous()},
            "kinds": held | {"rest": held["rest"].to(torch.float8_e4m3fn)},
            "layers": {name: part for name, part in held.items() if name != "ground"},
            "not finite": held | {"rest": held["rest"] * float("nan")},
        }
        save_file(changed[what], path)
    with pytest.raises(ArtefactError) as error:
        Avatar.load(folder)
    assert error.value.todo


def test_an_empty_folder_is_filled(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the one that commands run in; what may be read of it stays as it was."""
    (tmp_path / "mine").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path / "mine")
    made, _ = make_portrait([PHOTO], Path(), PortraitTerms(), base)
    assert made.engine.identity is not None
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o700
    assert not [p for p in Path().iterdir() if p.name.startswith(".")]


def test_an_avatar_of_one_person_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="shows one person only"):
        make_portrait([PHOTO], tmp_path / "a", PortraitTerms(), "mock")
    assert not (tmp_path / "a").exists()


def test_a_base_says_that_it_shows_nobody(base: Path) -> None:
    with pytest.raises(ArtefactError, match="shows nobody yet"):
        list(Avatar.load(base).speak(SPEECH, live=True))


def test_the_command_line_makes_one_and_lets_it_speak(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, folder = tmp_path / "photo.png", tmp_path / "ada"
    shutil.copy(PHOTO, photo)
    command = ["portrait", str(photo), "-o", str(folder), "--base", str(base)]
    assert main(command) == 2
    assert "nobody is said to have agreed" in capsys.readouterr().err
    assert not folder.exists()
    assert main([*command, "--consent", CONSENT]) == 0
    sound = str(files("talkers") / "avatars" / "hello.flac")
    out = tmp_path / "out.mp4"
    assert main(["speak", sound, "--avatar", str(folder), "--live", "-o", str(out)]) == 0
    assert out.stat().st_size > 1000
    (tmp_path / "text.png").write_text("no picture")
    command[1] = str(tmp_path / "text.png")
    command[3] = str(tmp_path / "other")
    assert main([*command, "--consent", CONSENT]) == 3
    assert not (tmp_path / "other").exists()
