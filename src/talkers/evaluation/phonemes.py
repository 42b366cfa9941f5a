"""When are p, b and m said, and do the lips close for them? Forced alignment by PocketSphinx."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MissingComponent

BILABIALS = ("P", "B", "M")
CLOSED = 0.03  # opening, in inter-ocular distances, at or below which lips are closed
OPENED = 0.03  # by how much further they are open within a fifth of a second of it: a mouth that rests does not close


def aligned_phones(
    samples: NDArray[np.float32], words: Sequence[str]
) -> list[tuple[str, float, float]]:
    """Phones (ARPAbet) with their start and end in seconds; empty where the words cannot be found in the sound.

    Args:
        samples: float32 [n] at 16 kHz. words: what is said.

    Raises:
        MissingComponent: PocketSphinx is not installed.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise MissingComponent(
            "forced alignment needs PocketSphinx", todo="Install it: `pip install pocketsphinx`"
        ) from error
    sound = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder = Decoder(lm=None, loglevel="FATAL", bestpath=False)
    if any(decoder.lookup_word(word) is None for word in words):
        return []
    try:
        decoder.set_align_text(" ".join(words))
        for again in (False, True):
            if again:
                decoder.set_alignment()
            decoder.start_utt()
            decoder.process_raw(sound, full_utt=True)
            decoder.end_utt()
        return [
            (re.sub(r"\d", "", p.name), p.start / 100, (p.start + p.duration) / 100)
            for word in decoder.get_alignment()
            for p in word
        ]
    except (RuntimeError, TypeError):
        return []


def bilabial_closure(
    opening: NDArray[np.float32],
    phones: Sequence[tuple[str, float, float]],
    frame_rate: float = 25.0,
) -> float:
    """Share of p, b and m for which the lips close, a frame before to a frame after, having been or coming to be open
    within a fifth of a second: NaN where none is said.

    Args:
        opening: [T] in inter-ocular distances.
    """
    closed = []
    for phone, start, end in phones:
        if phone in BILABIALS:
            first, last = max(0, int(start * frame_rate) - 1), int(np.ceil(end * frame_rate)) + 1
            if len(window := opening[first:last]):
                around = opening[max(0, first - 5) : last + 5]
                closed.append(window.min() <= CLOSED and around.max() - window.min() >= OPENED)
    return float(np.mean(closed)) if closed else float("nan")
