"""Conversations in a film's time, with the mock avatar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from talkers import Avatar
from talkers.dialogue import Conversation, ConversationTerms
from talkers.dialogue.film import FilmClock
from talks import Hum


@pytest.fixture(scope="session")
def mock() -> Avatar:
    return Avatar.load("mock")


@pytest.fixture
def talk(mock: Avatar) -> Iterator[Callable[..., Conversation]]:
    """Begin a conversation in a film's time; replies are made by `work`."""
    begun: list[Conversation] = []

    def begin(dialogue: Any, voice: Any = None, **settings: Any) -> Conversation:
        terms = settings.pop("terms", ConversationTerms(threaded=False))
        made = Conversation(
            mock, dialogue, voice or Hum(), terms=terms, clock=FilmClock(), **settings
        )
        begun.append(made)
        return made

    yield begin
    for made in begun:
        made.close()
