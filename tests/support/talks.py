"""A voice that hums, a language model and a dialogue that say what they are told: for tests of talks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from talkers.dialogue import Message, Sampling, Sentence, Turn
from talkers.speech.subtitles import Word
from talkers.speech.voices import Said


class Hum:
    """A voice: a tone of a tenth of a second a word, which it tells."""

    rate, language = 16_000, "en-us"

    def __init__(self, tells: bool = True):
        self.tells, self.speeds = tells, list[float]()

    def say(self, text: str, speed: float = 1.0) -> Said:
        self.speeds.append(speed)
        words, each = text.split(), 0.1
        count = round(len(words) * each * self.rate)
        tone = 0.3 * np.sin(np.arange(count) * 2 * np.pi * 200 / self.rate)
        told = tuple(Word(w, k * each, (k + 1) * each) for k, w in enumerate(words))
        return Said(tone.astype(np.float32), told if self.tells else ())


class Scripted:
    """A language model that gives prepared answers, a few letters at a time."""

    name = "scripted"

    def __init__(self, *answers: str):
        self.answers, self.asked = answers, list[Sequence[Message]]()

    def write(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        self.asked.append(messages)
        text = self.answers[(len(self.asked) - 1) % len(self.answers)]
        yield from (text[k : k + 3] for k in range(0, len(text), 3))

    def candidates(self, messages: Sequence[Message], sampling: Sampling, count: int) -> list[str]:
        return [self.answers[k % len(self.answers)] for k in range(count)]


class Says:
    """A dialogue that answers the same sentences whatever is said."""

    def __init__(self, *sentences: Sentence | str):
        self.sentences = [s if isinstance(s, Sentence) else Sentence(s) for s in sentences]
        self.turns: list[Turn] = []

    def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
        self.turns = list(turns)
        yield from self.sentences
