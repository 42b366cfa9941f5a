"""What dialogues, language models and critics are. Each kind is registered by name, and plug-ins
bring their own (see `talkers.registry`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from talkers.dialogue.persona import NOBODY, Persona
from talkers.errors import UsageError


class Turn(NamedTuple):
    """Something that was said.

    Attributes:
        speaker: who said it.
        text: what was really said: of a reply that was interrupted, the words that were heard.
    """

    speaker: Literal["user", "avatar"]
    text: str


@dataclass(frozen=True)
class Delivery:
    """How a sentence is said.

    Attributes:
        speed: how many times as fast as the voice speaks, 0.5 to 2.
        brow_amplitude, amplitude, pose_scale: how far brows, mouth and head move, as factors of
            what the user's `Controls` say.
        smile: added to what the user's `Controls` say, where the avatar can smile.
        emotion: what it expresses, for those who show more than these; empty: nothing special.
    """

    speed: float = 1.0
    brow_amplitude: float = 1.0
    amplitude: float = 1.0
    pose_scale: float = 1.0
    smile: float = 0.0
    emotion: str = ""


PLAINLY = Delivery()


class Sentence(NamedTuple):
    """A sentence of a reply."""

    text: str
    delivery: Delivery = PLAINLY


class Message(NamedTuple):
    """A message to a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How a language model chooses its words.

    Attributes:
        temperature: 0 takes the likeliest token, 1 samples as the model has it; 0 to 2.
        top_p: the likeliest tokens that have so much of the probability are sampled, 0 to 1.
        max_tokens: of an answer.
        seed: the same seed gives the same answer, where the model keeps it.

    Raises:
        UsageError: a value out of range.
    """

    temperature: float = 0.5
    top_p: float = 0.9
    max_tokens: int = 80
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError: a value out of range."""
        if not 0 <= self.temperature <= 2:
            raise UsageError(
                f"a temperature of {self.temperature} was asked for", todo="Use 0 to 2"
            )
        if not 0 < self.top_p <= 1:
            raise UsageError(f"a top_p of {self.top_p} was asked for", todo="Use 0 to 1")
        if self.max_tokens < 1:
            raise UsageError(f"{self.max_tokens} tokens were asked for", todo="Use 1 or more")


class LanguageModel(Protocol):
    """Writes what comes next in a talk.

    Register one with `register("language_model", name, None, "package.module:make")`, where
    `make()` gives it.

    Attributes:
        name: what it is, for reports.
    """

    name: str

    def write(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """The next message of the assistant, in pieces as they are written.

        Raises:
            TalkersError: it cannot be reached, or refuses.
        """
        ...

    def candidates(self, messages: Sequence[Message], sampling: Sampling, count: int) -> list[str]:
        """Several different answers, in full.

        Raises:
            TalkersError: it cannot be reached, or refuses.
        """
        ...


class Likelihood(NamedTuple):
    """How likely a text is: the sum of log p over its tokens (in nats), and their number."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats a token."""
        return self.total / max(1, self.tokens)


@runtime_checkable
class ScoringModel(Protocol):
    """A language model that also tells how likely given answers are."""

    def likelihoods(self, messages: Sequence[Message], texts: Sequence[str]) -> list[Likelihood]:
        """Of each text as the assistant's next message."""
        ...


class Dialogue(Protocol):
    """Decides what an avatar says.

    Register one with `register("dialogue", name, None, "package.module:make")`, where
    `make(parts)` gives it for `DialogueParts`.
    """

    def reply(self, turns: Sequence[Turn], seed: int = 0) -> Iterator[Sentence]:
        """The avatar's answer, sentence by sentence; each as soon as it is known.

        Args:
            turns: what was said so far; the last is the user's.
            seed: the same turns and seed give the same answer, where the model keeps it.

        Raises:
            TalkersError: the language model cannot be reached.
        """
        ...


@dataclass(frozen=True)
class DialogueParts:
    """What a dialogue is made from.

    Attributes:
        language: gives the language model; a dialogue that needs none does not call it.
        persona: whom the avatar plays.
        sampling: how words are chosen.
        count: candidates among which critics choose.
    """

    language: Callable[[], LanguageModel]
    persona: Persona = NOBODY
    sampling: Sampling = Sampling()
    count: int = 4


@dataclass(frozen=True)
class SpeechEvent:
    """What ears made of a block of sound.

    Attributes:
        kind: the user begins to speak, or has said something.
        text: what was said; empty where it could not be understood.
    """

    kind: Literal["begins", "said"]
    text: str = ""
