"""What a language model is told before it answers: who it is, and what was said."""

from __future__ import annotations

from collections.abc import Sequence

from talkers.dialogue.contract import Message, Turn
from talkers.dialogue.persona import Persona

MAX_TURNS = 12  # of the talk that the model is told
TASK = (
    "You talk with somebody. Answer the last thing that was said, "
    "in one or two short sentences, as people speak. No lists."
)


def prompt(persona: Persona, turns: Sequence[Turn], note: str = "") -> list[Message]:
    """Messages to a language model.

    Only the facts of the persona that matter now are told: a small model attends to all it is told
    (PersonalDialog, Zheng et al. 2019, does this with attention over traits).

    Args:
        persona: whom it plays; may be empty.
        turns: what was said so far.
        note: what else to heed.
    """
    recent = turns[-MAX_TURNS:]
    while recent and recent[0].speaker != "user":
        recent = recent[1:]
    said = " ".join(turn.text for turn in recent[-3:])
    parts = [who(persona, persona.relevant(said)), TASK, note]
    roles = {"user": "user", "avatar": "assistant"}
    messages = [Message("system", " ".join(part for part in parts if part))]
    for turn in recent:
        role = roles[turn.speaker]
        if messages[-1].role == role:  # somebody who goes on
            messages[-1] = Message(messages[-1].role, f"{messages[-1].content} {turn.text}")
        else:
            messages.append(Message(role, turn.text))  # type: ignore[arg-type]
    return messages


def who(persona: Persona, facts: Sequence[str]) -> str:
    """What a model is told of a persona."""
    parts = []
    if persona.name:
        parts.append(f"Your name is {persona.name}.")
    if persona.style:
        parts.append(f"You are {persona.style}.")
    if persona.description:
        parts.append(persona.description)
    if facts:
        parts.append("This is what you say of yourself: " + " ".join(facts))
    return " ".join(parts)
