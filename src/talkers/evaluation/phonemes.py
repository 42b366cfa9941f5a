"""When are p, b and m said, and do the lips close for them? Forced alignment by PocketSphinx."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkers.errors import missing
from talkers.experts.rate import RATE

BILABIALS = ("P", "B", "M")
CLOSED = 0.03  # opening, in inter-ocular distances, at or below which lips are closed
OPENED = 0.03  # by how much further they are open near by: a mouth that rests does not close
NEARBY = 5  # frames before and after in which they must be open
ALIGNER_RATE = 100  # times a second, of PocketSphinx


class Phone(NamedTuple):
    """A phone and when it is said.

    Attributes:
        name: ARPAbet, without stress.
        start: seconds.
        end: seconds.
    """

    name: str
    start: float
    end: float


def aligner() -> Any:
    """PocketSphinx's decoder class.

    Raises:
        MissingComponent: it is not installed.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise missing("forced alignment", "evaluate", error) from error
    return Decoder


def aligned_phones(samples: NDArray[np.float32], words: Sequence[str]) -> list[Phone]:
    """When each phone of known words is said.

    Args:
        samples: float32 [n] at 16 kHz.
        words: what is said in it.

    Returns:
        phones in their order; none where the words cannot be found in the sound.

    Raises:
        MissingComponent: PocketSphinx is not installed.
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
            Phone(
                re.sub(r"\d", "", phone.name),
                phone.start / ALIGNER_RATE,
                (phone.start + phone.duration) / ALIGNER_RATE,
            )
            for word in decoder.get_alignment()
            for phone in word
        ]
    except (RuntimeError, TypeError):  # the words do not fit the sound
        return []


def bilabial_closure(
    opening: NDArray[np.float32], phones: Sequence[Phone], frame_rate: float = RATE
) -> float:
    """Share of p, b and m for which the lips close, a frame before to a frame after, having been
    or coming to be open within a fifth of a second.

    Args:
        opening: of the mouth [T], in inter-ocular distances.
        phones: what is said.
        frame_rate: of the opening.

    Returns:
        0..1, or NaN where none is said.
    """
    closed = []
    for phone, start, end in phones:
        if phone in BILABIALS:
            first, last = max(0, int(start * frame_rate) - 1), int(np.ceil(end * frame_rate)) + 1
            if len(window := opening[first:last]):
                nearby = opening[max(0, first - NEARBY) : last + NEARBY]
                closed.append(window.min() <= CLOSED and nearby.max() - window.min() >= OPENED)
    return float(np.mean(closed)) if closed else float("nan")
