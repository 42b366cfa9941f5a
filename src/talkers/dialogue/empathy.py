"""Empathy in stages: event, emotion, cause, goal, then the reply (Empatheia, Zhang et al. 2025,
section 4), whose emotion also sets how it is said.

The first four are asked of the language model one after the other, each knowing those before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from talkers.dialogue.contract import (
    PLAINLY,
    Delivery,
    LanguageModel,
    Message,
    Sampling,
    ScoringModel,
    Turn,
)
from talkers.dialogue.persona import content_words

EMOTIONS = ("happy", "sad", "angry", "afraid", "surprised", "disgusted", "calm")
CUES: dict[str, frozenset[str]] = {
    emotion: content_words(words)
    for emotion, words in {
        "happy": "happy glad great won win promoted excited love wonderful married birthday proud "
        "passed yay fantastic delighted celebrate joy accepted best fun",
        "sad": "sad died death lost miss lonely alone cry crying funeral grief heartbroken passed "
        "away divorce broke fail failed depressed unhappy sorry hurt",
        "angry": "angry furious mad unfair stole stolen rude yelled shouted cheated lied annoyed "
        "hate insulted idiot fed ridiculous refuse",
        "afraid": "afraid scared worried nervous anxious fear terrified panic frightened surgery "
        "exam dark threat danger dread interview tomorrow",
        "surprised": "surprised unbelievable suddenly unexpected shocked wow believe guess amazed "
        "surprise nowhere",
        "disgusted": "disgusting disgusted gross rotten smelled vomit filthy mouldy cockroach sick "
        "stinks dirty awful revolting",
    }.items()
}
DELIVERY = {  # how one answers somebody who feels so
    "happy": Delivery(1.08, 1.5, 1.15, 1.2, 0.5, "happy"),
    "sad": Delivery(0.88, 0.8, 0.9, 0.7, -0.2, "sad"),
    "angry": Delivery(0.95, 0.8, 0.95, 0.7, -0.1, "calm"),
    "afraid": Delivery(0.92, 0.9, 0.95, 0.7, 0.1, "calm"),
    "surprised": Delivery(1.05, 1.8, 1.1, 1.2, 0.2, "surprised"),
    "disgusted": Delivery(0.98, 1.1, 1.0, 1.0, -0.3, "disgusted"),
    "calm": PLAINLY,
}
GOALS = {
    "happy": "share the joy and ask for more",
    "sad": "comfort, and show that you are there",
    "angry": "take it seriously, and calm down",
    "afraid": "reassure, and give courage",
    "surprised": "be amazed with them",
    "disgusted": "agree that it is unpleasant",
    "calm": "keep the talk going",
}
REPLIES = (  # what one says to somebody who feels so, in the order of EMOTIONS
    "That is wonderful, congratulations!",
    "I am so sorry for your loss.",
    "That is so unfair, I would be furious.",
    "That sounds scary, but do not be afraid.",
    "Wow, I can not believe it!",
    "Yuck, that is disgusting!",
    "I see.",
)
NEUTRAL = ("I am here.", "The table is brown.", "It is Tuesday.", "We have a garden.")
BRIEF = Sampling(temperature=0.0, max_tokens=24)
CUE_NATS = 1.0  # that a word weighs which speaks of an emotion


@dataclass(frozen=True)
class Feeling:
    """What the stages found.

    Attributes:
        event: what happened.
        emotion: what the user feels, one of `EMOTIONS`.
        cause: why.
        goal: what the reply is for.
    """

    event: str
    emotion: str
    cause: str
    goal: str

    @property
    def delivery(self) -> Delivery:
        """How the reply is said."""
        return DELIVERY[self.emotion]

    @property
    def note(self) -> str:
        """What the language model is told before it replies."""
        if self.emotion == "calm":
            return ""
        return f"The other feels {self.emotion}, because {self.cause}. Your aim: {self.goal}."


class Empathy:
    """The stages.

    Args:
        model: that is asked.
    """

    def __init__(self, model: LanguageModel):
        self._model, self._neutral = model, list[float]()

    def feel(self, turns: Sequence[Turn]) -> Feeling:
        """What the user feels, and why.

        Args:
            turns: what was said; the last is the user's.
        """
        said = " ".join(turn.text for turn in turns[-3:] if turn.speaker == "user")
        emotion = self.emotion(said)
        if emotion == "calm":
            return Feeling(said, emotion, "", GOALS[emotion])
        event = self._ask(f'Somebody says: "{said}" What happened? Answer in a few words.')
        cause = self._ask(
            f'Somebody says: "{said}" They feel {emotion}. Why? Answer in a few words.'
        )
        return Feeling(event, emotion, cause or event or "of what happened", GOALS[emotion])

    def emotion(self, said: str) -> str:
        """What somebody feels who says this.

        Where the model tells likelihoods: whose usual reply these words make likelier than words do
        that mean nothing. Each word that speaks of an emotion helps it. Otherwise the model is
        asked for one.
        """
        words = content_words(said)
        votes = {
            emotion: CUE_NATS * len(words & CUES.get(emotion, frozenset())) for emotion in EMOTIONS
        }
        if isinstance(self._model, ScoringModel):
            scores = self._model.likelihoods([Message("user", said)], REPLIES)
            for emotion, score, usual in zip(EMOTIONS, scores, self._usual(), strict=True):
                votes[emotion] += score.mean - usual
        else:
            wanted = f"{_question(said)} Answer with one word of: {', '.join(EMOTIONS)}."
            answer = self._ask(wanted).lower()
            named = [emotion for emotion in EMOTIONS if emotion in answer]
            for emotion in named[:1]:
                votes[emotion] += 2 * CUE_NATS
        best = max(EMOTIONS, key=lambda emotion: votes[emotion])
        return best if votes[best] > 0 else "calm"

    def _usual(self) -> list[float]:
        """How likely each of `REPLIES` is to words that mean nothing: nats a token."""
        if not self._neutral and isinstance(self._model, ScoringModel):
            neutral = [
                self._model.likelihoods([Message("user", text)], REPLIES) for text in NEUTRAL
            ]
            self._neutral = [
                fmean(score.mean for score in row) for row in zip(*neutral, strict=True)
            ]
        return self._neutral

    def _ask(self, question: str) -> str:
        """A short answer of the model: its first sentence."""
        said = "".join(self._model.write([Message("user", question)], BRIEF))
        first = re.split(r"[.!?\n]", said.strip(), maxsplit=1)[0]
        return " ".join(first.split())[:120].strip("\"' ")


def _question(said: str) -> str:
    return f'Somebody says: "{said}" What does this person feel?'
