"""The variants of a clip's sound that models learn from.

Beside the recording itself: with digital silence between the words, silence throughout, sound
that is not speech, other voices, rooms and devices, and synthetic voices that say the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from talkers.corpus.store import ClipRecord
from talkers.experts.words import sentence_of_name, written
from talkers.media import AUDIO_RATE
from talkers.speech.voices import Voice, load_voice
from talkers.systems.recipe import Recipe
from talkers.training.augment import Sound, generator

VOICES = 3  # other voices in which a clip is heard
SYNTHETIC_VOICES = 4  # synthetic voices that say it, if there are as many
NON_SPEECH = 3  # sounds that are not speech, heard in place of a clip
UNSPOKEN = ("silence", *(f"non_speech {k + 1}" for k in range(NON_SPEECH)))
"""Variants in which nothing is said."""


def tts_voices(recipe: Recipe) -> tuple[str, ...]:
    """Names of the synthetic voices that the stages of a recipe ask for."""
    names = (name for stage in recipe.stages for name in getattr(stage, "tts_voices", ()))
    return tuple(dict.fromkeys(names))


def sound_variants(recipe: Recipe) -> tuple[str, ...]:
    """Names of the variants in which the motion models hear every clip.

    Synthetic voices come last; without a transcript, as many more altered voices take their place.
    """
    voices = VOICES + min(SYNTHETIC_VOICES, len(tts_voices(recipe)))
    return ("clean", "gated", *UNSPOKEN, *(f"voice {k + 1}" for k in range(voices)))


def gated(samples: Sound, speech: NDArray[np.bool_], frame_rate: float) -> Sound:
    """Replace everything between words by digital silence; fades last one frame.

    Args:
        samples: float32 [n] at 16 kHz.
        speech: bool [T], which frames hold speech.
        frame_rate: of `speech`.
    """
    middles = (np.arange(len(speech)) + 0.5) / frame_rate * AUDIO_RATE
    return np.asarray(samples * np.interp(np.arange(len(samples)), middles, speech), np.float32)


def sentence_of(clip: ClipRecord) -> str | None:
    """What is said in a clip: its transcript, or what its name spells in GRID's way."""
    spelt = sentence_of_name(clip.name)
    return clip.transcript or (written(spelt) if spelt else None)


def tts_voices_of(clip: ClipRecord, voices: int) -> list[int]:
    """Which of `voices` synthetic voices say a clip."""
    return [int(k) for k in generator(clip.name, 1 + VOICES).permutation(voices)[:SYNTHETIC_VOICES]]


def load_voices(names: Sequence[str]) -> list[Voice]:
    """The synthetic voices of these names.

    Raises:
        MissingComponent: a voice or the package that speaks it is missing.
    """
    return [load_voice(name) for name in names]


def synthesise(voice: Voice, sentence: str) -> Sound:
    """A sentence said by a synthetic voice: float32 [n] at 16 kHz."""
    said = voice.say(sentence).samples
    return np.asarray(soxr.resample(said, voice.rate, AUDIO_RATE), np.float32)
