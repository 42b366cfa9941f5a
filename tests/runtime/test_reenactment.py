"""An avatar follows the head and the face of a video, all of it or a part."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from talkers import Avatar
from talkers.cli import main
from talkers.errors import ArtefactError, FaceError, MediaError, UsageError
from talkers.face.landmarks import FaceTracker
from talkers.media import decode_frames, probe, read_audio
from talkers.media.encode import VideoWriter
from talkers.runtime.driving import HeadFilter
from talkers.runtime.reenact_terms import Follow, ReenactTerms
from talkers.runtime.reenactment import Reenactment
from talkers.space.contract import HEAD
from talkers.space.face_motion import BLINK, GAZE

SENTENCE = str(files("talkers") / "avatars" / "hello.flac")
FRAMES, TURN = 40, 12.0


@pytest.fixture(scope="module")
def act(ada: Avatar) -> Tensor:
    """What the driver does: at rest, then it turns, speaks and shuts its eyes."""
    space = ada.engine.space
    motion = space.home.repeat(FRAMES, 1)
    along = torch.linspace(0, 1, FRAMES - 8)
    motion[8:, 0] += TURN * along
    spoken = torch.cat(list(ada.speak(SENTENCE, live=True, provenance=False).motion()))
    motion[8:, space.mouth] = spoken[40 : 40 + FRAMES - 8, space.mouth]
    motion[-12:, BLINK] = 0.7
    return motion


def written(frames: np.ndarray, path: Path) -> Path:
    with VideoWriter(path, Fraction(25)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def film(ada: Avatar, act: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wide picture in which the driver is not in the middle."""
    frames = ada.decode(act)
    wide = np.full((FRAMES, 300, 480, 3), 90, np.uint8)
    wide[:, 22:278, 180:436] = frames
    return written(wide, tmp_path_factory.mktemp("film") / "film.mp4")


def motion_of(shown: Reenactment) -> Tensor:
    return torch.cat(list(shown.motion()))


def opening(avatar: Avatar, motion: Tensor) -> np.ndarray:
    """How far the lips of a face of this motion are apart."""
    space = avatar.engine.space
    straight = space.home.repeat(len(motion), 1)
    straight[:, space.mouth] = motion[:, space.mouth]
    points = space.points_of(straight, space.mean)
    return (points[:, 14] - points[:, 13])[:, 1].numpy()


def test_it_does_what_the_driver_does(ada: Avatar, act: Tensor, film: Path) -> None:
    shown = ada.reenact(film)
    motion = motion_of(shown)
    assert motion.shape == act.shape
    assert shown.notes == []
    assert float((motion - act)[:, 0].abs().max()) < 3  # degrees, of 12
    assert float((motion - act)[:, 1:3].abs().max()) < 3
    found, true = opening(ada, motion), opening(ada, act)
    assert np.corrcoef(found, true)[0, 1] > 0.9
    assert 0.6 < np.ptp(found) / np.ptp(true) < 1.5
    assert motion[-8:, BLINK].mean() > motion[8:24, BLINK].mean() + 0.3
    assert float((motion - act)[:, 3:5].abs().max()) < 0.02


@pytest.mark.parametrize("follow", ["pose", "expression"])
def test_a_part_alone_leaves_the_other_untouched(
    ada: Avatar, act: Tensor, film: Path, follow: Follow
) -> None:
    space = ada.engine.space
    motion = motion_of(ada.reenact(film, ReenactTerms(follow)))
    if follow == "pose":
        assert float((motion - act)[:, 0].abs().max()) < 3
        assert (motion[:, GAZE.start :] == 0).all()
    else:
        assert torch.equal(motion[:, :BLINK], space.home[:BLINK].expand(len(motion), -1))
        assert np.corrcoef(opening(ada, motion), opening(ada, act))[0, 1] > 0.9


