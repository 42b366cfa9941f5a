"""What is said: sentences, personas, critics, empathy, and who plays a persona."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from talkers import registry
from talkers.dialogue import DialogueParts, Message, Persona, Turn, make_dialogue
from talkers.dialogue.casting import cast_face, cast_voice
from talkers.dialogue.contract import Likelihood
from talkers.dialogue.critics import (
    CriticPanel,
    Situation,
    contradiction_critic,
    fluency_critic,
    parroting_critic,
    persona_critic,
)
from talkers.dialogue.empathy import Empathy
from talkers.dialogue.persona import read_persona
from talkers.dialogue.prompts import prompt
from talkers.dialogue.sentences import spoken_sentences
from talkers.errors import MissingComponent, UsageError
from talks import Scripted

ADA = Persona(name="Ada", facts=("I am a baker.", "I have a dog named Max.", "I do not eat meat."))
ASKED = [Turn("user", "Do you have a dog?")]


def parts(*answers: str, persona: Persona = ADA) -> DialogueParts:
    model = Scripted(*answers)
    return DialogueParts(lambda: model, persona)


# Sentences


def test_sentences_come_as_they_are_written() -> None:
    given = []

    def pieces() -> object:
        for piece in ("User 2: Hi the", "re. How", " are *smiles* you? I am", " fine and"):
            given.append(piece)
            yield piece

    found = spoken_sentences(pieces())  # type: ignore[arg-type]
    assert next(found) == "Hi there."
    assert len(given) == 2  # it was not waited for the rest
    assert list(found) == ["How are you?"]  # the last breaks off


def test_what_nobody_says_is_dropped() -> None:
    text = "Well 🙂, **yes** `x`!\nUser: and you?\nAssistant: no"
    (said,) = spoken_sentences([text])
    assert said.split() == ["Well", ",", "yes", "x", "!"]
    assert list(spoken_sentences(["\x00\x07"])) == []
    assert list(spoken_sentences(["One. Two. Three. Four."])) == ["One.", "Two.", "Three."]
    assert list(spoken_sentences(["no end"])) == ["no end"]


# Personas


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"facts = []", "is empty"),
        (b"name = ", "not TOML"),
        (b'name = "\xff"', "not TOML"),
        (b"age = 3", "has no 'age'"),
        (b"name = 3", "not a text"),
        (b'facts = "I am"', "not a list"),
        (b'gender = "x"\nname = "y"', "the gender 'x'"),
        (b'name = "' + b"x" * 70_000 + b'"', "more than 64 KB"),
    ],
)
def test_personas_that_are_none(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "p.toml").write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        read_persona(tmp_path / "p.toml")


def test_a_persona_is_read_and_told(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('name = "Ada"\nfacts = ["I am a baker.", " "]\n', "utf-8")
    persona = read_persona(tmp_path / "p.toml")
    assert persona == Persona("Ada", ("I am a baker.",))
    system, user = prompt(persona, ASKED)
    assert "Ada" in system.content
    assert "baker" in system.content
    assert user == Message("user", "Do you have a dog?")
    with pytest.raises(UsageError, match="cannot be read"):
        read_persona(tmp_path / "q.toml")


def test_the_facts_that_matter_are_told() -> None:
    facts = tuple(f"I like thing{k}." for k in range(20))
    assert "I like thing17." in Persona(facts=facts).relevant("Tell me of thing17", 3)
    assert len(Persona(facts=facts).relevant("Hello", 3)) == 3


# Critics


class Weighs(Scripted):
    """A model to which what speaks of dogs is likely, once it is told of a dog."""

    def likelihoods(self, messages: Sequence[Message], texts: Sequence[str]) -> list[Likelihood]:
        told = "Max" in messages[0].content
        return [Likelihood(-1.0 if told and "Max" in t else -10.0, 10) for t in texts]


def test_each_critic_judges_what_it_is_for() -> None:
    situation = Situation([*ASKED], ADA, Scripted())
    assert contradiction_critic(
        ["I have no dog.", "I have a dog.", "I eat meat.", "As an AI I cannot.", "No idea."],
        situation,
    ) == [0.0, 1.0, 0.0, 0.0, 1.0]
    again, fresh = parroting_critic(["Do you have a dog?", "Yes, his name is Max."], situation)
    assert again == 0.0
    assert fresh == 1.0
    circle, good = fluency_critic(["I am I am I am I am.", "Yes, he is a good boy."], situation)
    assert circle < good
    mine, other = persona_critic(["My dog is Max.", "It rains."], situation)
    assert mine > other
    mine, other = persona_critic(["Max is fine.", "It rains."], situation._replace(model=Weighs()))
    assert mine > other == 0.5


def test_the_best_answer_is_kept() -> None:
    answers = ("Do you have a dog?", "I have no dog.", "Yes, my dog Max is sleeping.", "")
    best = CriticPanel(ADA, Weighs()).best(answers, ASKED)
    assert best.text == answers[2]
    dialogue = make_dialogue("critics", parts(*answers))
    assert [s.text for s in dialogue.reply(ASKED)] == [answers[2]]
    assert CriticPanel(ADA, Scripted()).best(["", ""], ASKED).text == ""


# Dialogues


def test_dialogues_by_name() -> None:
    assert {"echo", "plain", "critics", "empathy", "empathy-critics"} <= set(
        registry.names("dialogue")
    )
    plain = make_dialogue("plain", parts("Yes. He is Max."))
    assert [s.text for s in plain.reply(ASKED)] == ["Yes.", "He is Max."]
    echo = make_dialogue("echo", parts())
    assert [s.text for s in echo.reply(ASKED)] == ["You said: Do you have a dog?"]
    with pytest.raises(MissingComponent, match="no dialogue 'ecko'"):
        make_dialogue("ecko", parts())
    with pytest.raises(UsageError, match="nothing to answer"):
        list(plain.reply([]))


def test_a_sad_user_is_answered_slowly() -> None:
    sad = [Turn("user", "My father died and I am so lonely.")]
    model = Scripted("He lost his father.", "He misses him. Much.", "I am with you.")
    dialogue = make_dialogue("empathy", DialogueParts(lambda: model))
    (sentence,) = [s for s in dialogue.reply(sad)][:1]
    assert sentence.delivery.emotion == "sad"
    assert sentence.delivery.speed < 1
    assert any("feels sad" in messages[0].content for messages in model.asked)
    calm = Empathy(Scripted("x")).feel([Turn("user", "The car is blue.")])
    assert calm.emotion == "calm"
    assert calm.note == ""


# Casting


def test_a_persona_finds_its_voice() -> None:
    man = Persona(description="An old Scottish lord, a widower.")
    woman = Persona(gender="woman", facts=("I live in Texas.",))
    assert cast_voice(man)[0][:2] == "bm"
    assert cast_voice(woman)[0][:2] == "af"
    assert cast_voice(woman) == cast_voice(woman)
    assert cast_voice(Persona())[0] == "joe"


def test_a_persona_finds_its_face(tmp_path: Path) -> None:
    for name, text in (
        ("a", "an old man with a beard"),
        ("b", "a young woman, a baker"),
        ("c", ""),
    ):
        (tmp_path / f"{name}.jpg").touch()
        if text:
            (tmp_path / f"{name}.txt").write_text(text, "utf-8")
    (tmp_path / "red-haired_woman.png").touch()
    assert cast_face(Persona(gender="man"), tmp_path)[0].name == "a.jpg"
    baker = Persona(gender="woman", facts=("I am a baker.",))
    face, why = cast_face(baker, tmp_path)
    assert face.name == "b.jpg"
    assert "baker" in why
    assert cast_face(Persona(description="a red-haired lady"), tmp_path)[0].suffix == ".png"
    with pytest.raises(UsageError, match="no portrait"):
        cast_face(baker, _empty(tmp_path))


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_emotions_without_likelihoods_are_asked_for() -> None:
    assert Empathy(Scripted("Afraid, I think.")).emotion("It comes nearer.") == "afraid"
