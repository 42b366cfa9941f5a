"""Head tracks: poses and blinks over time, as the controls ask for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from talkers.controls.head_track import HeadTrack, PoseChange
from talkers.controls.pose_files import constant_pose, read_pose_file
from talkers.controls.request import Controls
from talkers.errors import UsageError
from talkers.runtime.bundle import HeadStatistics

STATISTICS = HeadStatistics(
    mean=torch.tensor([5.0, 0, 0, 0.5, 0.5, 0.25, 0.1]),
    std=torch.full((7,), 0.1),
    low=torch.full((7,), -10.0),
    high=torch.full((7,), 12.0),
    translation_from_rotation=torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.0, 0.0]]),
)


def track(controls: Controls, seed: int = 0) -> HeadTrack:
    return HeadTrack(controls, controls.curves(), STATISTICS, 25.0, seed)


def test_still_means_still_and_predicted_means_asked_of_the_model() -> None:
    still = track(Controls("still", blinks=0))(0, 50)
    assert torch.equal(still[:, :6], STATISTICS.mean[:6].expand(50, 6))
    assert track(Controls())(0, 50)[:, :6].isnan().all()


def test_blinks_come_at_their_rate_and_do_not_depend_on_chunks() -> None:
    whole = track(Controls(blinks=20), seed=3)(0, 25 * 60)[:, 6]
    closed = whole > whole.min() + 0.7 * (whole.max() - whole.min())
    count = int((closed[1:] & ~closed[:-1]).sum())
    assert 18 <= count <= 21
    parts = torch.cat([track(Controls(blinks=20), seed=3)(i, 50)[:, 6] for i in range(0, 1500, 50)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, track(Controls(blinks=20), seed=4)(0, 1500)[:, 6])
    none = track(Controls(blinks=0))(0, 1500)[:, 6]
    assert none.std() == 0


def test_pose_files_are_followed_and_limited_to_the_footage(tmp_path: Path) -> None:
    path = tmp_path / "pose.csv"
    path.write_text("time,yaw\n0,0\n2,10\n4,30\n")
    made = track(Controls(str(path)))
    values = made(0, 100)
    assert values[25, 0] == pytest.approx(5)
    assert not made.clamped or values[:50, 0].max() <= 10
    assert values[99, 0] == 12
    assert made.clamped
    assert values[:, 1].isnan().all()
    (tmp_path / "pose.json").write_text(
        '[{"time": 0, "pitch": 1, "roll": 2}, {"time": 1, "pitch": 3, "roll": 2}]'
    )
    assert track(Controls(str(tmp_path / "pose.json")))(0, 26)[25, 1] == pytest.approx(3)


def test_changes_that_nobody_asked_for_are_not_remarked_on() -> None:
    """A head that an avatar or a style moves is kept within the footage without a remark."""
    change = PoseChange(1.5, (2.0, 0.0, 0.0))
    styled = HeadTrack(Controls(), None, STATISTICS, 25.0, 0, change)
    far = STATISTICS.high.expand(5, 7)
    assert torch.equal(styled.scaled_and_clamped(far)[:, :3], far[:, :3])
    assert torch.equal(styled.enforced(0, far), far)
    mean = STATISTICS.mean.expand(5, 7)
    assert styled.scaled_and_clamped(mean)[:, 0].tolist() == pytest.approx(
        [float(mean[0, 0]) + 2] * 5
    )
    assert not styled.remarks(4)


def test_what_is_odd_about_poses_is_said(tmp_path: Path) -> None:
    def said(text: str, seconds: float, **more: float) -> str:
        (tmp_path / "pose.csv").write_text(text)
        made = track(Controls(str(tmp_path / "pose.csv"), **more))  # type: ignore[arg-type]
        made(0, int(25 * seconds))
        return " ".join(made.remarks(seconds))

    assert said("time,yaw\n0,1\n4,2\n", 4) == ""
    assert "limited" in said("time,yaw\n0,1\n4,30\n", 4)
    assert "seconds" in said("time,yaw\n0,1\n4000,2\n", 4)
    assert "last pose is kept" in said("time,yaw\n0,1\n1,2\n", 4)
    assert "degrees" in said("time,yaw\n0,0.1\n4,0.2\n", 4)
    turned = track(Controls(pose_scale=2.0))
    turned.scaled_and_clamped(STATISTICS.mean.expand(3, -1))
    assert not turned.remarks(4)
    turned.scaled_and_clamped(STATISTICS.high.expand(3, -1))
    assert "limited" in " ".join(turned.remarks(4))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time,yaw\n0,1\n1\n", "row 2 has other columns"),
        ("time,yaw\n0,1\n1,2,3\n", "row 2 has other columns"),
        ("time,yaw\n0,1,2\n", "row 1 has more values"),
        ('[{"time": 0, "yaw": 1}, {"time": 1, "pitch": 1}]', "row 2 has other columns"),
        ("time,frame,yaw\n0,0,1\n", "has the columns"),
        ("frame,yaw\n3,1\n2,1\n", "frame does not rise"),
    ],
)
def test_rows_that_are_not_alike_are_named(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.json" if text[0] == "[" else "a.csv")
    path.write_text(text)
    with pytest.raises(UsageError, match=why):
        Controls(str(path)).curves()


def test_a_head_that_turns_also_moves() -> None:
    values = track(Controls("yaw=7, pitch=-2"))(0, 3)
    assert values[0, 3:6].tolist() == pytest.approx([0.5 + 2 * 0.5, 0.5 - 2 * 0.25, 0.25])
    scaled_and_clamped = track(
        Controls(pose_offset=(1.0, 0.0, 0.0), pose_scale=0.5)
    ).scaled_and_clamped(torch.tensor([[7.0, 0, 0, 0.5, 0.5, 0.25, 0.1]]))
    assert scaled_and_clamped[0, 0] == 5 + 1 + 1
    assert scaled_and_clamped[0, 3] == pytest.approx(0.5)  # turned by -1 and 1 degrees


def test_a_pose_may_be_constant() -> None:
    values = track(Controls("yaw=5, pitch=-2"))(0, 3)
    assert values[:, 0].tolist() == [5, 5, 5]
    assert values[0, 1] == pytest.approx(-2)
    assert values[:, 2].isnan().all()
    for wrong in ("tilt=3", "yaw=a lot", "yaw=nan", "yaw=300"):
        with pytest.raises(UsageError, match="pose"):
            constant_pose(wrong)


def test_predicted_poses_are_scaled_offset_and_limited() -> None:
    predicted = STATISTICS.mean + torch.tensor([2.0, 0, 0, 0, 0, 0, 0])
    plain, moved = (
        track(c).scaled_and_clamped(predicted[None])[0]
        for c in (Controls(), Controls(pose_scale=0.5, pose_offset=(1.0, -1.0, 0)))
    )
    assert torch.allclose(plain, predicted)
    assert moved[0] == pytest.approx(float(STATISTICS.mean[0]) + 2)  # half of 2, and 1
    assert moved[1] == pytest.approx(float(STATISTICS.mean[1]) - 1)
    assert moved[3] == plain[3]  # the head turns by nothing in all
    assert moved[4] == pytest.approx(float(plain[4]) - 0.25)
    assert torch.equal(moved[[2, 5, 6]], plain[[2, 5, 6]])
    far = track(Controls()).scaled_and_clamped(predicted[None] + 1000)[0]
    assert torch.equal(far, STATISTICS.high)


def test_blinks_come_when_they_are_asked_for() -> None:
    closed = track(Controls(blink_times=(1.0, 3.0)))(0, 100)[:, 6]
    shut = closed > closed.min() + 0.7 * (closed.max() - closed.min())
    starts = torch.nonzero(shut[1:] & ~shut[:-1])[:, 0] + 1
    assert [abs(int(s) - at) <= 2 for s, at in zip(starts, (25, 75), strict=True)] == [True, True]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "time,yaw\n",
        "yaw\n1\n",
        "time\n1\n",
        "time,yaw,zoom\n0,1,2\n",
        "time,yaw\n0,nan\n",
        "time,yaw\n0,x\n",
        "time,yaw\n1,0\n0,0\n",
        "time,yaw\n0,400\n",
        "\0\0\0",
    ],
)
def test_wrong_pose_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pose.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"pose\.csv") as caught:
        read_pose_file(path)
    assert caught.value.todo


def test_wrong_controls_are_refused() -> None:
    with pytest.raises(UsageError, match="no such pose file"):
        track(Controls("nodding"))
    for values in (
        {"blinks": 600},
        {"blink_times": (-1.0,)},
        {"pose_scale": 9},
        {"pose_offset": (200.0, 0, 0)},
        {"amplitude": 0.1},
        {"motion": ""},
        {"style": None},
        {"pose": 5},
    ):
        with pytest.raises(UsageError, match="asked for"):
            Controls(**values)  # type: ignore[arg-type]


def test_a_head_whose_motion_must_turn_farther_is_limited_by_what_is_seen() -> None:
    """Asked by a pose file or by an offset, the same degrees give the same motion."""
    farther = replace(STATISTICS, turn=torch.tensor([1.2, 1.0, 1.0]))
    for asked, seen in ((4.0, 4.0), (30.0, 7.0)):  # about a mean of 5, of 12 at most
        at = Controls(f"yaw={5 + asked}")
        by_pose = HeadTrack(at, at.curves(), farther, 25.0, 0)
        by_offset = HeadTrack(Controls(pose_offset=(asked, 0, 0)), None, farther, 25.0, 0)
        found = by_pose(0, 1)[0, 0], by_offset.scaled_and_clamped(farther.mean[None])[0, 0]
        assert torch.allclose(torch.stack(found), torch.tensor(5 + 1.2 * seen))
        assert by_pose.clamped is by_offset.clamped is (asked != seen)
