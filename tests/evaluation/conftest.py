"""Shared by tests of evaluation: scoring without child processes and without large networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from talkers.errors import TalkersError
from talkers.evaluation.metrics import Metrics, load_metrics


def _here(
    score: Callable[..., None], tasks: dict[str, tuple[Any, ...]], jobs: int, done: Any
) -> None:
    """Score in this process, whose metrics can be chosen."""
    for name, arguments in tasks.items():
        try:
            done(name, score(*arguments))
        except TalkersError as error:
            done(name, error)


def _without_networks(experts: Path | None = None) -> Metrics:
    """Metrics that cost little."""
    found = load_metrics(experts)
    return replace(found, metrics={n: found.metrics[n] for n in ("fidelity", "movement")})


@pytest.fixture
def cheap_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and pairs are scored in this process, by metrics that cost little."""
    monkeypatch.setattr("talkers.evaluation.records.parallel", _here)
    for module in ("scoring", "pairs"):
        monkeypatch.setattr(f"talkers.evaluation.{module}.load_metrics", _without_networks)
