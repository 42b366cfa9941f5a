"""Phonemes as speech features say what is said, whoever says it."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import torch
from test_alignment import WORDS

from talkers.media import read_audio
from talkers.speech import FEATURE_RATE, SpeechConfig, features_of, load_speech_encoder
from talkers.speech.alignment import aligned_phones
from talkers.speech.phonemes import PHONES

SILENCE = len(PHONES)
ENCODER = SpeechConfig("phonemes", ())


def test_they_are_those_of_the_words_that_are_said() -> None:
    sound = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    found = features_of(load_speech_encoder(ENCODER), sound)
    assert torch.allclose(found.sum(1), torch.ones(len(found)))
    true = np.full(len(found), SILENCE)
    for phone in aligned_phones(sound, WORDS):
        said = slice(round(phone.start * FEATURE_RATE), round(phone.end * FEATURE_RATE))
        true[said] = PHONES.index(phone.name) if phone.name in PHONES else SILENCE
    spoken = true != SILENCE
    agree = (found.argmax(1).numpy() == true)[spoken].mean()
    assert agree > 0.5  # 0.1 if they were said a second later
    assert (np.roll(found.argmax(1).numpy(), FEATURE_RATE) == true)[spoken].mean() < agree / 2


def test_in_silence_and_hum_nothing_is_said() -> None:
    encoder = load_speech_encoder(ENCODER)
    hum = 0.2 * np.sin(np.arange(64_000) * 2 * np.pi * 100 / 16_000)
    for sound in (np.zeros(64_000), hum):
        found = features_of(encoder, sound.astype(np.float32))
        assert found[:, SILENCE].mean() > 0.95
