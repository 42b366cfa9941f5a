"""Streams: frames come soon after their sound, however the sound is cut, and are those of the whole file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import speaker
from speaker import opening_of
from talkers import Avatar, Controls
from talkers.cli import main
from talkers.errors import ArtefactError, UsageError
from talkers.media import probe
from talkers.motion.streaming import AHEAD, HOP, SAMPLED_HOP, MotionStream
from talkers.space.linear import HEAD
from talkers.speech import features_of, load_speech_encoder
from talkers.speech.config import SpeechConfig
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.streaming import (
    EncoderStream,
    StreamingEncoderConfig,
    StreamingSpeechEncoder,
    sounds_of,
)

BOTH = pytest.mark.parametrize("motion", ["regressor", "sampler"])


def cut(samples: np.ndarray, sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Samples in blocks of these sizes in turn."""
    k = at = 0
    while at < len(samples):
        yield samples[at : at + sizes[k % len(sizes)]]
        at += sizes[k % len(sizes)]
        k += 1


@pytest.fixture(scope="module")
def listener() -> StreamingSpeechEncoder:
    torch.manual_seed(0)
    return StreamingSpeechEncoder(StreamingEncoderConfig(width=16, blocks=3, ahead=4), 12).eval()


def test_sound_is_told_as_whisper_tells_it() -> None:
    samples = torch.randn(1, 16_000)
    rows = sounds_of(torch.cat([torch.zeros(1, 200), samples], 1))[0]
    mel = ((log_mel_spectrogram(samples) + 4) / 4)[0].T.reshape(50, 160)
    assert len(rows) == 49  # the last frame reaches beyond the end
    assert torch.allclose(rows[1:], mel[1:49], atol=1e-4)  # the first one is padded otherwise


@pytest.mark.parametrize("sizes", [(1600,), (37, 501, 4000), (1,)])
def test_features_do_not_depend_on_how_sound_is_cut(
    listener: StreamingSpeechEncoder, sizes: tuple[int, ...]
) -> None:
    samples = (
        np.random.default_rng(0).normal(size=4_800 if sizes == (1,) else 24_000).astype(np.float32)
    )
    whole, hearing = EncoderStream(listener).hear(samples), EncoderStream(listener)
    parts = torch.cat([hearing.hear(block) for block in cut(samples, sizes)])
    assert whole.shape == parts.shape
    assert len(whole) == (len(samples) + 200 - 240) // 320 - 4
    assert torch.allclose(whole, parts, atol=1e-4)


def test_a_feature_hears_no_further_ahead_than_it_says(listener: StreamingSpeechEncoder) -> None:
    samples = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    other = samples.copy()
    row = 20
    other[(row + 4 + 1) * 320 + 200 :] = 0  # `ahead` rows and half a window after row 20
    one, two = (EncoderStream(listener).hear(x) for x in (samples, other))
    assert torch.allclose(one[: row + 1], two[: row + 1], atol=1e-5)
    assert not torch.allclose(one[row + 2], two[row + 2], atol=1e-3)


