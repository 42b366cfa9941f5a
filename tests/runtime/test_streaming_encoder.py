"""The streaming speech encoder: the same features however sound is cut, and no further ahead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import speaker
from streams import cut
from talkers import Avatar
from talkers.media import AUDIO_RATE
from talkers.runtime.session import Hurry, Session
from talkers.speech import (
    TARGET_DB,
    ActivityStream,
    SpeechConfig,
    StreamingEncoderConfig,
    StreamingSpeechEncoder,
    features_of,
    load_speech_encoder,
)
from talkers.speech.mel import log_mel_spectrogram
from talkers.speech.streaming import mel_rows
from talkers.training.speech_stage import StreamingEncoderModule


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


@pytest.fixture(scope="module")
def guesser() -> StreamingSpeechEncoder:
    torch.manual_seed(1)
    config = StreamingEncoderConfig(width=16, blocks=3, look_ahead=4, guesses=6)
    made = StreamingSpeechEncoder(config, 12).eval()
    torch.nn.init.normal_(made.unheard)  # type: ignore[arg-type]
    return made


def test_guesses_come_next_and_change_nothing(guesser: StreamingSpeechEncoder) -> None:
    samples = np.random.default_rng(0).normal(size=9_600).astype(np.float32)
    known, asked, rows = guesser.start(), guesser.start(), []
    for block in cut(samples, (640,)):
        rows.append(asked.step(block))
        guesses = asked.guess(6)
        early = max(0, 4 - 2 * len(rows) + 1)  # rows of before the beginning, which none wants
        assert len(guesses) == 6 - early
        assert torch.allclose(asked.guess(2), guesses[: max(0, 2 - early)], atol=1e-5)
    assert torch.allclose(torch.cat(rows), known.step(samples), atol=1e-4)
    quieter = guesser.start()
    quieter.step(0.1 * samples)
    assert not torch.allclose(quieter.guess(6), guesses, atol=1e-2)  # they depend on what was heard


def test_who_has_not_learnt_to_guess_guesses_nothing(encoder: StreamingSpeechEncoder) -> None:
    stream = encoder.start()
    stream.step(np.zeros(9_600, np.float32))
    assert encoder.guesses == 0
    assert stream.guess(6).shape == (0, 12)


def test_training_guesses_from_the_sound_that_a_stream_has(guesser: StreamingSpeechEncoder) -> None:
    """What a training window's end is made of is what a stream says at that moment."""
    rows, guessed = 40, 6
    samples = np.random.default_rng(2).normal(size=(rows + 4 + 2) * 320).astype(np.float32)
    module = StreamingEncoderModule.__new__(StreamingEncoderModule)
    torch.nn.Module.__init__(module)
    module.model = guesser
    window = torch.from_numpy(np.concatenate([np.zeros(200, np.float32), samples]))
    with torch.inference_mode():
        predicted = guesser.features(module.predict(window[None], rows, guessed)[0])
    stream = guesser.start()
    # the last known feature is row 33, which is complete with 12.5 ms after row 37
    known = stream.step(samples[: (rows - guessed + 4) * 320 + 40])
    assert len(known) == rows - guessed
    assert torch.allclose(predicted[: rows - guessed], known, atol=1e-4)
    assert torch.allclose(predicted[rows - guessed :], stream.guess(guessed), atol=1e-4)


def test_a_frame_is_sooner_by_what_is_guessed(bundled: Avatar) -> None:
    """The frames are as many, and where the guesses are right they are the same."""
    encoder = bundled.engine.student
    assert encoder is not None
    resolved = bundled.resolve_controls(0, live=True)
    sound = speaker.voice(speaker.perform(75, 50).opening, 75)

    class Knows:
        """Guesses what comes, as it has heard it all before."""

        def __init__(self) -> None:
            whole = np.concatenate([sound, np.zeros(16_000, np.float32)])
            levelled = ActivityStream(AUDIO_RATE, TARGET_DB)
            heard = [levelled.push(block) for block in cut(whole, (640,))]
            self.all = encoder.start().step(np.concatenate(heard))
            self.stream, self.given = encoder.start(), 0

        def step(self, samples: np.ndarray) -> torch.Tensor:
            rows = self.stream.step(samples)
            self.given += len(rows)
            return rows

        def guess(self, count: int) -> torch.Tensor:
            return self.all[self.given : self.given + count]

    waits = Session(bundled.engine, resolved, bundled.engine.options(0), look_ahead=0.08)
    hurries = Session(
        bundled.engine, resolved, bundled.engine.options(0), look_ahead=0.08, hurry=Hurry(6)
    )
    assert encoder.guesses == 6
    assert hurries.delay == pytest.approx(waits.delay - 0.12)
    hurries._encoder = Knows()
    found = []
    for session in (waits, hurries):
        # when the mouth may move is decided by the sound that has come, which is another matter
        session._edited = lambda first, motion, head: motion  # type: ignore[method-assign]
        rows = [session.motion(block) for block in cut(sound, (640,))]
        found.append(torch.cat([row for row in (*rows, session.flush()) if len(row)]))
    assert found[0].shape == found[1].shape
    assert torch.allclose(found[0], found[1], atol=1e-3)


def test_a_trained_encoder_predicts_what_it_was_distilled_from(avatar: Avatar) -> None:
    assert avatar.engine.student is not None
    sound = speaker.voice(speaker.perform(75, 78).opening, 75)
    predicted = avatar.engine.student.start().step(sound)
    wanted = features_of(load_speech_encoder(SpeechConfig("log-mel", ())), sound)
    n = len(predicted)
    explained = 1 - float((predicted - wanted[:n]).square().mean() / wanted[:n].var(0).mean())
    assert explained > 0.5
