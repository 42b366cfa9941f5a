"""When is what said? Forced alignment of known words by PocketSphinx."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkers.errors import missing

ALIGNER_RATE = 100  # times a second, of PocketSphinx


class Segment(NamedTuple):
    """A phone or a word, and when it is said.

    Attributes:
        name: of a phone in ARPAbet, without stress.
        start: seconds.
        end: seconds.
    """

    name: str
    start: float
    end: float


def aligner(purpose: str = "forced alignment", extra: str = "evaluate") -> Any:
    """PocketSphinx's decoder class.

    Args:
        purpose: what it is needed for.
        extra: of talkers, which brings it.

    Raises:
        MissingComponent: it is not installed.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise missing(purpose, extra, error) from error
    return Decoder


def aligned_phones(samples: NDArray[np.float32], words: Sequence[str]) -> list[Segment]:
    """When each phone of known words is said.

    Args:
        samples: float32 [n] at 16 kHz.
        words: what is said in it.

    Returns:
        phones in their order; none where the words cannot be found in the sound.

    Raises:
        MissingComponent: PocketSphinx is not installed.
    """
    return [phone for _, phones in _aligned(samples, words) for phone in phones]


def aligned_words(
    samples: NDArray[np.float32], words: Sequence[str]
) -> list[tuple[float, float, str]]:
    """When each of the words that are said is said.

    Args:
        samples: float32 [n] at 16 kHz.
        words: what is said in it.

    Returns:
        start and end in seconds of each word, and the word; none where the words cannot be found
        in the sound.

    Raises:
        MissingComponent: PocketSphinx is not installed.
    """
    found = [word for word, _ in _aligned(samples, words) if word.name[0] not in "<["]
    if len(found) != len(words):
        return []
    return [(said.start, said.end, word) for said, word in zip(found, words, strict=True)]


def _aligned(
    samples: NDArray[np.float32], words: Sequence[str]
) -> list[tuple[Segment, list[Segment]]]:
    """Words and silences in their order, each with its phones; nothing where they are not found.

    What PocketSphinx returns is copied: it points into memory that the decoder owns.
    """
    decoder = aligner()(lm=None, loglevel="FATAL", bestpath=False)
    sound = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    if any(decoder.lookup_word(word) is None for word in words):
        return []
    try:
        decoder.set_align_text(" ".join(words))
        for by_phones in (False, True):  # by words first
            if by_phones:
                decoder.set_alignment()
            decoder.start_utt()
            decoder.process_raw(sound, full_utt=True)
            decoder.end_utt()
        return [
            (_copied(word), [_copied(phone) for phone in word]) for word in decoder.get_alignment()
        ]
    except (RuntimeError, TypeError):  # the words do not fit the sound
        return []


def _copied(segment: Any) -> Segment:
    start, frames = segment.start, segment.duration
    name = re.sub(r"\d", "", segment.name)
    return Segment(name, start / ALIGNER_RATE, (start + frames) / ALIGNER_RATE)