def test_a_head_is_followed_by_differences_or_as_it_is(ada: Avatar, tmp_path: Path) -> None:
    turned = ada.engine.space.home.repeat(6, 1)
    turned[:, 0] += TURN
    path = written(ada.decode(turned), tmp_path / "turned.mp4")
    home = float(ada.engine.space.home[0])
    by_differences, as_it_is = (
        motion_of(ada.reenact(path, ReenactTerms(absolute=absolute)))[:, 0].mean() - home
        for absolute in (False, True)
    )
    assert abs(by_differences) < 1
    assert abs(as_it_is - TURN) < 4


def test_the_neutral_moment_can_be_named(ada: Avatar, film: Path, tmp_path: Path) -> None:
    last = (FRAMES - 1) / 25
    motion = motion_of(ada.reenact(film, ReenactTerms(neutral=last)))
    assert float((motion[-1] - ada.engine.space.home)[:3].abs().max()) < 1.5
    assert motion[0, 0] < motion[-1, 0] - TURN / 2
    assert float(motion[-1, GAZE.start :].abs().max()) < 0.5  # what it does there is rest
    with pytest.raises(MediaError, match="after the end"):
        motion_of(ada.reenact(film, ReenactTerms(neutral=60.0)))


def test_where_no_face_is_seen_it_keeps_what_it_did(
    ada: Avatar, act: Tensor, tmp_path: Path
) -> None:
    frames = ada.decode(act)
    frames[15:25] = 90
    shown = ada.reenact(written(frames, tmp_path / "gap.mp4"))
    motion = motion_of(shown)
    assert torch.equal(motion[16:24], motion[14:15].expand(8, -1))
    ((start, end),) = shown.gaps
    assert (start, end) == pytest.approx((0.6, 1.0))
    assert any("0.6 to 1.0 s" in note for note in shown.notes)


