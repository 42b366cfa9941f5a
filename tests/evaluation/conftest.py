"""Shared by tests of evaluation: scoring without child processes and without large networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scored import in_this_process
from talkers.evaluation.metrics import Metrics, load_metrics


def _without_networks(experts: Path | None = None) -> Metrics:
    """Metrics that cost little."""
    found = load_metrics(experts)
    return replace(found, metrics={n: found.metrics[n] for n in ("fidelity", "movement")})


@pytest.fixture
def cheap_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and pairs are scored in this process, by metrics that cost little."""
    monkeypatch.setattr("talkers.evaluation.records.parallel", in_this_process)
    for module in ("scoring", "pairs"):
        monkeypatch.setattr(f"talkers.evaluation.{module}.load_metrics", _without_networks)