@BOTH
def test_latents_do_not_depend_on_how_features_are_cut(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    width = avatar.about["speech"]["width"]
    features = torch.randn(220, width, generator=torch.Generator().manual_seed(0))

    def head(first: int, count: int) -> torch.Tensor:
        return torch.full((count, len(HEAD)), float("nan"))

    hop = HOP if motion == "regressor" else SAMPLED_HOP
    at_once, live = (
        MotionStream(avatar.motion_model(motion), 50, 25, head, hop=hop) for _ in range(2)
    )
    whole = at_once.push(features)
    parts = [live.push(part) for part in torch.split(features, 3)]
    for rows, cut in zip(whole, zip(*parts, strict=True), strict=True):  # latents, head values
        assert len(rows) == (110 - AHEAD) // hop * hop
        assert torch.allclose(rows, torch.cat([c for c in cut if len(c)]), atol=1e-4)


@BOTH
def test_a_stream_gives_the_frames_of_the_whole_file(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(90, 8).opening, 90)[:-100]
    controls = Controls(motion=motion)
    whole = np.stack(list(avatar.speak(sound, controls=controls, live=True))).astype(int)
    assert len(whole) == 90
    for sizes in ((160,), (5000, 333)):
        streamed = np.stack(list(avatar.stream(cut(sound, sizes), controls=controls))).astype(int)
        assert streamed.shape == whole.shape
        assert np.abs(streamed - whole).max() <= 1


def test_a_live_talk_is_the_same_when_it_is_asked_again(avatar: Avatar) -> None:
    sound = speaker.voice(speaker.perform(40, 8).opening, 40)
    talk = avatar.speak(sound, live=True)
    next(iter(talk))
    one, two = (np.stack(list(talk)) for _ in range(2))
    assert len(one) == 40
    assert np.array_equal(one, two)


@BOTH
def test_frames_come_soon_after_their_sound(
    avatar: Avatar, motion: Literal["regressor", "sampler"]
) -> None:
    sound = speaker.voice(speaker.perform(60, 9).opening, 60)
    live, given = avatar.live(controls=Controls(motion=motion)), 0
    for k, block in enumerate(cut(sound, (320,))):
        heard = (k + 1) * 320 / 16_000
        given += sum(1 for _ in live.push(block))
        assert given >= int((heard - live.delay) * 25)
    assert given < 60
    assert given + sum(1 for _ in live.finish()) == 60
    assert live.delay < 0.4


def test_the_mouth_follows_a_stream(avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)
    sound = speaker.voice(acts.opening, 150)
    seen = opening_of(
        np.stack(list(avatar.stream(cut(sound, (800,)), controls=Controls(blinks=0))))
    )
    assert np.corrcoef(seen, acts.opening)[0, 1] > 0.7
    offsets = [
        np.corrcoef(np.roll(seen, k)[10:-10], acts.opening[10:-10])[0, 1] for k in range(-5, 6)
    ]
    assert abs(int(np.argmax(offsets)) - 5) <= 1


def test_the_mouth_rests_when_a_stream_falls_silent(avatar: Avatar) -> None:
    acts = speaker.perform(150, 77)
    sound = np.concatenate([speaker.voice(acts.opening, 150), np.zeros(48_000, np.float32)])
    sound += 0.001 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    seen = opening_of(
        np.stack(list(avatar.stream(cut(sound, (800,)), controls=Controls(blinks=0))))
    )
    assert np.ptp(seen[160:]) <= 0.05 * np.ptp(seen[:150])


def test_the_listener_tells_what_the_encoder_tells(avatar: Avatar) -> None:
    assert avatar.listener is not None
    sound = speaker.voice(speaker.perform(75, 78).opening, 75)
    told, wanted = (
        EncoderStream(avatar.listener).hear(sound),
        features_of(load_speech_encoder(SpeechConfig("log-mel", ())), sound),
    )
    n = len(told)
    explained = 1 - float((told - wanted[:n]).square().mean() / wanted[:n].var(0).mean())
    assert explained > 0.5


def test_what_cannot_be_streamed_is_said(
    avatar: Avatar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="finite"):
        list(avatar.stream([np.array([0.0, np.nan], np.float32)]))
    with pytest.raises(UsageError, match="no sound"):
        list(avatar.stream([np.zeros((99, 99), np.float32)]))
    assert list(avatar.stream([])) == []
    shutil.copytree(
        avatar.engine.folder,
        tmp_path / "deaf",
        ignore=shutil.ignore_patterns("training", "listener*"),
    )
    deaf = Avatar.load(tmp_path / "deaf")
    assert len(list(deaf.speak(np.zeros(1600, np.float32)))) == 2  # it speaks nevertheless
    with pytest.raises(ArtefactError, match="listener"):
        deaf.live()
    speech = str(Path(__file__).parents[2] / "src" / "talkers" / "avatars" / "hello.flac")
    assert (
        main(
            [
                "speak",
                speech,
                "--avatar",
                str(tmp_path / "deaf"),
                "-o",
                str(tmp_path / "a.mp4"),
                "--live",
            ]
        )
        == 4
    )
    assert "listener" in capsys.readouterr().err
    assert (
        main(
            [
                "speak",
                speech,
                "--avatar",
                str(avatar.engine.folder),
                "-o",
                str(tmp_path / "b.mp4"),
                "--live",
            ]
        )
        == 0
    )
    assert probe(tmp_path / "b.mp4").video is not None
