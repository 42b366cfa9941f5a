"""Choose the best of several answers by a mixture of critics.

The generator-critic loop of Synthetic-Persona-Chat (Jandaghi et al. 2023, section 3), at the size
of one answer: a generator samples, critics of quality, of faithfulness to the persona and of
agreement with it judge, and the best is kept. Where the model tells how likely an answer is, the
persona's critic asks how much likelier the persona makes it: the bias towards a persona of
PersonalDialog (Zheng et al. 2019, section 4.3), used after the answer is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

from talkers.dialogue.contract import DialogueParts, LanguageModel, ScoringModel, Turn
from talkers.dialogue.persona import Persona, content_words
from talkers.dialogue.prompts import prompt
from talkers.registry import component

WORDS = re.compile(r"[a-z0-9']+")
PHRASE = 3  # words of a phrase that is known again
NEGATING = (
    "not no never none nobody n't don't doesn't didn't isn't aren't wasn't can't "
    "cannot won't haven't hasn't hate dislike"
)
NEGATIONS = frozenset(NEGATING.split())
NO_PERSON = re.compile(
    r"\b(language model|an ai\b|ai assistant|ai-powered|chatbot|artificial intelligence|"
    r"virtual assistant|as an assistant|smollm|\[[^\]]*name\])",
    re.I,
)


class Situation(NamedTuple):
    """What an answer is judged by.

    Attributes:
        turns: what was said; the last is the user's.
        persona: whom the avatar plays.
        model: that wrote the answers.
    """

    turns: Sequence[Turn]
    persona: Persona
    model: LanguageModel


class Critic(Protocol):
    """Judges answers.

    Register one with `register("critic", name, None, "package.module:function")`.
    """

    def __call__(self, answers: Sequence[str], situation: Situation) -> list[float]:
        """How good each answer is, 0 to 1."""
        ...


@dataclass(frozen=True)
class Verdict:
    """The answer that was kept.

    Attributes:
        text: of it.
        score: of the whole panel, 0 to 1.
        scores: by critic.
    """

    text: str
    score: float
    scores: dict[str, float] = field(default_factory=dict)


class CriticPanel:
    """A mixture of critics: the mean of what they say, each with its weight.

    Args:
        situation: of an answer without its turns.
        weights: of the critics, by their registered names.
    """

    WEIGHTS = {
        "persona": 1.0,
        "relevance": 1.0,
        "contradiction": 2.0,
        "parroting": 1.5,
        "fluency": 1.0,
    }

    def __init__(
        self, persona: Persona, model: LanguageModel, weights: dict[str, float] | None = None
    ):
        self._persona, self._model = persona, model
        self.weights = weights or dict(self.WEIGHTS)
        self._critics: dict[str, Critic] = {
            name: component("critic", name).load() for name in self.weights
        }

    @classmethod
    def of(cls, parts: DialogueParts) -> CriticPanel:
        """The usual panel."""
        return cls(parts.persona, parts.language())

    def judge(self, answers: Sequence[str], turns: Sequence[Turn]) -> list[Verdict]:
        """What the critics say of each answer."""
        situation = Situation(turns, self._persona, self._model)
        said = {name: critic(answers, situation) for name, critic in self._critics.items()}
        total = sum(self.weights.values())
        verdicts = []
        for k, text in enumerate(answers):
            scores = {name: values[k] for name, values in said.items()}
            mean = sum(self.weights[name] * value for name, value in scores.items()) / total
            verdicts.append(Verdict(text, mean, scores))
        return verdicts

    def best(self, answers: Sequence[str], turns: Sequence[Turn]) -> Verdict:
        """The answer with the highest score; the first of equals. Empty ones do not count."""
        some = list(dict.fromkeys(answer for answer in answers if answer))
        if not some:
            return Verdict("", 0.0)
        if len(some) == 1:
            return Verdict(some[0], 1.0)
        return max(self.judge(some, turns), key=lambda verdict: verdict.score)


def persona_critic(answers: Sequence[str], situation: Situation) -> list[float]:
    """How much likelier the persona makes an answer; without likelihoods, whether it speaks of
    what the persona is about. Without a persona all are alike."""
    persona, model = situation.persona, situation.model
    if not persona:
        return [0.5] * len(answers)
    if isinstance(model, ScoringModel):
        informed = model.likelihoods(prompt(persona, situation.turns), answers)
        uninformed = model.likelihoods(prompt(Persona(), situation.turns), answers)
        return [_squashed(4 * (a.mean - b.mean)) for a, b in zip(informed, uninformed, strict=True)]
    about = content_words(persona.text)
    return [0.5 + 0.5 * min(1.0, len(content_words(a) & about) / 2) for a in answers]


def relevance_critic(answers: Sequence[str], situation: Situation) -> list[float]:
    """How much likelier the talk makes an answer; without likelihoods, whether it takes up words of
    the user's."""
    model, turns = situation.model, situation.turns
    if isinstance(model, ScoringModel):
        informed = model.likelihoods(prompt(situation.persona, turns), answers)
        anything = [Turn("user", "Say something.")]
        uninformed = model.likelihoods(prompt(situation.persona, anything), answers)
        return [_squashed(2 * (a.mean - b.mean)) for a, b in zip(informed, uninformed, strict=True)]
    about = content_words(turns[-1].text)
    return [0.5 + 0.5 * min(1.0, len(content_words(a) & about) / 2) for a in answers]


