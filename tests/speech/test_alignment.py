"""Known words are found in sound."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from talkers.experts.words import frame_labels, read_alignment, sentence_of_name
from talkers.media import read_audio
from talkers.speech.alignment import aligned_phones, aligned_words

WORDS = [
    "hello",
    "nobody",
    "ever",
    "filmed",
    "me",
    "saying",
    "this",
    "give",
    "me",
    "a",
    "voice",
    "and",
    "i",
    "will",
    "speak",
]


def test_words_and_phones_are_found_where_they_are_said() -> None:
    sound = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    said = aligned_words(sound, WORDS)
    assert [word for _, _, word in said] == WORDS
    edges = np.array([(start, end) for start, end, _ in said])
    assert (edges[:, 0] < edges[:, 1]).all()
    assert (edges[1:, 0] >= edges[:-1, 1] - 1e-6).all()
    pause = edges[7, 0] - edges[6, 1]  # between the two last sentences
    assert 0.1 < pause == max(np.delete(edges[1:, 0] - edges[:-1, 1], 0))
    quiet = sound[int(edges[6, 1] * 16_000) : int(edges[7, 0] * 16_000)]
    assert np.abs(quiet).mean() < np.abs(sound).mean() / 4
    phones = aligned_phones(sound, WORDS)
    assert [p.name for p in phones if p.start >= edges[7, 0]][:3] == ["G", "IH", "V"]


def test_words_that_nobody_knows_are_not_found() -> None:
    sound = read_audio(str(files("talkers") / "avatars" / "hello.flac"))
    assert aligned_words(sound, ["hello", "zxqwv"]) == []
    assert aligned_words(np.zeros(160, np.float32), ["hello"]) == []
    assert aligned_words(sound, []) == []


def test_it_agrees_with_alignments_made_with_care(grid: Path) -> None:
    agree = []
    for path in sorted((grid / "s1" / "align").glob("bba*.align"))[:8]:
        sound = read_audio(grid / "s1" / "video" / f"{path.stem}.mpg")
        found, true = (
            frame_labels(words, 75)
            for words in (
                aligned_words(sound, sentence_of_name(path.stem) or ()),
                read_alignment(path),
            )
        )
        agree.append((found == true).mean())
    assert np.mean(agree) > 0.85, agree
