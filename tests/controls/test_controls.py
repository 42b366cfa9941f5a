"""Controls, measured on the frames that the bundled avatar makes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from talkers import Avatar, Controls
from talkers.controls.pose_files import ANGLES
from talkers.errors import FaceError, MissingComponent
from talkers.evaluation.gaze import BROWS, gaze_of
from talkers.evaluation.motion import blinks_of
from talkers.evaluation.tracked import TrackedClip, track_clip
from talkers.media import AUDIO_RATE, VideoWriter, read_audio
from talkers.runtime.style import style_of

Made = Callable[..., TrackedClip]
BOTH = pytest.mark.parametrize("motion", ["regressor", "sampler"])


@pytest.fixture(scope="module")
def made(bundled: Avatar) -> Made:
    """Speech with these controls, tracked; the head as in the footage's mean and no blinks, unless asked otherwise."""
    try:
        assert bundled.engine.speech_encoder
    except MissingComponent as error:
        pytest.skip(str(error))
    sound = read_audio(bundled.engine.folder.parent / "hello.flac")

    @cache
    def make(seconds: float = 1.0, seed: int = 0, **asked: object) -> TrackedClip:
        controls = Controls(**{"pose": "still", "blinks": 0.0} | asked)  # type: ignore[arg-type]
        return track_clip(
            np.stack(
                list(
                    bundled.speak(sound[: int(seconds * AUDIO_RATE)], seed=seed, controls=controls)
                )
            )
        )

    return make


@BOTH
def test_the_head_stands_still_or_where_it_is_told(
    bundled: Avatar, made: Made, motion: str
) -> None:
    still = made(motion=motion).angles
    assert still.std(0).max() < 0.5  # a moving mouth shakes the tracker a little
    head, asked = bundled.about["head"], {}
    for k, angle in enumerate(ANGLES):
        asked[angle] = head["mean"][k] + 0.7 * (head["high"][k] - head["mean"][k])
    turned = made(motion=motion, pose=",".join(f"{a}={v:.3f}" for a, v in asked.items())).angles
    assert turned.std(0).max() < 0.5
    moved, wanted = (turned - still).mean(0), np.array(list(asked.values())) - head["mean"][:3]
    assert np.abs(moved - wanted).max() < 2
    assert (moved > 0.5 * wanted).all()


TIMES = np.array([0, 0.4, 1.0, 1.4, 2.0, 2.4, 3.0])


@pytest.fixture(scope="module")
def turns(bundled: Avatar, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, np.ndarray]:
    """A pose file in which one angle after the other goes there and beyond and back; its keys."""
    path = tmp_path_factory.mktemp("turns") / "turns.csv"
    head = {end: np.array(bundled.about["head"][end][:3]) for end in ("low", "high", "mean")}
    keys = np.stack([head["mean"]] * 7)
    for k in range(3):
        keys[2 * k + 1, k], keys[2 * k + 2, k] = head["low"][k], head["high"][k]
    rows = "\n".join(
        f"{t},{y:.3f},{p:.3f},{r:.3f}" for t, (y, p, r) in zip(TIMES, keys, strict=True)
    )
    path.write_text(f"time,yaw,pitch,roll\n{rows}\n")
    return str(path), keys


@BOTH
def test_the_head_follows_a_curve(made: Made, turns: tuple[str, np.ndarray], motion: str) -> None:
    path, keys = turns
    turning = made(3.0, motion=motion, pose=path)
    for k in range(3):
        asked, seen = np.interp((np.arange(75) + 0.5) / 25, TIMES, keys[:, k]), turning.angles[:, k]
        assert np.corrcoef(seen, asked)[0, 1] > 0.9
        assert np.abs(seen - seen.mean() - asked + asked.mean()).mean() < 1


def test_the_head_follows_another_video(
    made: Made, turns: tuple[str, np.ndarray], tmp_path: Path
) -> None:
    turning = made(3.0, motion="regressor", pose=turns[0])
    with VideoWriter(tmp_path / "turns.mp4", Fraction(25)) as video:
        for frame in turning.frames:
            video.write(frame)
    following = made(3.0, pose=str(tmp_path / "turns.mp4")).angles
    for k in range(3):
        assert np.corrcoef(following[:, k], turning.angles[:, k])[0, 1] > 0.9


def test_predicted_heads_are_scaled_and_turned(made: Made) -> None:
    plain, half, turned = (
        made(2.4, pose="predicted", **a).angles
        for a in ({}, {"pose_scale": 0.5}, {"pose_offset": (-1.5, 0.0, 0.0)})
    )
    mean = made().angles.mean(0)
    from_mean, half_of_it = plain.mean(0) - mean, half.mean(0) - mean
    far = int(np.abs(from_mean).argmax())
    assert 0.35 < half_of_it[far] / from_mean[far] < 0.65
    assert -2.25 < (turned - plain)[:, 0].mean() < -0.75


@BOTH
def test_the_mouth_opens_as_far_as_it_is_told(made: Made, motion: str) -> None:
    takes = (
        range(2) if motion == "sampler" else range(1)
    )  # a single one of so few seconds may lie far off
    less, plain, more = (
        sum(made(1.6, motion=motion, amplitude=a, seed=seed).opening.std() for seed in takes)
        for a in (0.5, 1.0, 1.5)
    )
    assert 0.4 < less / plain < 0.75
    assert 1.15 < more / plain < 1.7


@BOTH
def test_the_seed_decides_what_is_drawn(made: Made, motion: str) -> None:
    one, other = (made(seed=seed, motion=motion).opening for seed in (0, 1))
    assert (
        np.abs(one - other).mean() / one.std() > 0.1
        if motion == "sampler"
        else np.abs(one - other).mean() / one.std() < 0.1
    )


def test_eyes_close_as_often_and_when_they_are_told(made: Made) -> None:
    assert blinks_of(made().blink)[0] == 0
    assert 2 <= blinks_of(made(4.0, blinks=45.0).blink)[0] <= 4  # 45 a minute are 3 in 4 s
    seen = made(2.4, blink_times=(0.6, 1.6)).blink
    assert blinks_of(seen)[0] == 2
    assert abs(int(seen[:28].argmax()) - 15) <= 3
    assert abs(28 + int(seen[28:].argmax()) - 40) <= 3


def test_eyes_look_and_brows_rise_as_they_are_told(made: Made) -> None:
    """The footage has little of either, so they move little."""
    left, right, up, down = (
        gaze_of(made(0.6, gaze=way).landmarks).mean(0)
        for way in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))
    )
    assert left[0] - right[0] > 0.006  # of the eye's width
    assert up[1] - down[1] > 0.004
    plain, strong = (
        made(2.4, brow_amplitude=e, motion="sampler").blendshapes[:, BROWS].std(0).mean()
        for e in (0.0, 3.0)
    )
    assert strong > 1.05 * plain


def test_a_style_is_taken_from_the_avatars_person_alone(bundled: Avatar, grid: Path) -> None:
    with pytest.raises(FaceError, match="does not show the avatar's person"):
        style_of(bundled.engine, str(grid / "s31" / "video" / "bgiq6p.mpg"), "regressor")
    style = style_of(bundled.engine, str(grid / "s1" / "video" / "bbaf2n.mpg"), "regressor")
    assert 0.5 < style.edit.amplitude < 1.5