def test_a_video_without_a_face_is_refused(
    ada: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(np.full((5, 96, 128, 3), 90, np.uint8), tmp_path / "wall.mp4")
    with pytest.raises(FaceError, match="no face is seen in this video"):
        motion_of(ada.reenact(path))
    with pytest.raises(FaceError, match=r"no face is seen at 0\.1 s"):
        motion_of(ada.reenact(path, ReenactTerms(neutral=0.1)))
    out = tmp_path / "out.mp4"
    assert main(["reenact", str(path), "--avatar", str(ada.folder), "-o", str(out)]) == 3
    assert "no face" in capsys.readouterr().err
    assert not out.exists()


def test_mouth_head_and_upper_face_have_drivers_of_their_own(
    ada: Avatar, act: Tensor, film: Path, tmp_path: Path
) -> None:
    lids = ada.engine.space.home.repeat(20, 1)
    lids[6:, BLINK] = 0.7
    upper = written(ada.decode(lids), tmp_path / "lids.mp4")
    shown = ada.reenact(film, ReenactTerms("pose", speech=SENTENCE, upper=upper))
    motion, space = motion_of(shown), ada.engine.space
    spoken = torch.cat(list(ada.speak(SENTENCE).motion()))
    assert torch.equal(motion[:, space.mouth], spoken[:, space.mouth])  # as long as the speech
    assert float((motion[:FRAMES] - act)[:, 0].abs().max()) < 3
    assert torch.equal(motion[FRAMES:, 0], motion[FRAMES - 1, 0].expand(len(motion) - FRAMES))
    assert motion[8:20, BLINK].mean() > motion[:5, BLINK].mean() + 0.3
    assert motion[30:40, BLINK].mean() < 0.3  # that video has ended: the lids are its own again


def test_of_several_faces_one_is_chosen(ada: Avatar, act: Tensor, tmp_path: Path) -> None:
    """The left one turns, the right one does not."""
    still = ada.engine.space.home.repeat(FRAMES, 1)
    both = np.concatenate([ada.decode(act), ada.decode(still)], 2)
    path = written(both, tmp_path / "two.mp4")
    turned = {
        face: float(motion_of(ada.reenact(path, ReenactTerms(face=face)))[-1, 0])
        for face in ("left", "right", "384,128")
    }
    home = float(ada.engine.space.home[0])
    assert turned["left"] - home > TURN / 2
    assert abs(turned["right"] - home) < 2
    assert turned["384,128"] == turned["right"]
    with pytest.raises(UsageError, match="names no face"):
        ReenactTerms(face="nose")


def test_a_face_that_goes_is_not_taken_for_its_neighbour(ada: Avatar, tmp_path: Path) -> None:
    still = ada.engine.space.home.repeat(12, 1)
    turned = still.clone()
    turned[:, 0] += TURN
    left, right = ada.decode(still), ada.decode(turned)
    left[5:7] = 90
    path = written(np.concatenate([left, right], 2), tmp_path / "dropout.mp4")
    shown = ada.reenact(path, ReenactTerms(face="left"))
    motion = motion_of(shown)
    assert float((motion - ada.engine.space.home)[:, 0].abs().max()) < 3
    assert shown.gaps == [pytest.approx((0.2, 0.28))]


def test_what_the_drivers_leave_undone_is_said(ada: Avatar, film: Path, tmp_path: Path) -> None:
    wall = written(np.full((5, 96, 128, 3), 90, np.uint8), tmp_path / "wall.mp4")
    with pytest.raises(FaceError, match="no face is seen in this video"):
        motion_of(ada.reenact(film, ReenactTerms(upper=wall)))
    shown = ada.reenact(film, ReenactTerms("pose", speech=SENTENCE))
    for _ in range(2):  # a second run says the same
        motion = motion_of(shown)
        assert [note for note in shown.notes if "ends at 1.6 s" in note] == shown.notes
    assert len(motion) == shown.frame_count > FRAMES


@pytest.mark.parametrize(
    "wrong", [{"follow": "nose"}, {"neutral": -1.0}, {"neutral": float("nan")}, {"face": "1;2"}]
)
def test_terms_that_nobody_understands_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ReenactTerms(**wrong)


def test_a_camera_has_no_second_video(ada: Avatar, film: Path) -> None:
    with pytest.raises(UsageError, match="a camera has no"):
        ada.reenactor(ReenactTerms(upper=film))


def test_blinks_keep_their_pace_at_other_frame_rates(ada: Avatar) -> None:
    shut = {}
    for rate in (25, 50):
        with ada.reenactor(ReenactTerms("pose"), frame_rate=rate) as reenactor:
            lids = torch.stack([reenactor.resting(k)[BLINK] for k in range(12 * rate)])
        shut[rate] = float((lids > lids.min() + 0.2).float().mean())
    assert shut[50] == pytest.approx(shut[25], rel=0.2)
    assert shut[25] > 0


def test_trackers_are_closed_whatever_happens(
    ada: Avatar, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    start, close = FaceTracker.__init__, FaceTracker.close

    def opened(self: FaceTracker, *arguments: object, **named: object) -> None:
        events.append("open")
        start(self, *arguments, **named)

    def closed(self: FaceTracker) -> None:
        events.append("close")
        close(self)

    monkeypatch.setattr(FaceTracker, "__init__", opened)
    monkeypatch.setattr(FaceTracker, "close", closed)
    with pytest.raises(MediaError):
        motion_of(ada.reenact(film, ReenactTerms(neutral=60.0)))
    blocks = ada.reenact(film).motion()
    next(blocks)
    blocks.close()
    assert events == ["open", "close"] * 2


def test_sound_is_as_long_as_the_picture_though_no_file_says_how_long(
    ada: Avatar, act: Tensor, tmp_path: Path
) -> None:
    """A browser's recording does not say how long it is."""
    path = tmp_path / "live.mkv"
    with path.open("wb") as out:
        container = av.open(out, "w", format="matroska", options={"live": "1"})
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for frame in ada.decode(act[:25]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
        container.close()
    assert probe(path).duration is None
    written_to = tmp_path / "out.mp4"
    ada.reenact(path).save(written_to, sound=SENTENCE)
    assert probe(written_to).duration == pytest.approx(1.0, abs=0.06)
    assert len(read_audio(written_to)) == pytest.approx(16_000, abs=1_500)


def test_a_head_turns_no_farther_than_the_avatar_can(ada: Avatar, film: Path) -> None:
    low, high = ada.engine.bundle.head.low, ada.engine.bundle.head.high
    kept = high.clone()
    high[0] = ada.engine.space.home[0] + TURN / 2
    try:
        shown = ada.reenact(film)
        motion = motion_of(shown)
    finally:
        high.copy_(kept)
    turn = float(ada.engine.bundle.head.turn[0])  # what is seen is limited
    assert motion[:, 0].max() <= ada.engine.space.home[0] + turn * TURN / 2 + 1e-4
    assert any("farther than the avatar can" in note for note in shown.notes)
    assert (motion[:, 3 : len(HEAD) - 1] >= low[3 : len(HEAD) - 1] - 1e-4).all()


def test_a_trained_avatar_follows_anybody(bundled: Avatar, ada: Avatar, film: Path) -> None:
    """Its motion is latents; how they follow a face is learnt from its own frames."""
    motion = motion_of(bundled.reenact(film))
    act = motion_of(ada.reenact(film))
    shown = bundled.engine.space.read(motion)
    yaw = shown.pose[:, 0] - bundled.engine.bundle.head.mean[0]
    assert float(yaw[-1]) > 2  # degrees: as far as its footage goes
    assert shown.blink[-6:].mean() > shown.blink[8:20].mean() + 0.1
    moved = shown.mouth - bundled.engine.space.mouth_rest
    size = moved.norm(dim=1).numpy()
    wide = opening(ada, act)
    assert np.corrcoef(size - size[:5].mean(), np.abs(wide - wide[:5].mean()))[0, 1] > 0.5


def test_drawn_faces_follow_nobody(film: Path) -> None:
    with pytest.raises(ArtefactError, match="cannot follow a face"):
        Avatar.load("mock").reenact(film)


def test_a_camera_is_followed_frame_by_frame(ada: Avatar, film: Path) -> None:
    whole = list(ada.reenact(film))
    with ada.reenactor() as reenactor:
        pushed = [reenactor.push(frame) for frame in decode_frames(film, Fraction(25))]
    assert len(pushed) == len(whole) == FRAMES
    assert np.abs(np.stack(pushed).astype(int) - np.stack(whole)).max() <= 1


def test_heads_that_rest_do_not_tremble_and_those_that_turn_do_not_lag() -> None:
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(100, 6, generator=random) * torch.tensor([0.2] * 3 + [0.002] * 3)
    turning = torch.zeros(100, 6)
    turning[50:, 0] = 40 * torch.arange(50) / 25  # degrees at 40 a second
    steady = HeadFilter(25.0)
    found = torch.stack([steady(row) for row in noise + turning])
    assert found[20:50].std(0).max() < noise[20:50].std(0).max() / 1.5
    assert float((found - turning)[60:, 0].abs().mean()) < 40 / 25  # less than a frame late


def test_the_command_line(
    ada: Avatar, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    command = ["reenact", str(film), "--avatar", str(ada.folder)]
    assert main([*command, "-o", str(out), "--sound", SENTENCE, "--shape", "16:9"]) == 0
    info = probe(out)
    assert info.video is not None
    assert (info.video.width, info.video.height) == (456, 256)
    assert info.audio is not None
    assert info.duration == pytest.approx(FRAMES / 25, abs=0.1)
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    assert main([*command, "-o", str(film)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    folder = tmp_path / "many"
    folder.mkdir()
    assert main([*command, "-o", str(folder)]) == 0
    assert probe(folder / "film.mp4").audio is None
    assert main([*command, "-o", str(folder)]) == 0
    assert "already done" in "".join(capsys.readouterr())
