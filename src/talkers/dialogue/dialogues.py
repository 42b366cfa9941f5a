"""The dialogues: an echo, and compositions of a language model with critics and with empathy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from talkers.dialogue.contract import (
    PLAINLY,
    Dialogue,
    DialogueParts,
    Sentence,
    Turn,
)
from talkers.dialogue.critics import CriticPanel
from talkers.dialogue.empathy import Empathy
from talkers.dialogue.prompts import prompt
from talkers.dialogue.sentences import spoken_sentences
from talkers.errors import UsageError
from talkers.registry import component


class Echo:
    """Says again what was said. It needs no language model: for tests, and to try a voice.

    Args:
        parts: not used.
    """

    def __init__(self, parts: DialogueParts):
        self.parts = parts

    def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
        """See `Dialogue`."""
        for text in spoken_sentences([f"You said: {_question(turns)}"]):
            yield Sentence(text)


class Composed:
    """A language model's answers, chosen by critics and felt by stages where there are any.

    Args:
        parts: see there.
        critics: choose one of several answers; None: the first is taken, as it is written.
        empathy: what the user feels, and so what is said and how; None: nothing of it.
    """

    def __init__(
        self,
        parts: DialogueParts,
        critics: CriticPanel | None = None,
        empathy: Empathy | None = None,
    ):
        self.parts, self.critics, self.empathy = parts, critics, empathy
        self._model = parts.language()

    def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
        """See `Dialogue`."""
        _question(turns)
        delivery, note = PLAINLY, ""
        if self.empathy is not None:
            feeling = self.empathy.feel(turns)
            delivery, note = feeling.delivery, feeling.note
        persona = self.parts.persona
        messages = prompt(persona, turns, note)
        sampling = replace(self.parts.sampling, seed=seed)
        if self.critics is None:
            texts = spoken_sentences(self._model.write(messages, sampling))
        else:
            drawn = self._model.candidates(messages, sampling, self.parts.count)
            candidates = [" ".join(spoken_sentences([text])) for text in drawn]
            texts = spoken_sentences([self.critics.best(candidates, turns).text])
        for text in texts:
            yield Sentence(text, delivery)


def plain(parts: DialogueParts) -> Dialogue:
    """The model's first answer, sentence by sentence as it is written."""
    return Composed(parts)


def with_critics(parts: DialogueParts) -> Dialogue:
    """The best of several answers, as critics see it; see `talkers.dialogue.critics`."""
    return Composed(parts, CriticPanel.of(parts))


def with_empathy(parts: DialogueParts) -> Dialogue:
    """An answer that begins with what the user feels; see `talkers.dialogue.empathy`."""
    return Composed(parts, None, Empathy(parts.language()))


def with_both(parts: DialogueParts) -> Dialogue:
    """Empathy, and the best of several answers."""
    return Composed(parts, CriticPanel.of(parts), Empathy(parts.language()))


def make_dialogue(name: str, parts: DialogueParts) -> Dialogue:
    """A registered dialogue by its name.

    Raises:
        MissingComponent: there is none of that name, or its model cannot be had.
    """
    made: Dialogue = component("dialogue", name).load()(parts)
    return made


def _question(turns: Sequence[Turn]) -> str:
    """The user's last turn.

    Raises:
        UsageError: the last turn is not the user's.
    """
    if not turns or turns[-1].speaker != "user":
        raise UsageError("there is nothing to answer", todo="End with a turn of the user")
    return turns[-1].text
