"""GRID's sentences: six words, one of each slot (Cooke, Barker, Cunningham, Shao 2006)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkers.errors import MediaError, reason

SLOTS: tuple[tuple[str, ...], ...] = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("again", "now", "please", "soon"),
)
SPELT = {"a": "eigh", "z": "zed"}
"""Letters that engines take for a word, or say otherwise than GRID's speakers."""
SAID = {"z": "zed"}
"""Letters that the aligner's dictionary says the American way."""
SILENCE = 0
WORDS = ("", *(word for slot in SLOTS for word in slot))
"""Every word, silence first: the classes of the lip reader."""
CHANCE_WER = 1 - sum(1 / len(slot) for slot in SLOTS) / len(SLOTS)
"""Word error rate of guessing."""
UNITS_A_SECOND = 25_000  # of the times in GRID's .align files
MAX_UNITS = 24 * 3600 * UNITS_A_SECOND  # a day


def written(sentence: Sequence[str]) -> str:
    """A sentence as a text-to-speech engine says it GRID's way: the letters a and z are neither an
    article nor American."""
    return " ".join(SPELT.get(word, word) for word in sentence)


def sentence_of_name(name: str) -> tuple[str, ...] | None:
    """The sentence that a GRID file name spells, or the one part of it between underscores that
    spells one; None if it spells none.

    >>> sentence_of_name("bbaf2n")
    ('bin', 'blue', 'at', 'f', 'two', 'now')
    """
    spelling = re.compile(r"[blps][bgrw][abiw][a-vx-z][z1-9][anps](?:-\d+)?")
    spelt = [part for part in name.split("_") if spelling.fullmatch(part)]
    if len(spelt) != 1:
        return None
    name = spelt[0]
    words = []
    for slot, letter in zip(SLOTS, name, strict=False):
        if slot is SLOTS[4]:
            words.append(slot[0 if letter == "z" else int(letter)])
        else:
            words.append(next(w for w in slot if w[0] == letter))
    return tuple(words)


def read_alignment(path: Path) -> list[tuple[float, float, str]]:
    """Start and end in seconds and the word of each line of a GRID .align file, without silences.

    Raises:
        MediaError: it cannot be read or is no such file.
    """
    try:
        rows = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        times = [(int(start), int(end), word) for start, end, word in rows]
        if wrong := [row for row in times if not 0 <= row[0] <= row[1] <= MAX_UNITS]:
            raise ValueError(
                f"'{wrong[0][2]:.40}' begins or ends at no time within a day, or ends before it "
                "begins"
            )
    except (OSError, ValueError) as error:
        raise MediaError(
            "this alignment cannot be read",
            where=path,
            why=reason(error),
            todo="Each line must be: start end word",
        ) from error
    return [
        (start / UNITS_A_SECOND, end / UNITS_A_SECOND, word)
        for start, end, word in times
        if word not in ("sil", "sp")
    ]


def frame_labels(
    words: list[tuple[float, float, str]], frames: int, rate: float = 25.0
) -> NDArray[np.int64]:
    """The class of each frame (its middle counts).

    Args:
        words: start and end in seconds of each word, and the word.
        frames: how many.
        rate: frames a second.

    Returns:
        indices into WORDS [frames], SILENCE where nothing is said.
    """
    labels = np.zeros(frames, np.int64)
    middle = (np.arange(frames) + 0.5) / rate
    for start, end, word in words:
        if word in WORDS:
            labels[(middle >= start) & (middle < end)] = WORDS.index(word)
    return labels


def read_sentence(log_probabilities: NDArray[np.floating]) -> tuple[str, ...]:
    """The likeliest sentence of the grammar, by Viterbi: silence, six words in their order,
    silence.

    Args:
        log_probabilities: [T, len(WORDS)], of each class in each frame.
    """
    scores = np.asarray(log_probabilities, np.float64)
    # Viterbi: best_t(s) = score_t(s) + max over s' of best_(t-1)(s'), where s' is s itself or a
    # word of the slot before
    slots = [[SILENCE], *[[WORDS.index(w) for w in slot] for slot in SLOTS], [SILENCE]]
    classes = np.concatenate([np.array(s) for s in slots])
    slot_of = np.concatenate([np.full(len(s), k) for k, s in enumerate(slots)])
    best = np.where(slot_of <= 1, scores[0, classes], -np.inf)
    back = np.zeros((len(scores), len(classes)), np.int64)
    own = np.arange(len(classes))
    for t in range(1, len(scores)):
        arrivals = np.full(len(slots), -np.inf)
        origins = np.zeros(len(slots), np.int64)
        for k in range(1, len(slots)):
            inside = np.flatnonzero(slot_of == k - 1)
            origins[k] = inside[np.argmax(best[inside])]
            arrivals[k] = best[origins[k]]
        moved = arrivals[slot_of]
        back[t] = np.where(moved > best, origins[slot_of], own)
        best = np.maximum(moved, best) + scores[t, classes]
    state = int(np.argmax(np.where(slot_of >= len(SLOTS), best, -np.inf)))
    path = [state]
    for t in range(len(scores) - 1, 0, -1):
        state = int(back[t, state])
        path.append(state)
    words: dict[int, str] = {}
    for state in path:
        words[int(slot_of[state])] = WORDS[classes[state]]
    return tuple(words.get(k, "") for k in range(1, len(SLOTS) + 1))


def word_error_rate(said: tuple[str, ...], read: tuple[str, ...]) -> float:
    """Levenshtein distance of words over the number of words said.

    Args:
        said: the words that were said.
        read: the words that were read.
    """
    # d(i, j) = min(d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + [a_i != b_j]), a row at a time
    row = list(range(len(read) + 1))
    for i, a in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(read, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1] / max(1, len(said))
