"""Conversation: what an avatar answers, to whom it listens, and how it shows that it does.

A language model writes, a dialogue decides what is said and how, a voice says it, and a live
session shows it. Each is a contract with several implementations; see `contract`.
"""

from talkers.dialogue.contract import (
    Delivery,
    Dialogue,
    DialogueParts,
    LanguageModel,
    Message,
    Sampling,
    ScoringModel,
    Sentence,
    Turn,
)
from talkers.dialogue.conversation import Conversation, ConversationTerms
from talkers.dialogue.dialogues import make_dialogue
from talkers.dialogue.persona import Persona, read_persona

__all__ = [
    "Conversation",
    "ConversationTerms",
    "Delivery",
    "Dialogue",
    "DialogueParts",
    "LanguageModel",
    "Message",
    "Persona",
    "Sampling",
    "ScoringModel",
    "Sentence",
    "Turn",
    "make_dialogue",
    "read_persona",
]
