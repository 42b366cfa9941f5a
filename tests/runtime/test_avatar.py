"""The avatar: loads or refuses, speaks any length at any rate, and says the same thing twice in the same way."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import speaker
from speaker import opening_of
from talkers import Avatar, Controls
from talkers.corpus import Corpus
from talkers.errors import ArtefactError, FaceError, MediaError, ResourceError, UsageError
from talkers.media import decode_frames, probe, read_audio
from talkers.runtime.bundle import FORMAT_VERSION


def test_the_mouth_follows_the_speech(tiny_avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)  # never trained on
    frames = np.stack(
        list(tiny_avatar.speak(speaker.voice(acts.opening, 150), controls=Controls(blinks=0)))
    )
    assert frames.shape == (150, 64, 64, 3)
    assert frames.dtype == np.uint8
    seen = opening_of(frames)
    assert np.corrcoef(seen, acts.opening)[0, 1] > 0.8
    offsets = [
        np.corrcoef(np.roll(seen, k)[10:-10], acts.opening[10:-10])[0, 1] for k in range(-5, 6)
    ]
    assert abs(int(np.argmax(offsets)) - 5) <= 1  # in step to a frame


def test_takes_are_sampled_and_follow_the_speech(tiny_avatar: Avatar, tmp_path: Path) -> None:
    acts = speaker.perform(150, 77)
    sound = speaker.voice(acts.opening, 150)
    one, two, again = (
        np.stack(
            list(tiny_avatar.speak(sound, seed=s, controls=Controls(motion="sampler", blinks=0)))
        )
        for s in (1, 2, 1)
    )
    assert np.array_equal(one, again)
    assert np.abs(one.astype(int) - two).mean() > 0.5
    for take in (one, two):
        assert np.corrcoef(opening_of(take), acts.opening)[0, 1] > 0.7
    shutil.copytree(
        tiny_avatar.folder,
        tmp_path / "plain",
        ignore=shutil.ignore_patterns("training", "sampler*"),
    )
    with pytest.raises(ArtefactError, match="sampler"):
        list(Avatar.load(tmp_path / "plain").speak(sound, controls=Controls(motion="sampler")))


def test_the_mouth_rests_in_silence(tiny_avatar: Avatar) -> None:
    talk = tiny_avatar.speak(np.zeros(32_000, np.float32), controls=Controls(blinks=0))
    assert talk.silent
    assert opening_of(np.stack(list(talk))).max() < 12


def test_the_mouth_rests_before_and_after_speech(tiny_avatar: Avatar) -> None:
    acts = speaker.perform(75, 5)
    sound = np.concatenate(
        [
            np.zeros(32_000, np.float32),
            speaker.voice(acts.opening, 75),
            np.zeros(32_000, np.float32),
        ]
    )
    seen = opening_of(
        np.stack(list(tiny_avatar.speak(sound, controls=Controls("still", blinks=0))))
    )
    assert seen[55:120].std() > 10
    for quiet in (seen[:42], seen[133:]):
        assert (np.abs(np.diff(quiet)) > 2).mean() <= 0.01  # of about 60 pixels


def test_noise_does_not_move_the_mouth_as_speech_does(tiny_avatar: Avatar) -> None:
    """An avatar that hears log-mel alone cannot know music from voices, but it was taught what is not speech."""
    from talkers.training.augment import generator, non_speech

    said = opening_of(
        np.stack(
            list(
                tiny_avatar.speak(
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
                    tiny_avatar.speak(
                        non_speech(48_000, generator("never heard", k)),
                        controls=Controls("still", blinks=0),
                    )
                )
            )
        ).std()
        for k in range(4)
    ]
    assert np.mean(moved) < 0.5 * said.std()


def test_a_style_clip_is_taken_after(tiny_avatar: Avatar, tmp_path: Path) -> None:
    """A clip of the same person that opens its mouth half as far, with its head to one side."""
    from talkers.media import AUDIO_RATE, VideoWriter

    acts = speaker.perform(75, 5)
    sound = speaker.voice(acts.opening, 75)

    def clip(name: str, share: float, shift: float, blue: int = 0) -> Path:
        with VideoWriter(tmp_path / name, Fraction(25), [sound], AUDIO_RATE, crf=8) as writer:
            for opening in acts.opening:
                writer.write(
                    np.roll(speaker.draw(64, share * float(opening), shift, 0.0), blue, -1)
                )
        return tmp_path / name

    words = speaker.voice(speaker.perform(100, 6).opening, 100)

    def made(**asked: object) -> np.ndarray:
        return np.stack(list(tiny_avatar.speak(words, controls=Controls(blinks=0, **asked))))  # type: ignore[arg-type]

    small, large = (made(style=str(clip(f"{s}.mp4", s, 0.04))) for s in (0.4, 1.0))
    assert opening_of(small).std() < 0.8 * opening_of(large).std()
    centre = [
        ((f[:, 20:45, :, 0].astype(float) - f[:, 20:45, :, 2] > 30) * np.arange(64)).sum()
        / (f[:, 20:45, :, 0].astype(float) - f[:, 20:45, :, 2] > 30).sum()
        for f in (made(style=str(clip("left.mp4", 1.0, -0.04))), large)
    ]
    assert centre[1] - centre[0] > 2
    assert made(style=str(tmp_path / "1.0.mp4"), motion="sampler").shape == (100, 64, 64, 3)
    with pytest.raises(FaceError, match="avatar's person"):
        made(style=str(clip("blue.mp4", 1.0, 0.0, 1)))
    speaker.make_clip(tmp_path / "short.mp4", 12, 1)
    with pytest.raises(UsageError, match="hold speech"):
        made(style=str(tmp_path / "short.mp4"))
    with pytest.raises(MediaError):
        made(style=str(tmp_path / "none.mp4"))


@pytest.mark.parametrize("live", [False, True])
def test_loudness_does_not_move_the_lips(tiny_avatar: Avatar, live: bool) -> None:
    sound = speaker.voice(speaker.perform(75, 5).opening, 75)
    usual, *others = (
        opening_of(
            np.stack(list(tiny_avatar.speak(g * sound, live=live, controls=Controls(blinks=0))))
        )
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


def test_the_same_seed_gives_the_same_frames(tiny_avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(30, 1).opening, 30)
    a, b, c = (np.stack(list(tiny_avatar.speak(sound, seed=s))) for s in (3, 3, 4))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("rate", ["24000/1001", "24", "25", "30", "60"])
@pytest.mark.parametrize("seconds", [0.05, 0.4, 2.0, 7.3])
def test_picture_and_sound_last_equally_long(
    tiny_avatar: Avatar, rate: str, seconds: float, tmp_path: Path
) -> None:
    talk = tiny_avatar.speak(np.zeros(int(16_000 * seconds), np.float32), frame_rate=Fraction(rate))
    path = talk.save(tmp_path / "a.mp4")
    shown = sum(1 for _ in decode_frames(path))
    assert shown == talk.frame_count == max(1, round(seconds * Fraction(rate)))
    assert probe(path).video.frame_rate == Fraction(rate)  # type: ignore[union-attr]


def test_the_speech_is_in_the_video(tiny_avatar: Avatar, corpus: Corpus, tmp_path: Path) -> None:
    source = corpus.folder / "clips" / "clip0.flac"
    made = read_audio(tiny_avatar.speak(source).save(tmp_path / "a.mp4"))
    spoken = read_audio(source)
    assert len(made) == pytest.approx(len(spoken), abs=20)
    assert np.corrcoef(made[: len(spoken)], spoken[: len(made)])[0, 1] > 0.98


def test_size_and_steps_are_chosen(tiny_avatar: Avatar) -> None:
    sound = np.zeros(4_000, np.float32)
    assert next(iter(tiny_avatar.speak(sound, size=96))).shape == (96, 96, 3)
    one, four = (next(iter(tiny_avatar.speak(sound, steps=n))).astype(int) for n in (1, 4))
    assert 0 < np.abs(one - four).mean() < 12
    for wrong in (
        {"steps": 0},
        {"size": 33},
        {"frame_rate": 0},
        {"frame_rate": 1000},
        {"seed": -1},
        {"seed": 2**64},
    ):
        with pytest.raises(UsageError):
            tiny_avatar.speak(sound, **wrong)  # type: ignore[arg-type]
    for wrong in ({"steps": 1001}, {"seed": -1}, {"seed": 2**64}):
        with pytest.raises(UsageError):
            tiny_avatar.live(**wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            tiny_avatar.reconstruct(iter([np.zeros((64, 64, 3), np.uint8)]), **wrong)  # type: ignore[arg-type]
    for motion in ("regressor", "sampler"):
        assert (
            len(list(tiny_avatar.speak(sound, seed=2**32 - 1, controls=Controls(motion=motion))))
            == 6
        )  # type: ignore[arg-type]
    for samples in (
        np.zeros(0, np.float32),
        np.full(100, np.nan, np.float32),
        np.zeros((10, 10), np.float32),
    ):
        with pytest.raises(UsageError):
            tiny_avatar.speak(samples)
    with pytest.raises(MediaError, match="no such file"):
        tiny_avatar.speak("nothing.wav")


def test_frames_of_poses_are_those_of_the_video(tiny_avatar: Avatar, tmp_path: Path) -> None:
    (tmp_path / "frames.csv").write_text("frame,yaw\n0,0\n50,2\n")
    for rate in (None, 50):
        head = tiny_avatar.speak(
            np.zeros(32_000, np.float32),
            frame_rate=rate,
            controls=Controls(tmp_path / "frames.csv"),
        ).head  # type: ignore[arg-type]
        assert head(0, 26)[25, 0] == pytest.approx(1 if rate is None else 2)


def test_how_far_the_mouth_opens_goes_between_what_was_measured(tiny_avatar: Avatar) -> None:
    about = tiny_avatar.about
    known = Avatar(
        tiny_avatar.folder,
        about | {"articulation": [0.25, 1.1, 2.0], "sampler_articulation": 1.2},
        tiny_avatar.recipe,
        tiny_avatar.codec,
        tiny_avatar.motion,
        tiny_avatar.sampler,
        None,
        tiny_avatar.device,
    )
    assert [known.articulation("regressor", a) for a in (0.5, 0.75, 1.0, 1.5)] == pytest.approx(
        [0.25, 0.675, 1.1, 2.0]
    )
    assert [known.articulation("sampler", a) for a in (0.5, 1.0, 1.5)] == pytest.approx(
        [0.6, 1.2, 1.8]
    )  # one number: as it was measured at 1
    assert known.asked(0, Controls(amplitude=0.5)).manner.amplitude == pytest.approx(0.25)


def test_the_head_goes_where_it_is_told(tiny_avatar: Avatar, tmp_path: Path) -> None:
    """In the procedural speaker a yaw of 16 degrees goes with a shift of 0.08 of the side, 5.1 pixels."""
    sound = np.zeros(32_000, np.float32)
    places = []
    for yaw in (-8, 8):
        path = tmp_path / f"{yaw}.csv"
        path.write_text(f"time,yaw\n0,{yaw}\n2,{yaw}\n")
        frames = np.stack(list(tiny_avatar.speak(sound, controls=Controls(str(path), blinks=0))))[
            10:40
        ].astype(float)
        skin = frames[:, 20:45, :, 0] - frames[:, 20:45, :, 2] > 30
        places.append((skin * np.arange(64)).sum() / skin.sum())
    assert 0.7 * 0.08 * 64 < places[1] - places[0] < 1.3 * 0.08 * 64


def test_blinks_close_the_eyes(tiny_avatar: Avatar) -> None:
    sound = np.zeros(16_000 * 8, np.float32)
    open_eyes, blinking = (
        np.stack(list(tiny_avatar.speak(sound, controls=Controls("still", blinks=b)))).astype(float)
        for b in (0, 30)
    )
    whites = [
        (f[10:-10, 20:31, 15:49].min(-1) > 200).sum((1, 2)) for f in (open_eyes, blinking)
    ]  # motion settles at both ends
    assert whites[0].std() < 3
    assert whites[1].min() < 0.6 * whites[0].mean()


def test_reconstruction_keeps_the_video(tiny_avatar: Avatar, corpus: Corpus) -> None:
    frames = corpus.frames("clip1")
    made = np.stack(list(tiny_avatar.reconstruct(iter(frames))))
    assert made.shape == frames.shape
    assert np.abs(made.astype(int) - frames).mean() < 6


def test_saving_and_loading_keeps_the_avatar(tiny_avatar: Avatar) -> None:
    again = Avatar.load(tiny_avatar.folder)
    sound = speaker.voice(speaker.perform(20, 1).opening, 20)
    assert np.array_equal(
        np.stack(list(again.speak(sound))), np.stack(list(tiny_avatar.speak(sound)))
    )
    about = again.inspect()
    assert about["files"]["codec.safetensors"]["bytes"] > 1000
    assert about["data"]["held_out"]
    assert about["command"] == "pytest"


def copy_of(avatar: Avatar, folder: Path) -> Path:
    shutil.copytree(avatar.folder, folder, ignore=shutil.ignore_patterns("training"))
    return folder


def test_damaged_avatars_are_refused_with_a_sentence(tiny_avatar: Avatar, tmp_path: Path) -> None:
    about = json.loads((tiny_avatar.folder / "avatar.json").read_text())
    weights = load_file(tiny_avatar.folder / "codec.safetensors")
    name = "unet.enter.weight"
    cases: dict[str, tuple[object, dict[str, torch.Tensor]]] = {
        "newer talkers": (about | {"format_version": FORMAT_VERSION + 1}, weights),
        "format_version": ({k: v for k, v in about.items() if k != "format_version"}, weights),
        "Did you mean 'latent'": (
            about
            | {"recipe": about["recipe"] | {"codec": about["recipe"]["codec"] | {"latnt": 3}}},
            weights,
        ),
        "head": (about | {"head": {"mean": [1]}}, weights),
        "shape": (about, weights | {name: torch.zeros(3, 3)}),
        "missing": (about, {k: v for k, v in weights.items() if k != name}),
        "not part of": (about, weights | {"extra": torch.zeros(1)}),
        "not finite": (about, weights | {name: torch.full_like(weights[name], torch.nan)}),
        "I64": (about, weights | {name: weights[name].long()}),
    }
    for n, (message, (new_about, new_weights)) in enumerate(cases.items()):
        folder = copy_of(tiny_avatar, tmp_path / str(n))
        (folder / "avatar.json").write_text(json.dumps(new_about))
        save_file(new_weights, folder / "codec.safetensors")
        with pytest.raises(ArtefactError, match=message) as caught:
            Avatar.load(folder)
        assert caught.value.todo
    folder = copy_of(tiny_avatar, tmp_path / "cut")
    (folder / "motion.safetensors").write_bytes((folder / "motion.safetensors").read_bytes()[:1000])
    with pytest.raises(ArtefactError, match="damaged"):
        Avatar.load(folder)
    with pytest.raises(ArtefactError, match="no avatar here"):
        Avatar.load(tmp_path / "nowhere")
    (tmp_path / "cut" / "avatar.json").write_text("[" * 100_000)
    with pytest.raises(ArtefactError, match="damaged"):
        Avatar.load(tmp_path / "cut")


def test_the_bundled_avatar_says_whose_it_is(bundled: Avatar) -> None:
    about = bundled.inspect()
    assert "GRID" in about["data"]["licence"]
    assert "CC BY 4.0" in about["data"]["licence"]
    assert about["consent"]
    assert about["command"].startswith("talkers train")
    assert sum(f["bytes"] for f in about["files"].values()) < 50e6
    assert bundled.size == 256
    assert bundled.frame_rate == 25


def test_the_mouth_moves_as_far_as_asked(tiny_avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(100, 6).opening, 100)
    seen = [
        opening_of(
            np.stack(list(tiny_avatar.speak(sound, controls=Controls(blinks=0, amplitude=a))))
        ).std()
        for a in (0.5, 1.0, 1.5)
    ]
    assert seen[0] < 0.85 * seen[1]
    assert seen[2] > 1.05 * seen[1]
    with pytest.raises(UsageError, match="amplitude"):
        tiny_avatar.speak(sound, controls=Controls(amplitude=9))
    for wrong in ({"expression": 5.0}, {"gaze": (2.0, 0.0)}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Controls(**wrong)  # type: ignore[arg-type]


def test_a_batch_that_memory_does_not_hold_is_halved(
    tiny_avatar: Avatar, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatar = Avatar.load(tiny_avatar.folder, device="cpu")
    latents = torch.randn(11, avatar.recipe.codec.latent)
    whole, decode, tried = avatar.decode(latents), avatar.codec.decode, []

    def small(part: torch.Tensor, *arguments: Any) -> torch.Tensor:
        tried.append(len(part))
        if len(part) > room:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."
            )
        return decode(part, *arguments)

    monkeypatch.setattr(avatar.codec, "decode", small)
    room = 2
    assert np.abs(avatar.decode(latents).astype(int) - whole).max() <= 1
    assert tried == [8, 4, 2, 2, 2, 2, 2, 1]
    assert len(list(Avatar.load(tiny_avatar.folder).speak(np.zeros(8000, np.float32)))) == len(
        list(avatar.speak(np.zeros(8000, np.float32)))
    )
    room = 0
    with pytest.raises(ResourceError, match="not enough memory"):
        avatar.decode(latents)
    monkeypatch.setattr(
        avatar.codec, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("another fault"))
    )
    with pytest.raises(RuntimeError, match="another fault"):
        avatar.decode(latents)


def test_sampled_heads_move_as_far_as_the_persons(tiny_avatar: Avatar) -> None:
    share = tiny_avatar.about["sampler_pose"]
    assert 0.5 <= share <= 1.5
    assert tiny_avatar.asked(
        0, Controls(motion="sampler", pose_scale=0.5)
    ).head.scale == pytest.approx(0.5 * share)
    assert tiny_avatar.asked(0, Controls()).head.scale == 1.0
