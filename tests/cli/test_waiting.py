"""Threads sleep while they wait, unless the user wants otherwise."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def environment_after(code: str, **given: str) -> dict[str, str]:
    """The variables that a fresh process has after some code."""
    clean = {k: v for k, v in os.environ.items() if k not in NAMES}
    shown = f"{code}; import os; print([os.environ.get(n, '') for n in {NAMES}])"
    done = subprocess.run(
        [sys.executable, "-c", shown], env=clean | given, capture_output=True, text=True, check=True
    )
    return dict(zip(NAMES, ast.literal_eval(done.stdout), strict=True))


@pytest.mark.parametrize("code", ["import talkers", "import talkers.cli"])
def test_waiting_is_passive_before_torch_is_loaded(code: str) -> None:
    found = environment_after(code + ", sys; assert 'torch' not in sys.modules")
    assert found == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def test_what_the_user_has_set_is_left_alone() -> None:
    found = environment_after("import talkers", OMP_WAIT_POLICY="ACTIVE")
    assert found == {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "", "KMP_BLOCKTIME": ""}


def test_it_is_too_late_when_torch_is_there() -> None:
    found = environment_after("import torch, talkers")
    assert set(found.values()) == {""}
