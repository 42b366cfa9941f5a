"""The streaming speech encoder: the same features however sound is cut, and no further ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import speaker
from streams import cut
from talkers import Avatar
from talkers.speech import (
    SpeechConfig,
    StreamingEncoderConfig,
    StreamingSpeechEncoder,
    features_of,
    load_speech_encoder,
)
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.streaming import mel_rows


@pytest.fixture(scope="module")
def encoder() -> StreamingSpeechEncoder:
    torch.manual_seed(0)
    return StreamingSpeechEncoder(
        StreamingEncoderConfig(width=16, blocks=3, look_ahead=4), 12
    ).eval()


def test_log_mel_rows_are_whispers() -> None:
    samples = torch.randn(1, 16_000)
    rows = mel_rows(torch.cat([torch.zeros(1, 200), samples], 1))[0]
    mel = ((log_mel_spectrogram(samples) + 4) / 4)[0].T.reshape(50, 160)
    assert len(rows) == 49  # the last frame reaches beyond the end
    assert torch.allclose(rows[1:], mel[1:49], atol=1e-4)  # the first one is padded otherwise


@pytest.mark.parametrize("sizes", [(1600,), (37, 501, 4000), (1,)])
def test_features_do_not_depend_on_how_sound_is_cut(
    encoder: StreamingSpeechEncoder, sizes: tuple[int, ...]
) -> None:
    count = 4_800 if sizes == (1,) else 24_000
    samples = np.random.default_rng(0).normal(size=count).astype(np.float32)
    whole, stream = encoder.start().step(samples), encoder.start()
    parts = torch.cat([stream.step(block) for block in cut(samples, sizes)])
    assert whole.shape == parts.shape
    assert len(whole) == (len(samples) + 200 - 240) // 320 - 4
    assert torch.allclose(whole, parts, atol=1e-4)


def test_a_feature_depends_no_further_ahead_than_it_says(encoder: StreamingSpeechEncoder) -> None:
    samples = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    other, row = samples.copy(), 20
    other[(row + 4 + 1) * 320 + 200 :] = 0  # `look_ahead` rows and half a window after row 20
    one, two = (encoder.start().step(x) for x in (samples, other))
    assert torch.allclose(one[: row + 1], two[: row + 1], atol=1e-5)
    assert not torch.allclose(one[row + 2], two[row + 2], atol=1e-3)


@pytest.mark.parametrize("guessed", [1, 2, 4])
def test_sound_that_goes_on_as_it_is_may_be_guessed(
    encoder: StreamingSpeechEncoder, guessed: int
) -> None:
    """Sooner by so many rows, and the same where the guess is right. What was guessed is not
    held for known later."""
    silence = np.zeros(9_600, np.float32)
    noise = np.random.default_rng(0).normal(size=9_600).astype(np.float32)
    samples = np.concatenate([silence, noise])
    known, hasty = encoder.start(), encoder.start(guessed)
    whole = torch.cat([known.step(block) for block in cut(samples, (640,))])
    sooner = torch.cat([hasty.step(block) for block in cut(samples, (640,))])
    assert len(sooner) == len(whole) + guessed
    assert torch.allclose(sooner[:24], whole[:24], atol=1e-4)
    assert not torch.allclose(sooner[35:50], whole[35:50], atol=1e-2)
    for one, other in zip(known._state, hasty._state, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_trained_encoder_predicts_what_it_was_distilled_from(avatar: Avatar) -> None:
    assert avatar.engine.student is not None
    sound = speaker.voice(speaker.perform(75, 78).opening, 75)
    predicted = avatar.engine.student.start().step(sound)
    wanted = features_of(load_speech_encoder(SpeechConfig("log-mel", ())), sound)
    n = len(predicted)
    explained = 1 - float((predicted - wanted[:n]).square().mean() / wanted[:n].var(0).mean())
    assert explained > 0.5