def contradiction_critic(answers: Sequence[str], situation: Situation) -> list[float]:
    """0 for what denies a fact of the persona, or that the speaker is a person; else 1.

    A sentence denies a fact when both are about the same things and one of them alone says no. This
    is a rule, no reader: it does not see that a vegan does not order steak.
    """
    facts = [(content_words(fact) - NEGATIONS, _denies(fact)) for fact in situation.persona.facts]
    scores = []
    for answer in answers:
        wrong = bool(situation.persona) and NO_PERSON.search(answer) is not None
        for sentence in re.split(r"[.!?,;]| but ", answer):
            if not re.search(r"\b(i|i'm|i've|my)\b", sentence.lower()):
                continue  # it is not about the speaker
            words, denies = content_words(sentence) - NEGATIONS, _denies(sentence)
            for about, no in facts:
                same = len(words & about)
                wrong = wrong or (
                    no != denies and same >= max(1, math.ceil(min(len(about), len(words)) / 2))
                )
        scores.append(0.0 if wrong else 1.0)
    return scores


def parroting_critic(answers: Sequence[str], situation: Situation) -> list[float]:
    """1 where nothing is repeated: of phrases of three words, the share that the talk had not yet.
    Facts of the persona that are recited word for word count as half."""
    turns = situation.turns
    before = {phrase for turn in turns[-8:] for phrase in _phrases(turn.text)}
    recited = {phrase for fact in situation.persona.facts for phrase in _phrases(fact)} - before
    scores = []
    for answer in answers:
        phrases = _phrases(answer)
        again = sum(p in before for p in phrases) + 0.5 * sum(p in recited for p in phrases)
        scores.append(1 - again / len(phrases) if phrases else 0.5)
    return scores


def fluency_critic(answers: Sequence[str], _: Situation) -> list[float]:
    """Whether an answer is of a length that people speak, ends, and does not turn in circles."""
    scores = []
    for answer in answers:
        words = WORDS.findall(answer.lower())
        length = min(1.0, len(words) / 4, 40 / max(1, len(words)))
        pairs = list(pairwise(words))
        fresh = len(set(pairs)) / len(pairs) if pairs else 1.0
        ends = 1.0 if answer.rstrip("\"'”’)").endswith((".", "!", "?", "…")) else 0.5
        scores.append(length * fresh * ends)
    return scores


def _denies(text: str) -> bool:
    words = WORDS.findall(text.lower())
    return any(word in NEGATIONS or word.endswith("n't") for word in words)


def _phrases(text: str) -> list[tuple[str, ...]]:
    words = WORDS.findall(text.lower())
    return [tuple(words[k : k + PHRASE]) for k in range(len(words) - PHRASE + 1)]


def _squashed(x: float) -> float:
    """Any number -> 0 to 1; nothing -> 0.5."""
    return 0.5 + 0.5 * math.tanh(x / 2)
