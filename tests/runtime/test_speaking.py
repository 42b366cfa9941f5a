"""Speaking: the mouth follows the speech, at any rate and length, and controls are heeded."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import speaker
from speaker import opening_of
from talkers import Avatar, Controls
from talkers.corpus import Corpus
from talkers.errors import ArtefactError, UsageError
from talkers.media import decode_frames, probe, read_audio

FORMAT_3 = Path(__file__).parents[1] / "data" / "format-3"


def test_the_mouth_follows_the_speech(avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)  # never trained on
    frames = np.stack(
        list(avatar.speak(speaker.voice(acts.opening, 150), controls=Controls(blinks=0)))
    )
    assert frames.shape == (150, 64, 64, 3)
    assert frames.dtype == np.uint8
    seen = opening_of(frames)
    assert np.corrcoef(seen, acts.opening)[0, 1] > 0.8
    offsets = [
        np.corrcoef(np.roll(seen, k)[10:-10], acts.opening[10:-10])[0, 1] for k in range(-5, 6)
    ]
    assert abs(int(np.argmax(offsets)) - 5) <= 1  # in step to a frame


def test_takes_are_sampled_and_follow_the_speech(avatar: Avatar, tmp_path: Path) -> None:
    acts = speaker.perform(150, 77)
    sound = speaker.voice(acts.opening, 150)
    one, two, again = (
        np.stack(list(avatar.speak(sound, seed=s, controls=Controls(motion="sampler", blinks=0))))
        for s in (1, 2, 1)
    )
    assert np.array_equal(one, again)
    assert np.abs(one.astype(int) - two).mean() > 0.5
    for take in (one, two):
        assert np.corrcoef(opening_of(take), acts.opening)[0, 1] > 0.7
    shutil.copytree(FORMAT_3, tmp_path / "plain", ignore=shutil.ignore_patterns("sampler*"))
    with pytest.raises(ArtefactError, match="sampler"):
        list(Avatar.load(tmp_path / "plain").speak(sound, controls=Controls(motion="sampler")))


def test_the_mouth_rests_in_silence(avatar: Avatar) -> None:
    talk = avatar.speak(np.zeros(32_000, np.float32), controls=Controls(blinks=0))
    assert talk.silent
    assert opening_of(np.stack(list(talk))).max() < 12


def test_the_mouth_rests_before_and_after_speech(avatar: Avatar) -> None:
    acts = speaker.perform(75, 5)
    sound = np.concatenate(
        [
            np.zeros(32_000, np.float32),
            speaker.voice(acts.opening, 75),
            np.zeros(32_000, np.float32),
        ]
    )
    seen = opening_of(np.stack(list(avatar.speak(sound, controls=Controls("still", blinks=0)))))
    assert seen[55:120].std() > 10
    for quiet in (seen[:42], seen[133:]):
        assert (np.abs(np.diff(quiet)) > 2).mean() <= 0.01  # of about 60 pixels


def test_noise_does_not_move_the_mouth_as_speech_does(avatar: Avatar) -> None:
    """An avatar that hears log-mel alone cannot know music from voices, but it was taught what is not speech."""
    from talkers.training.augment import generator, non_speech

    said = opening_of(
        np.stack(
            list(
                avatar.speak(
                    speaker.voice(speaker.perform(75, 5).opening, 75),
                    controls=Controls("still", blinks=0),
                )
            )
        )
    )
    moved = [
        opening_of(
            np.stack(
                list(
                    avatar.speak(
                        non_speech(48_000, generator("never heard", k)),
                        controls=Controls("still", blinks=0),
                    )
                )
            )
        ).std()
        for k in range(4)
    ]
    assert np.mean(moved) < 0.5 * said.std()


@pytest.mark.parametrize("live", [False, True])
def test_loudness_does_not_move_the_lips(avatar: Avatar, live: bool) -> None:
    sound = speaker.voice(speaker.perform(75, 5).opening, 75)
    usual, *others = (
        opening_of(np.stack(list(avatar.speak(g * sound, live=live, controls=Controls(blinks=0)))))
        for g in (1.0, 0.1, 3.0, 0.01)
    )
    for k, other in enumerate(others):
        apart = np.sort(
            np.abs(other - usual)[12:] / usual.max()
        )  # a stream does not know at first how loud it will be
        assert apart.mean() < 0.01
        assert (
            apart[-2 if live and k == 2 else -1] < 0.15
        )  # 40 dB quieter, one frame of a stream may differ where a syllable begins


def test_the_same_seed_gives_the_same_frames(avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(30, 1).opening, 30)
    a, b, c = (np.stack(list(avatar.speak(sound, seed=s))) for s in (3, 3, 4))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30", "60"])
@pytest.mark.parametrize("seconds", [0.05, 0.4, 2.0, 7.3])
def test_picture_and_sound_last_equally_long(
    avatar: Avatar, rate: str, seconds: float, tmp_path: Path
) -> None:
    talk = avatar.speak(np.zeros(int(16_000 * seconds), np.float32), frame_rate=Fraction(rate))
    path = talk.save(tmp_path / "a.mp4")
    shown = sum(1 for _ in decode_frames(path))
    assert shown == talk.frame_count == max(1, round(seconds * Fraction(rate)))
    assert probe(path).video.frame_rate == Fraction(rate)  # type: ignore[union-attr]


def test_the_speech_is_in_the_video(avatar: Avatar, corpus: Corpus, tmp_path: Path) -> None:
    source = corpus.folder / "clips" / "clip0.flac"
    made = read_audio(avatar.speak(source).save(tmp_path / "a.mp4"))
    spoken = read_audio(source)
    assert len(made) == pytest.approx(len(spoken), abs=20)
    assert np.corrcoef(made[: len(spoken)], spoken[: len(made)])[0, 1] > 0.98


def test_frames_of_poses_are_those_of_the_video(avatar: Avatar, tmp_path: Path) -> None:
    (tmp_path / "frames.csv").write_text("frame,yaw\n0,0\n50,2\n")
    for rate in (None, 50):
        head = avatar.speak(
            np.zeros(32_000, np.float32),
            frame_rate=rate,
            controls=Controls(tmp_path / "frames.csv"),
        ).head  # type: ignore[arg-type]
        assert head(0, 26)[25, 0] == pytest.approx(1 if rate is None else 2)


def test_the_head_goes_where_it_is_told(avatar: Avatar, tmp_path: Path) -> None:
    """In the procedural speaker a yaw of 16 degrees goes with a shift of 0.08 of the side, 5.1 pixels."""
    sound = np.zeros(32_000, np.float32)
    places = []
    for yaw in (-8, 8):
        path = tmp_path / f"{yaw}.csv"
        path.write_text(f"time,yaw\n0,{yaw}\n2,{yaw}\n")
        frames = np.stack(list(avatar.speak(sound, controls=Controls(str(path), blinks=0))))[
            10:40
        ].astype(float)
        skin = frames[:, 20:45, :, 0] - frames[:, 20:45, :, 2] > 30
        places.append((skin * np.arange(64)).sum() / skin.sum())
    assert 0.7 * 0.08 * 64 < places[1] - places[0] < 1.3 * 0.08 * 64


def test_blinks_close_the_eyes(avatar: Avatar) -> None:
    sound = np.zeros(16_000 * 8, np.float32)
    open_eyes, blinking = (
        np.stack(list(avatar.speak(sound, controls=Controls("still", blinks=b)))).astype(float)
        for b in (0, 30)
    )
    whites = [
        (f[10:-10, 20:31, 15:49].min(-1) > 200).sum((1, 2)) for f in (open_eyes, blinking)
    ]  # motion settles at both ends
    assert whites[0].std() < 3
    assert whites[1].min() < 0.6 * whites[0].mean()


def test_reconstruction_keeps_the_video(avatar: Avatar, corpus: Corpus) -> None:
    frames = corpus.frames("clip1")
    made = np.stack(list(avatar.reconstruct(iter(frames))))
    assert made.shape == frames.shape
    assert np.abs(made.astype(int) - frames).mean() < 6


def test_the_mouth_moves_as_far_as_asked(avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(100, 6).opening, 100)
    seen = [
        opening_of(
            np.stack(list(avatar.speak(sound, controls=Controls(blinks=0, amplitude=a))))
        ).std()
        for a in (0.5, 1.0, 1.5)
    ]
    assert seen[0] < 0.85 * seen[1]
    assert seen[2] > 1.05 * seen[1]
    with pytest.raises(UsageError, match="amplitude"):
        avatar.speak(sound, controls=Controls(amplitude=9))
    with pytest.raises(UsageError, match="cannot smile"):
        avatar.speak(sound, controls=Controls(smile=0.5))
    beyond = {"brow": {"brow_amplitude": 5.0}, "gaze": {"gaze": (2.0, 0.0)}, "smile": {"smile": 2}}
    for name, wrong in beyond.items():
        with pytest.raises(UsageError, match=name):
            Controls(**wrong)  # type: ignore[arg-type]
