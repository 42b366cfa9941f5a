"""Scoring without child processes, so that a test can choose what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talkers.errors import TalkersError


def in_this_process(
    score: Callable[..., None], tasks: dict[str, tuple[Any, ...]], jobs: int, done: Any
) -> None:
    """Score in this process, whose metrics can be chosen."""
    for name, arguments in tasks.items():
        try:
            done(name, score(*arguments))
        except TalkersError as error:
            done(name, error)
